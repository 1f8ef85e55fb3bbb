"""Is the generative part of a semi-supervised VAE a regulariser of its classifier? Real digits, over its weight alpha.

Every fit of one draw of labels starts from the same weights and takes the same number of steps, and alpha = 0 is the
classifier alone. With --neighbours, unlabelled rows also teach the classifier what their neighbours' labels are.

    python benchmarks/alpha_path.py [--data digits] [--labels 50] [--draws 4] [--replicates 5] [--neighbours]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

import underlie as ul

#: Rows to learn from and to judge by; the rest is left out.
SIZES = {"digits": (1_200, 597), "mnist": (10_000, 5_000)}


def rows(name: str) -> tuple[Any, Any, Any, Any]:
    """Images and digits to learn from and to judge by, in an order of their own."""
    images = ul.datasets.load_digits() if name == "digits" else ul.datasets.fetch_mnist()
    n, n_test = SIZES[name]
    order = np.random.default_rng(0).permutation(len(images.data))[: n + n_test]
    X, y = np.asarray(images.data)[order], np.asarray(images.target)[order]
    return X[:n], y[:n], X[n:], y[n:]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", choices=SIZES, default="digits")
    parser.add_argument("--labels", type=int, help="labels to learn from, drawn --draws times; all by default")
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--replicates", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--alphas", type=float, nargs="+", default=[0, 0.001, 0.01, 0.1, 1, 10])
    parser.add_argument("--neighbours", action="store_true")
    parser.add_argument("--figure", help="where to draw accuracy and log loss against alpha")
    args = parser.parse_args(argv)
    X, y, X_test, y_test = rows(args.data)
    model = ul.SemiSupervisedVAE(
        10, hidden=(args.hidden,), max_epochs=args.epochs, neighbours=args.neighbours, verbose=False
    )
    path = ul.alpha_path(
        model,
        *(X, y, X_test, y_test),
        args.alphas,
        n_labelled=args.labels,
        n_draws=args.draws,
        n_replicates=args.replicates,
        n_importance=8,
        random_state=0,
    )
    print(path)
    if args.figure:
        path.plot().figure.savefig(args.figure, dpi=80)


if __name__ == "__main__":
    main()
