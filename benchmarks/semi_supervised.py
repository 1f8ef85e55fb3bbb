"""Few labels: test error of M2, M1+M2 and the SDGM on MNIST and on scikit-learn's digits.

    python benchmarks/semi_supervised.py mnist --method m2 --labels 100 --draws 3     (methods: m2, m1m2, sdgm)
    python benchmarks/semi_supervised.py digits --labels 50 --draws 20

MNIST comes from the folder UNDERLIE_DATA or by download. Each draw of labels has as many of each class; all training
images, labelled or not, take part; the error is that on the 10,000 test images. Options beyond these are passed on to
the estimator, as ``--set max_epochs=20``.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import warnings
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.semi_supervised import LabelSpreading

import underlie as ul

M2 = {"n_latent": 50, "hidden": (500,), "likelihood": "bernoulli", "max_epochs": 15, "verbose": False}
SDGM = {**M2, "n_latent": 100, "auxiliary": True, "hidden": (500, 500), "batch_size": 100, "max_epochs": 25} | {
    "learning_rate": 5e-4
}
M1 = {"n_latent": 50, "hidden": (500, 500), "likelihood": "bernoulli", "max_epochs": 20, "verbose": False}
ON_M1 = {"n_latent": 50, "hidden": (500,), "likelihood": "normal", "max_epochs": 15, "verbose": False}


def labelled(target: np.ndarray, n_labels: int, draw: int) -> np.ndarray:
    """The labels with all hidden but as many of each class, at random."""
    rng = np.random.default_rng(draw)
    classes = np.unique(target)
    of_each = n_labels // len(classes)
    rows = np.concatenate([rng.choice(np.flatnonzero(target == k), of_each, replace=False) for k in classes])
    y = np.full(len(target), -1)
    y[rows] = target[rows]
    return y


def mean_and_error(values: list[float]) -> str:
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return f"{np.mean(values):.4f} (s.e. {error:.4f}; {', '.join(f'{v:.4f}' for v in values)})"


def mnist(method: str, n_labels: int, n_draws: int, settings: dict[str, Any]) -> None:
    """Test error by draw of labels."""
    train, test = ul.datasets.fetch_mnist("train"), ul.datasets.fetch_mnist("test")
    X, X_test = train.data / 255.0, test.data / 255.0
    own = {"m2": M2, "sdgm": SDGM, "m1m2": ON_M1}[method] | settings
    if method == "m1m2":
        features = ul.VAE(**M1, random_state=0).fit(X)
        print(f"M1: {features.fit_time_:.0f} s", flush=True)
        X, X_test = features.transform(X), features.transform(X_test)
    errors, neighbours = [], []
    for draw in range(n_draws):
        y = labelled(train.target, n_labels, draw)
        model = ul.SemiSupervisedVAE(**own, random_state=draw).fit(X, y)
        errors.append(1 - model.score(X_test, test.target))
        spread = model.spread_
        if spread is not None:
            hidden = y < 0
            neighbours.append(float((spread[hidden, 0] != train.target[hidden]).mean()))
        print(f"draw {draw}: error {errors[-1]:.4f}, {model.fit_time_:.0f} s", flush=True)
        if method == "m1m2" and draw == 0:
            seen = y >= 0
            simple = LogisticRegression(max_iter=1000).fit(X[seen], y[seen])
            print(f"M1 + logistic regression: error {1 - simple.score(X_test, test.target):.4f}")
    print(f"{method}, {n_labels} labels: error {mean_and_error(errors)}")
    if neighbours:
        print(f"what neighbours alone say of unlabelled training images: error {mean_and_error(neighbours)}")


def digits(n_labels: int, n_draws: int, settings: dict[str, Any]) -> None:
    """Accuracy on the unlabelled rows, M2 against label spreading and the supervised networks, paired over draws."""
    data = ul.datasets.load_digits()
    flat = data.data.reshape(len(data), -1)
    scores: dict[str, list[float]] = {name: [] for name in ("M2", "LabelSpreading", "network", "nearest neighbour")}
    seconds = []
    for draw in range(n_draws):
        y = labelled(data.target, n_labels, draw)
        seen, hidden = y >= 0, y < 0
        truth = data.target[hidden]
        model = ul.SemiSupervisedVAE(**settings, random_state=draw, verbose=False).fit(data.data, y)
        seconds.append(model.fit_time_)
        spread = max(
            (LabelSpreading(kernel="knn", n_neighbors=k, max_iter=200).fit(flat, y) for k in (5, 7, 10)),
            key=lambda m: (m.transduction_[hidden] == truth).mean(),  # the peer may choose k by the truth; we may not
        )
        network = ul.NeuralClassifier("mlp", random_state=draw, verbose=False).fit(data.data[seen], y[seen])
        nearest = KNeighborsClassifier(1).fit(flat[seen], y[seen])
        scores["M2"].append(model.score(data.data[hidden], truth))
        scores["LabelSpreading"].append(float((spread.transduction_[hidden] == truth).mean()))
        scores["network"].append(network.score(data.data[hidden], truth))
        scores["nearest neighbour"].append(nearest.score(flat[hidden], truth))
    for name, values in scores.items():
        gain = np.array(scores["M2"]) - np.array(values)
        error = gain.std(ddof=1) / np.sqrt(n_draws)
        print(f"{name:18s} accuracy {np.mean(values):.4f}   M2 is above it by {gain.mean():.4f} (s.e. {error:.4f})")
    print(f"M2: median {statistics.median(seconds):.1f} s a fit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=["mnist", "digits"])
    parser.add_argument("--method", choices=["m2", "m1m2", "sdgm"], default="m2")
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    settings = {name: ast.literal_eval(value) for name, value in (item.split("=", 1) for item in arguments.set)}
    if arguments.study == "mnist":
        mnist(arguments.method, arguments.labels, arguments.draws, settings)
    else:
        digits(arguments.labels, arguments.draws, settings)


if __name__ == "__main__":
    main()
