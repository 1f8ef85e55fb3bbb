"""A model of digit, writer and style, and whether what it draws on demand is recognised by others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

import underlie as ul
from underlie.cli.handwriting.material import Rows, both_labels
from underlie.datasets import Handwriting


def generate(
    hand: Handwriting,
    train: Rows,
    test: Rows,
    parameters: Mapping[str, Any],
    judges: Mapping[str, Mapping[str, Any]],
    per_cell: int,
    seed: int,
) -> tuple[dict[str, Any], ul.SemiSupervisedVAE]:
    """Learn from real images, draw every digit of every writer, and ask committees what the drawings show.

    The committees, one for digits and one for writers, have seen the same real images as the model and nothing else;
    what they name right among held-out real images is the most that can be expected of drawings.

    Parameters
    ----------
    hand : Handwriting
    train, test : arrays of int
        Rows to learn from, and real images held out.
    parameters : mapping
        Of `SemiSupervisedVAE`.
    judges : mapping of str to mapping
        Parameters of `NeuralClassifier`, by what it names.
    per_cell : int
        Drawings of each digit of each writer.
    seed : int

    Returns
    -------
    dict, SemiSupervisedVAE
        Share that each committee names right of real images and of drawings, by writer.
    """
    X = hand.ink()
    model = ul.SemiSupervisedVAE(**parameters, random_state=seed).fit(X[train], both_labels(hand, train))
    writer, digit = (axis.ravel() for axis in np.mgrid[: hand.n_writers, :10].repeat(per_cell, axis=-1))
    wanted = pd.DataFrame({"digit": digit, "writer": writer})
    styles = np.random.default_rng([seed, 1]).normal(size=(len(wanted), model.n_latent))
    drawn = np.asarray(model.inverse_transform(styles, wanted), np.float32)
    result: dict[str, Any] = {"n_drawn": len(wanted), "n_writers": hand.n_writers, "n_train": len(train)}
    for name, settings in judges.items():
        judge = ul.NeuralClassifier(**settings, random_state=seed).fit(X[train], hand.labels(name)[train])
        right = judge.predict(drawn) == wanted[name].to_numpy()
        by_writer = pd.Series(right).groupby(writer).mean()
        real = judge.score(X[test], hand.labels(name)[test])
        result[name] = {"real": real, "by_writer": by_writer.tolist()}
    return result, model
