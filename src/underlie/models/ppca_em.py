"""Maximum likelihood of probabilistic PCA with missing cells (missing at random).

Mean, loadings and noise variance are estimated together. Three stages:

1. Start from the pairwise-available covariance, projected to the positive semi-definite cone.
2. Parameter-expanded EM (Liu, Rubin and Wu 1998): the M-step regresses each column on (z, 1), then the latent mean
   and covariance that the E-step found are moved into the mean and the loadings. The likelihood cannot fall.
3. Where EM crawls (near saddle points, or with much missing), quasi-Newton steps that start from EM's own curvature
   (Jamshidian and Jennrich 1997), accepted only where the likelihood rises.

It stops when the *remaining* gap to the maximum is estimated to be below the tolerance, not when a step was short.

References
----------
Jamshidian, M. and Jennrich, R. I. (1997). Acceleration of the EM algorithm by using quasi-Newton methods.
    JRSS B 59, 569-587.
Liu, C., Rubin, D. B. and Wu, Y. N. (1998). Parameter expansion to accelerate EM: the PX-EM algorithm.
    Biometrika 85, 755-770.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from underlie.models.linear_gaussian import LinearGaussian
from underlie.models.ppca_closed_form import check_n_components
from underlie.models.ppca_incomplete import IncompleteRows
from underlie.models.ppca_rows import Array
from underlie.models.ppca_steps import (
    Expectation,
    Parameters,
    em_step,
    expectation,
    fitted_model,
    gradient,
    maximise,
    moved,
    starting_point,
    working_parameters,
)
from underlie.models.ppca_table import Table, as_table

__all__ = ["EMResult", "climb", "fit_em"]

# EM goes on as long as each step gains less than this fraction of what the step before gained.
_FAST_RATIO = 0.4
_MEMORY = 12
_GAP_WINDOW = 3
# The curvature that quasi-Newton steps have learnt is incomplete: their predicted gain falls short of the gap by up to
# this factor (largest seen on the tables of benchmarks/ppca_imputation.py).
_GAP_SAFETY = 8.0
_LONGEST_LOG_STEP = 2.0


@dataclass(frozen=True, eq=False)
class EMResult:
    """A fit by EM.

    Attributes
    ----------
    model : LinearGaussian, in canonical form
    log_likelihood : ndarray, mean observed-data log-likelihood per row in nats at each accepted iteration; never falls
    n_iter : int, number of passes over the data
    converged : bool, whether the estimated remaining gap fell below the tolerance (or, with the noise variance at its
        lower bound, below what rounding lets one see)
    gap : float, estimated distance of the last log-likelihood from the maximum, nats per row
    """

    model: LinearGaussian
    log_likelihood: Array
    n_iter: int
    converged: bool
    gap: float


@dataclass
class _Path:
    """Accepted log-likelihoods, and what they say about the distance that is left."""

    tol: float
    max_iter: int
    history: list[float] = field(default_factory=list)
    n_passes: int = 0
    gap: float = np.inf

    def accept(self, log_likelihood: float) -> None:
        self.history.append(log_likelihood)

    @property
    def exhausted(self) -> bool:
        return self.n_passes >= self.max_iter

    def extrapolated(self, window: int) -> float:
        """Aitken's estimate of the gains to come, from the last two windows of gains."""
        if len(self.history) <= 2 * window:
            return np.inf
        recent = self.history[-1] - self.history[-1 - window]
        before = self.history[-1 - window] - self.history[-1 - 2 * window]
        if recent >= before:
            return np.inf if recent > 0 else 0.0
        return recent * recent / (before - recent)


def climb(rows: IncompleteRows, start: Parameters, tol: float, max_iter: int) -> tuple[Parameters, _Path]:
    path = _Path(tol, max_iter)
    parameters, found = _expanded_em(rows, start, path)
    if path.gap > tol and not path.exhausted:
        parameters = _quasi_newton(rows, parameters, found, path)
    return parameters, path


def _expanded_em(rows: IncompleteRows, parameters: Parameters, path: _Path) -> tuple[Parameters, Expectation]:
    """EM for as long as it converges fast."""
    found = expectation(rows, parameters)
    path.n_passes += 1
    path.accept(found.log_likelihood)
    while not path.exhausted:
        proposal = maximise(rows, found)
        after = expectation(rows, proposal)
        path.n_passes += 1
        gain = after.log_likelihood - found.log_likelihood
        if gain <= found.resolution:
            path.gap = max(gain, found.resolution) if len(path.history) > 1 or gain <= 0 else np.inf
            if gain <= 0:
                break
        parameters, found = proposal, after
        path.accept(found.log_likelihood)
        if len(path.history) < 3:
            continue
        promised = 0.5 * _promised_gain(rows, parameters, found)
        path.gap = max(path.extrapolated(1), _GAP_SAFETY * promised)
        before = path.history[-2] - path.history[-3]
        if path.gap <= path.tol or gain > _FAST_RATIO * before:
            break
    return parameters, found


def _promised_gain(rows: IncompleteRows, parameters: Parameters, found: Expectation) -> float:
    """Slope of the log-likelihood along the next step of EM."""
    slope = gradient(rows, parameters, found)
    return float(slope @ em_step(rows, parameters, found, slope))


@dataclass
class _Curvature:
    """Limited-memory inverse curvature of the log-likelihood, started from EM's (Nocedal and Wright 2006, alg. 7.4)."""

    steps: deque[Array] = field(default_factory=lambda: deque(maxlen=_MEMORY))
    changes: deque[Array] = field(default_factory=lambda: deque(maxlen=_MEMORY))

    def learn(self, step: Array, change: Array) -> None:
        if step @ change > 1e-10 * np.sqrt((step @ step) * (change @ change)):
            self.steps.append(step)
            self.changes.append(change)

    def forget(self) -> None:
        self.steps.clear()
        self.changes.clear()

    def direction(self, rows: IncompleteRows, parameters: Parameters, found: Expectation, vector: Array) -> Array:
        left = vector.copy()
        used: list[float] = []
        for step, change in zip(reversed(self.steps), reversed(self.changes), strict=True):
            used.append(float(step @ left) / float(step @ change))
            left -= used[-1] * change
        result = em_step(rows, parameters, found, left)
        for step, change, weight in zip(self.steps, self.changes, reversed(used), strict=True):
            result += (weight - float(change @ result) / float(step @ change)) * step
        return result


def _quasi_newton(rows: IncompleteRows, parameters: Parameters, found: Expectation, path: _Path) -> Parameters:
    curvature = _Curvature()
    slope_vector = gradient(rows, parameters, found)
    while not path.exhausted:
        step = curvature.direction(rows, parameters, found, slope_vector)
        slope = float(step @ slope_vector)
        if slope <= 0:
            curvature.forget()
            step = em_step(rows, parameters, found, slope_vector)
            slope = float(step @ slope_vector)
        path.gap = max(_GAP_SAFETY * 0.5 * slope, path.extrapolated(_GAP_WINDOW))
        if path.gap <= path.tol:
            break
        step *= min(1.0, _LONGEST_LOG_STEP / max(abs(float(step[-1])), 1e-300))
        accepted = _line_search(rows, parameters, found, step, slope, path)
        if accepted is None:
            if not curvature.steps:
                # No direction gains anything that rounding lets us see. With the noise variance at its lower bound,
                # that is as far as one can get.
                if parameters.noise_variance <= 2 * rows.noise_floor or slope <= found.resolution:
                    path.gap = min(path.gap, path.tol)
                break
            curvature.forget()
            continue
        proposal, after = accepted
        change = np.append(
            (proposal.coefficients - parameters.coefficients).ravel(),
            np.log(proposal.noise_variance / parameters.noise_variance),
        )
        new_slope_vector = gradient(rows, proposal, after)
        curvature.learn(change, slope_vector - new_slope_vector)
        parameters, found, slope_vector = proposal, after, new_slope_vector
        path.accept(found.log_likelihood)
    return parameters


def _line_search(
    rows: IncompleteRows, parameters: Parameters, found: Expectation, step: Array, slope: float, path: _Path
) -> tuple[Parameters, Expectation] | None:
    """First point along the step where the likelihood rises by a fair part of what the slope promises."""
    length = 1.0
    while length > 1e-4 and not path.exhausted:
        proposal = moved(rows, parameters, length * step)
        after = expectation(rows, proposal)
        path.n_passes += 1
        gain = after.log_likelihood - found.log_likelihood
        if gain >= 1e-4 * length * slope:
            return proposal, after
        shortened = slope * length**2 / (2 * (slope * length - gain)) if np.isfinite(gain) else 0.0
        length = float(np.clip(shortened, 0.1 * length, 0.5 * length))
    return None


def fit_em(
    X: ArrayLike | Table,
    n_components: int,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    init: LinearGaussian | None = None,
) -> EMResult:
    """Maximum-likelihood probabilistic PCA of a table with missing cells.

    Maximises the observed-data likelihood sum_i log N(x_i,obs; mean_obs, (W W' + s2 I)_obs) in mean, W and s2, which is
    right when cells are missing at random (whether a cell is missing may depend on what was observed).

    Parameters
    ----------
    X : array-like of shape (n, D), or Table
        NaN where missing. Rows without any observed cell are allowed and carry no information.
    n_components : int
        M, between 0 and min(n - 1, D).
    tol : float
        Largest acceptable distance to the maximum, in nats per row.
    max_iter : int
        Largest number of passes over the data.
    init : LinearGaussian, optional
        Where to start; from the pairwise-available covariance if not given.

    Returns
    -------
    EMResult

    Raises
    ------
    ValueError
        Infinite values, a column without observed cells, fewer than two informative rows, parameters out of range.

    References
    ----------
    Tipping, M. E. and Bishop, C. M. (1999). Probabilistic principal component analysis. JRSS B 61, 611-622.
    Little, R. J. A. and Rubin, D. B. (2019). Statistical analysis with missing data, 3rd ed. Wiley.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 1)) * [2.0, 1.0, -1.0] + 0.1 * rng.standard_normal((500, 3))
    >>> X[rng.random(X.shape) < 0.3] = np.nan
    >>> fit = fit_em(X, 1)
    >>> fit.converged, round(fit.model.noise_variance, 3)
    (True, 0.009)
    """
    table = as_table(X)
    check_n_components(n_components, table.shape)
    if not tol > 0:
        raise ValueError(f"tol must be positive, got {tol}.")
    if max_iter < 1:
        raise ValueError(f"max_iter must be at least 1, got {max_iter}.")
    if init is not None and init.loadings.shape != (table.shape[1], n_components):
        raise ValueError(
            f"init has loadings of shape {init.loadings.shape}, expected {(table.shape[1], n_components)}."
        )
    rows = table.prepared()
    start = starting_point(rows, n_components) if init is None else working_parameters(rows, init)
    parameters, path = climb(rows, start, tol / rows.informative_share, max_iter)
    return EMResult(
        model=fitted_model(rows, parameters),
        log_likelihood=rows.on_data_scale(path.history),
        n_iter=path.n_passes,
        converged=bool(path.gap * rows.informative_share <= tol),
        gap=float(path.gap * rows.informative_share),
    )
