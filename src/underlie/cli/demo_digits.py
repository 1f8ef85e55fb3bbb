"""Handwritten digits: four models of the same images, compared on images that none of them has seen."""

from __future__ import annotations

import warnings
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure as MplFigure
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

import underlie as ul
from underlie.app.beside import Note
from underlie.cli.demo_part import Kept, Part, Say
from underlie.cli.mixture import mixture_by_bic
from underlie.report import Column, Estimate, Figure, Section, comparison_table, picture
from underlie.report.figures import generated_figure, scree_figure, training_figure
from underlie.report.numbers import format_column
from underlie.report.plain import plain
from underlie.warnings import ImportanceSamplingWarning

_HELD_OUT = 0.2
_LEVELS = 17
_NEIGHBOURS = 15
_STYLE = 6
_LINEAR, _RANKED, _MIXTURE, _NONLINEAR = "pPCA, 2-D", "pPCA, rank by BIC", "Gaussian mixture", "VAE, 2-D"

Images = NDArray[np.float64]


def digits_part(seed: int, say: Say) -> Part:
    """Fit pPCA, a Gaussian mixture and a VAE to four fifths of the digits; compare them on the last fifth."""
    images, labels = _load(seed)
    test = np.zeros(len(images), dtype=bool)
    test[np.random.default_rng(seed).permutation(len(images))[: round(_HELD_OUT * len(images))]] = True
    models = _fit(images[~test], seed, say)
    say("digits: comparing")
    held_out = ul.compare(models, images[test], random_state=seed)
    with warnings.catch_warnings():  # said of the held-out images already
        warnings.simplefilter("ignore", ImportanceSamplingWarning)
        fitted = ul.compare(models, images[~test], random_state=seed)
    result = comparison_table(held_out, f"Held-out digits, n = {int(test.sum()):,}", note=_NOTE)
    training = comparison_table(fitted, f"Training digits, n = {int((~test).sum()):,}", training=True)
    say("digits: drawing")
    sections = (
        Section("Digits: which model fits", (_what_was_done(images), result, _verdict(held_out), training)),
        Section("Digits: the latent plane", _plane_blocks(models, images, labels, test)),
        Section("Digits: what the models generate", _generated_blocks(models, seed)),
        Section(
            "Digits: how they were fitted, and what they miss", _fit_blocks(models, images[~test], images[test], seed)
        ),
    )
    facts = {"held_out": _frame_facts(held_out), "training": _frame_facts(fitted), "n_held_out": int(test.sum())}
    kept = _to_play_with(models, images, labels, test, seed, say)
    return Part("digits", result, sections, _headline(held_out), facts, kept)


def _to_play_with(
    models: dict[str, Any],
    images: Images,
    labels: NDArray[np.int_],
    test: NDArray[np.bool_],
    seed: int,
    say: Say,
) -> tuple[Kept, ...]:
    """The models whose latent space can be walked through, and one that is told the labels: digits on demand."""
    say("digits: fitting a model of digit and style")
    told = ul.SemiSupervisedVAE(_STYLE, random_state=seed, verbose=False).fit(images[~test], labels[~test])
    rows, note = {"X": images, "y": labels}, Note("digits.npz", array="X", labels=("y",))
    shown = {"digits-vae": models[_NONLINEAR], "digits-ppca": models[_LINEAR], "digits-and-style": told}
    return tuple(Kept(name, model, rows, note) for name, model in shown.items())


_NOTE = (
    "Log-likelihood in nats per image, higher is better; ± is the standard error over images, for differences "
    "paired by image. Gaps are Frobenius norms of the difference between data and model in E[x] and E[xx'], lower is "
    "better; beside them what a right model would show by chance, and p, the share of data sets drawn from the "
    "model whose gap is as large."
)


def _load(seed: int) -> tuple[Images, NDArray[np.int_]]:
    """Images (n, 8, 8) in (0, 1) and labels.

    The pixels are whole numbers 0 to 16. A density fitted to whole numbers can grow without bound on a pixel that is
    always the same; uniform noise of one grey level makes densities comparable, and their mean log a lower bound on the
    log-probability of the whole numbers (Theis, van den Oord and Bethge 2016).
    """
    digits = ul.datasets.load_digits()
    noise = np.random.default_rng(seed).random(digits.data.shape)
    return (digits.data + noise) / _LEVELS, digits.target


def _fit(train: Images, seed: int, say: Say) -> dict[str, Any]:
    say("digits: fitting pPCA")
    linear = ul.ProbabilisticPCA(2, random_state=seed).fit(train)
    ranked = ul.ProbabilisticPCA("bic", random_state=seed).fit(train)
    say("digits: fitting Gaussian mixtures")
    mixture = mixture_by_bic(train.reshape(len(train), -1), seed)
    say("digits: fitting a VAE")
    nonlinear = ul.VAE(2, random_state=seed, verbose=False).fit(train)
    return {_LINEAR: linear, _RANKED: ranked, _MIXTURE: mixture, _NONLINEAR: nonlinear}


def _what_was_done(images: Images) -> str:
    return (
        f"{len(images):,} images of handwritten digits, {images.shape[1]} by {images.shape[2]} pixels (Alpaydin "
        f"and Kaynak 1998, "
        "from scikit-learn), with uniform noise of one grey level added so that densities are comparable. "
        "Labels were not "
        "used. Two models squeeze an image into 2 numbers, one by a plane (pPCA), one by a curved surface "
        "(VAE); pPCA with "
        "its rank by BIC and a Gaussian mixture with its size and shape by BIC may use as many numbers as pay."
    )


def _verdict(held_out: pd.DataFrame) -> str:
    """One sentence that reads the table, worded from its numbers."""
    likelihood = held_out["log_likelihood"]
    difference = float(likelihood[_NONLINEAR] - likelihood[_LINEAR])
    side = "above" if difference > 0 else "below"
    return (
        f"With 2 latent dimensions each, the VAE is {abs(difference):.1f} nats per image {side} pPCA. Best of "
        f"all on images that it has not seen is: {likelihood.idxmax()}."
    )


def _plane_blocks(
    models: dict[str, Any], images: Images, labels: NDArray[np.int_], test: NDArray[np.bool_]
) -> tuple[str | Figure, ...]:
    named = {name: _named_right(models[name], images, labels, test) for name in (_NONLINEAR, _LINEAR)}
    text = (
        f"How much of the digits is left in 2 numbers? The labels of the {_NEIGHBOURS} nearest training images in the "
        f"plane name {100 * named[_NONLINEAR]:.0f} % of the held-out digits right for the VAE, "
        f"{100 * named[_LINEAR]:.0f} % for pPCA; guessing would name 10 %. No label was used in fitting."
    )
    titles = {
        _NONLINEAR: "VAE: a curved surface through the images",
        _LINEAR: "pPCA: a plane through the images",
    }
    readings = {
        _NONLINEAR: "Digits of one kind that lie together were put there by their shape alone; on the right, "
        "neighbouring places decode to similar shapes, and one digit turns into the next across a border.",
        _LINEAR: "A flat plane decodes to sums of two patterns; where kinds of digits overlap on the left, it decodes "
        "to their blend.",
    }
    figures = [
        picture(
            ul.plot.latent_and_grid(models[name], images[test], labels[test]),
            title,
            alt=f"{name}. Left: held-out digits in the latent plane, coloured by digit. Right: decoded images.",
            reading=readings[name],
        )
        for name, title in titles.items()
    ]
    return (text, *figures)


def _named_right(model: Any, images: Images, labels: NDArray[np.int_], test: NDArray[np.bool_]) -> float:
    """Share of held-out digits that the nearest training digits in the latent plane name right."""
    judge = KNeighborsClassifier(_NEIGHBOURS).fit(model.transform(images[~test]), labels[~test])
    return float(judge.score(model.transform(images[test]), labels[test]))


def _generated_blocks(models: dict[str, Any], seed: int) -> tuple[Figure, ...]:
    shape = (8, 8)
    return tuple(generated_figure(models[name], name, seed, shape) for name in (_NONLINEAR, _MIXTURE))


def _fit_blocks(models: dict[str, Any], train: Images, test: Images, seed: int) -> tuple[Figure, ...]:
    return (training_figure(models[_NONLINEAR]), scree_figure(models[_RANKED], train), _gaps(models, test, seed))


def _gaps(models: dict[str, Any], images: Images, seed: int) -> Figure:
    shown = (_LINEAR, _MIXTURE, _NONLINEAR)
    return picture(
        _gap_panels({name: ul.mega(models[name], images, random_state=seed) for name in shown}),
        "Where the second moments are missed",
        alt="Heat maps of the gap of the second moments between held-out digits and three models, 64 by 64 pixels.",
        reading="Every entry is a pair of pixels, data less model, in standard errors, on one scale. Pale panels "
        "reproduce how pixels vary together; strong colour on the diagonal is a wrong variance, elsewhere a missed "
        "dependence.",
    )


def _gap_panels(results: dict[str, Any]) -> MplFigure:
    figure, panels = plt.subplots(1, len(results), figsize=(4.6 * len(results), 4.4), layout="constrained")
    for (name, result), ax in zip(results.items(), panels, strict=True):
        ul.plot.gap_heatmap(result, ax=ax, relative=True)
        ax.set_title(f"{name}\ngap {result.second:.2f}, by chance {result.floor:.2f}", fontsize=11)
    maps = [ax.images[0] for ax in panels]
    widest = max(abs(end) for drawn in maps for end in drawn.get_clim())
    for drawn in maps:
        drawn.set_clim(-widest, widest)
    return figure


def _headline(held_out: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    rows = held_out.loc[[_LINEAR, _NONLINEAR]]
    cells = [Estimate(float(r["log_likelihood"]), float(r["log_likelihood_se"])) for _, r in rows.iterrows()]
    texts = format_column(Column("", "estimate"), cells)
    return tuple((f"Digits: {name}, nats per image", text) for name, text in zip(rows.index, texts, strict=True))


def _frame_facts(frame: pd.DataFrame) -> dict[str, Any]:
    return {str(name): plain(row.to_dict()) for name, row in frame.iterrows()}
