"""The best of many starts of EM that is a proper maximum, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from underlie.check.mixtures.coordinates import Coordinates, Unidentified, coordinates, mixture_model
from underlie.check.mixtures.em import Rows, Runs, from_labels, run
from underlie.check.mixtures.structures import COVARIANCE_TYPES

Array = NDArray[np.float64]
_SHORT = 15
"""Iterations of every start before the best go on (Biernacki, Celeux and Govaert 2003)."""
_LONG = 10
"""Starts that go on together."""


@dataclass(frozen=True)
class Settings:
    """How thoroughly to search: starts, most iterations of each, and when to stop."""

    n_init: int
    max_iter: int
    tol: float


@dataclass(frozen=True)
class Fit:
    """One mixture, or why there is none.

    Attributes
    ----------
    model : GaussianMixture or None
        On the user's scale.
    log_likelihood : float
        Sum over rows, NaN without a model.
    n_iter : int
        Of the best start; of the longest one without a model.
    converged : bool
    smallest : float
        Effective rows of the smallest component, n * weight; NaN without a model.
    n_degenerate : int
        Starts that became singular, or ended with too small a component, among those that were run to an end.
    reason : str
        Why there is no model; empty otherwise.
    """

    model: GaussianMixture | None
    log_likelihood: float
    n_iter: int
    converged: bool
    smallest: float
    n_degenerate: int
    reason: str


def missing_fit(reason: str, n_iter: int = 0, n_degenerate: int = 0) -> Fit:
    """No mixture, and why."""
    return Fit(None, float("nan"), n_iter, False, float("nan"), n_degenerate, reason)


def fewest_rows(covariance_type: str, width: int) -> int:
    """Effective rows that a component needs for its own covariance: P + 1, 2 for variances, 1 where pooled."""
    return {"full": width + 1, "tied": 1, "diag": 2, "spherical": 2}[covariance_type]


class Problem:
    """One table, to be described by mixtures of any number of components and any structure.

    Parameters
    ----------
    values : ndarray of shape (n, P)
        Complete rows.
    names : tuple of str
        Of the columns.
    """

    def __init__(self, values: Array, names: tuple[str, ...]) -> None:
        self._values = values
        self._names = names
        self._cells: dict[str, tuple[Coordinates, Rows] | str] = {}

    def _in_coordinates(self, covariance_type: str) -> tuple[Coordinates, Rows] | str:
        """Where to fit a structure, or why it cannot be fitted."""
        if covariance_type not in self._cells:
            try:
                at = coordinates(self._values, covariance_type, self._names)
                self._cells[covariance_type] = at, Rows(at.apply(self._values), covariance_type)
            except Unidentified as error:
                self._cells[covariance_type] = str(error)
        return self._cells[covariance_type]

    def fit(self, labels: NDArray[np.intp], n_components: int, covariance_type: str, settings: Settings) -> Fit:
        """The best proper maximum that EM reaches from partitions of the rows, labels (R, n)."""
        place = self._in_coordinates(covariance_type)
        if isinstance(place, str):
            return missing_fit(place)
        at, rows = place
        short = run(rows, from_labels(rows, labels, n_components), _SHORT, settings.tol)
        order = np.argsort(-short.log_likelihood, kind="stable")
        order = order[np.isfinite(short.log_likelihood[order])]
        n_degenerate, n_iter = int(short.singular.sum()), int(short.iterations.max())
        needed = fewest_rows(covariance_type, rows.width)
        unconverged, smallest = False, np.inf
        for first in range(0, len(order), _LONG):
            ended = run(rows, short.take(order[first : first + _LONG]), settings.max_iter - _SHORT, settings.tol)
            sizes = ended.parameters.weights.min(axis=1) * len(rows)
            small = ~ended.singular & (sizes < needed)
            proper = ~ended.singular & ~small & ended.converged
            n_degenerate += int((ended.singular | small).sum())
            n_iter = max(n_iter, int(ended.iterations.max()))
            unconverged |= bool((~ended.singular & ~small & ~ended.converged).any())
            smallest = min(smallest, float(sizes[small].min(initial=np.inf)))
            if proper.any():
                best = int(np.argmax(np.where(proper, ended.log_likelihood, -np.inf)))
                return self._finish(at, ended, best, covariance_type, n_degenerate, settings)
        if unconverged:
            reason = f"not converged after {settings.max_iter} iterations"
        elif np.isfinite(smallest):
            reason = f"component of {smallest:.1f} effective rows, {needed} needed"
        else:
            reason = "singular component"
        return missing_fit(reason, n_iter, n_degenerate)

    def _finish(
        self, at: Coordinates, runs: Runs, best: int, covariance_type: str, n_degenerate: int, settings: Settings
    ) -> Fit:
        own = runs.parameters
        order = np.argsort(-own.weights[best], kind="stable")
        model = mixture_model(
            at,
            own.weights[best][order],
            own.means[best][order],
            own.covariances[best][order],
            covariance_type,
            tol=settings.tol,
            max_iter=settings.max_iter,
            n_init=settings.n_init,
        )
        model.n_iter_ = int(runs.iterations[best])
        model.converged_ = True
        total = float(model.score_samples(self._values).sum())  # before it has column names, which an array lacks
        model.lower_bound_ = float(runs.log_likelihood[best]) + at.log_abs_det
        model.lower_bounds_ = [model.lower_bound_]
        if self._names != tuple(f"x{j}" for j in range(len(self._names))):
            model.feature_names_in_ = np.array(self._names, dtype=object)
        return Fit(
            model, total, model.n_iter_, True, float(own.weights[best].min()) * len(self._values), n_degenerate, ""
        )


def check_types(covariance_types: object) -> tuple[str, ...]:
    """The structures asked for.

    Raises
    ------
    ValueError
        When there are none, or one is unknown.
    """
    asked = (covariance_types,) if isinstance(covariance_types, str) else tuple(covariance_types)  # type: ignore[arg-type]
    unknown = [one for one in asked if one not in COVARIANCE_TYPES]
    if unknown or not asked:
        raise ValueError(f"covariance_types={covariance_types!r}: choose among {', '.join(COVARIANCE_TYPES)}")
    return tuple(dict.fromkeys(asked))
