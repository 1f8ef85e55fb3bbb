"""EM for Gaussian mixtures, many starts at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from underlie.check.mixtures.structures import Parameters, features, maximise, natural

Array = NDArray[np.float64]
_BLOCK = 2**21
"""Numbers per array in memory at a time: 16 MiB."""


@dataclass(frozen=True)
class Rows:
    """Data (n, P) in the coordinates of the fit, as features block by block.

    Features of data that fit into one block are kept; otherwise every pass makes them again.
    """

    values: Array
    covariance_type: str
    _kept: list[Array] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def width(self) -> int:
        """Number of columns P."""
        return self.values.shape[1]

    def blocks(self, columns: int) -> Iterator[tuple[slice, Array]]:
        """Rows and their features (F, rows), in blocks for which `columns` numbers per row fit into memory."""
        widest = max(columns, 1 + self.width * (self.width + 3) // 2)
        step = max(64, _BLOCK // widest)
        if step >= len(self):
            if not self._kept:
                self._kept.append(features(self.values, self.covariance_type))
            yield slice(0, len(self)), self._kept[0]
            return
        for start in range(0, len(self), step):
            rows = slice(start, min(start + step, len(self)))
            yield rows, features(self.values[rows], self.covariance_type)


@dataclass(frozen=True)
class Runs:
    """Where the R starts have got to.

    Attributes
    ----------
    parameters : Parameters
    log_likelihood : ndarray of shape (R,)
        Mean per row, of the parameters before the last step; -inf of starts that became singular.
    iterations : ndarray of int, shape (R,)
    converged, singular : ndarray of bool, shape (R,)
    """

    parameters: Parameters
    log_likelihood: Array
    iterations: NDArray[np.intp]
    converged: NDArray[np.bool_]
    singular: NDArray[np.bool_]

    def take(self, starts: NDArray[np.intp]) -> Runs:
        """Copies of some of the starts."""
        return Runs(
            self.parameters.take(starts),
            self.log_likelihood[starts],
            self.iterations[starts],
            self.converged[starts],
            self.singular[starts],
        )


def from_labels(rows: Rows, labels: NDArray[np.intp], n_components: int) -> Runs:
    """Starts from partitions of the rows, labels (R, n): one M-step."""
    n_starts = len(labels)
    sums: Array | float = 0.0
    for block, phi in rows.blocks(n_starts * n_components):
        one_hot = labels[:, None, block] == np.arange(n_components)[:, None]
        sums = sums + _weighted(one_hot.astype(np.float64), phi)
    return Runs(
        maximise(np.asarray(sums), rows.covariance_type, rows.width),
        np.full(n_starts, -np.inf),
        np.zeros(n_starts, dtype=np.intp),
        np.zeros(n_starts, dtype=bool),
        np.zeros(n_starts, dtype=bool),
    )


def run(rows: Rows, runs: Runs, n_iterations: int, tol: float) -> Runs:
    """Run every start on, until its mean log-likelihood rises by less than `tol`, it is singular, or time is up."""
    runs = runs.take(np.arange(len(runs.iterations)))
    active = np.flatnonzero(~(runs.converged | runs.singular))
    for _ in range(n_iterations):
        if not len(active):
            break
        before = runs.log_likelihood[active]
        value, stepped, singular = _step(rows, runs.parameters.take(active))
        going = ~singular
        runs.parameters.put(active[going], stepped.take(np.flatnonzero(going)))
        runs.iterations[active] += 1
        runs.log_likelihood[active] = np.where(singular, -np.inf, value)
        runs.singular[active] = singular
        runs.converged[active] = going & (np.abs(value - before) < tol)
        active = active[going & ~runs.converged[active]]
    return runs


def _step(rows: Rows, parameters: Parameters) -> tuple[Array, Parameters, NDArray[np.bool_]]:
    """Mean log-likelihood of the parameters, the parameters after one step of EM, and which starts are singular."""
    coefficients, singular = natural(parameters)
    n_starts, n_components, n_features = coefficients.shape
    total = np.zeros(n_starts)
    sums = np.zeros(coefficients.shape)
    for _, phi in rows.blocks(n_starts * n_components):
        joint = (coefficients.reshape(-1, n_features) @ phi).reshape(n_starts, n_components, -1)
        peak = joint.max(axis=1, keepdims=True)
        joint -= peak
        np.exp(joint, out=joint)
        norm = joint.sum(axis=1, keepdims=True)
        joint /= norm
        total += (peak + np.log(norm)).sum(axis=(1, 2))
        sums += _weighted(joint, phi)
    return total / len(rows), maximise(sums, rows.covariance_type, rows.width), singular


def _weighted(responsibilities: Array, phi: Array) -> Array:
    """Sums of phi (F, n) weighted by responsibilities (R, K, n): (R, K, F)."""
    n_starts, n_components, n = responsibilities.shape
    return (responsibilities.reshape(-1, n) @ phi.T).reshape(n_starts, n_components, -1)
