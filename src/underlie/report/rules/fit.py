"""Alerts about the fitting and the fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from underlie.report.document import Alert
from underlie.report.facts.model import replicate_spread
from underlie.report.numbers import format_number
from underlie.report.words import p_said

Facts = Mapping[str, Any]
#: replicates whose held-out bounds differ by more nats per row than this found different solutions
_DIVERGENT = 1.0
_FEW_ROWS, _POOR_SHARE = 30, 0.1
#: p-values below this are called more than chance, since a report has several
_SMALL_P = 0.01
#: a gap so many times its floor is a warning and not a note
_LARGE_GAP = 3.0


def of_training(facts: Facts) -> Iterator[Alert]:
    """How training ended."""
    model = facts["model"]
    if model["converged"] is False:
        yield Alert(
            "warning",
            "Not converged",
            "Training stopped at its limit before it converged.",
            "not-converged",
            "Raise max_epochs or max_iter and fit again.",
        )
    restarts = 0 if model["restarts"] is None else int(np.sum(model["restarts"]))
    if restarts:
        yield Alert(
            "warning",
            "Training diverged and was begun again",
            f"{restarts} restart{'s' if restarts > 1 else ''}.",
            "restarted",
            "A smaller learning_rate makes training steadier.",
        )


def of_replicates(facts: Facts) -> Iterator[Alert]:
    """Whether replicates agree."""
    spread = replicate_spread(facts["history"])
    if spread is not None and spread > _DIVERGENT:
        yield Alert(
            "warning",
            "Replicates found different solutions",
            f"Their held-out bounds differ by up to {spread:.1f} nats per row.",
            "replicates-differ",
            "Train more of them (n_replicates), and see whether the best ones agree.",
        )


def of_parameters(facts: Facts) -> Iterator[Alert]:
    """Whether the model is large for these rows."""
    size, data = facts["model"]["n_parameters"], facts["data"]
    cells = data["n_given"] * data["n_columns"]
    if size is not None and size > cells and data["seen"]["rows"] == "training":
        yield Alert(
            "note",
            "More parameters than cells",
            f"{size:,} parameters against {cells:,} cells.",
            "many-parameters",
            "Judge the model on rows that it has not seen.",
        )


def of_latent(facts: Facts) -> Iterator[Alert]:
    """Whether its latent space is used."""
    latent = facts["latent"]
    if latent and facts["data"]["n_rows"] >= _FEW_ROWS and latent["n_active"] < latent["n_latent"]:
        idle = latent["n_latent"] - latent["n_active"]
        yield Alert(
            "note",
            "Latent coordinates are not used",
            f"{idle} of {latent['n_latent']} hardly var{'ies' if idle == 1 else 'y'} over these rows.",
            "unused-latent",
            "A smaller latent space may do as well.",
        )


def of_likelihood(facts: Facts) -> Iterator[Alert]:
    """Whether the log-likelihood can be trusted."""
    score = facts["log_likelihood"]
    if score and score["poor_rows"] and score["poor_rows"] > _POOR_SHARE * score["n"]:
        yield Alert(
            "warning",
            "The log-likelihood is uncertain",
            f"Importance sampling is not dependable for {score['poor_rows']:,} of {score['n']:,} rows (Pareto k above "
            "0.7): their log-likelihood may be much too low.",
            "uncertain-likelihood",
            "Raise n_draws.",
        )


def of_moments(facts: Facts) -> Iterator[Alert]:
    """Whether data and model have the same moments."""
    moments = facts["moments"]
    if not moments:
        return
    missed = [
        (words, moments[name], moments[f"floor_{name}"], moments[f"p_{name}"])
        for name, words in (("first", "means"), ("second", "second moments"))
        if moments[f"p_{name}"] is not None and moments[f"p_{name}"] < _SMALL_P and moments[f"floor_{name}"]
    ]
    if not missed:
        return
    words, gap, floor, p = max(missed, key=lambda one: one[1] / one[2])
    yield Alert(
        "warning" if gap >= _LARGE_GAP * floor else "note",
        "The model does not reproduce the data's moments",
        f"The gap of the {words} is {format_number(gap / floor, 2)} times what a right model would show by chance at "
        f"this number of rows ({p_said(p)}). Samples from the model carry that difference.",
        "moment-gap",
        "See which columns it is; more latent dimensions or another likelihood may mend it.",
    )
