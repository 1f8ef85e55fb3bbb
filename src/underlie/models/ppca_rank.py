"""How many latent dimensions: BIC over M = 0, 1, 2, ..."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from underlie.models.linear_gaussian import LinearGaussian
from underlie.models.ppca_closed_form import model_from_spectrum, noise_floor
from underlie.models.ppca_em import climb
from underlie.models.ppca_incomplete import IncompleteRows
from underlie.models.ppca_rows import Array
from underlie.models.ppca_steps import Parameters, expectation, fitted_model, maximise, starting_point
from underlie.models.ppca_table import Table, as_table

__all__ = ["RankSelection", "bic", "n_parameters", "select_rank"]

# With missing cells the search ends after this many ranks in a row without a better BIC.
_PATIENCE = 5
# Precision of log-likelihoods (nats, whole table): of each rank, and of those whose BIC comes close to the smallest.
_COARSE = 0.5
_FINE = 0.005
_CLOSE = 10.0
# A rank whose remaining gap is estimated to be below this fraction of what it lacks is not followed further.
_HOPELESS = 0.125
_TRIAL_STEPS = 3
# A noise variance below this fraction of the last rank's has collapsed, if the model can fit the rows exactly.
_COLLAPSED = 0.2


@dataclass(frozen=True, eq=False)
class RankSelection:
    """BIC of each number of latent dimensions.

    Attributes
    ----------
    model : LinearGaussian, the one with the smallest BIC, in canonical form
    n_components : int, its M
    ranks : ndarray of int, shape (k,), the M that were tried: 0, 1, 2, ...
    log_likelihood : ndarray of shape (k,), maximum, mean per row in nats
    bic : ndarray of shape (k,), with missing cells to within about 1 for ranks that are far from the best
    converged : bool, whether every log-likelihood is as close to its maximum as the comparison needs
    """

    model: LinearGaussian
    n_components: int
    ranks: NDArray[np.intp]
    log_likelihood: Array
    bic: Array
    converged: bool


def n_parameters(n_features: int, n_components: int) -> int:
    """Free parameters: D M - M (M - 1) / 2 loadings (a rotation of z changes nothing), D means, one noise variance."""
    return n_features * n_components - n_components * (n_components - 1) // 2 + n_features + 1


def bic(model: LinearGaussian, X: ArrayLike) -> float:
    """Bayesian information criterion, -2 log-likelihood + (number of parameters) log n; smaller is better.

    Parameters
    ----------
    model : LinearGaussian
    X : array-like of shape (n, D), NaN where missing

    Returns
    -------
    float

    References
    ----------
    Schwarz, G. (1978). Estimating the dimension of a model. Annals of Statistics 6, 461-464.

    Examples
    --------
    >>> model = LinearGaussian([0.0, 0.0], [[1.0], [0.0]], 1.0)
    >>> round(bic(model, [[0.0, 0.0], [0.0, 0.0]]), 3)
    12.204
    """
    log_density = model.log_density(X)
    penalty = n_parameters(model.n_features, model.n_components) * np.log(len(log_density))
    return float(-2 * log_density.sum() + penalty)


def select_rank(X: ArrayLike | Table, max_components: int | None = None, *, max_iter: int = 1000) -> RankSelection:
    """Choose the number of latent dimensions by BIC, M = 0 (independent columns of equal variance) included.

    Complete data need one eigendecomposition for all M. With missing cells, models are fitted by EM for M = 0, 1, 2,
    ..., each from the better of two starts (the last model with one more direction; the pairwise-available covariance),
    until BIC has not improved for five ranks in a row. The search also ends where the likelihood has no maximum: rows
    with no more than M observed cells say nothing about the noise, so with much missing and large M the model can fit
    the few others exactly, and its noise variance falls to nothing.

    BIC is an approximation for n much larger than D; with n < D it is not to be trusted.

    Parameters
    ----------
    X : array-like of shape (n, D), or Table
        NaN where missing.
    max_components : int, optional
        Largest M, at most min(n - 1, D). By default min(D - 1, n // 2): near M = n - 1 the residual variance vanishes
        for lack of rows, and BIC with it.
    max_iter : int
        Largest number of passes over the data for each M (missing cells only).

    Returns
    -------
    RankSelection

    Raises
    ------
    ValueError
        Infinite values, a column without observed cells, fewer than two rows, or max_components out of range.

    References
    ----------
    Schwarz, G. (1978). Estimating the dimension of a model. Annals of Statistics 6, 461-464.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((300, 2)) @ rng.standard_normal((2, 6)) + 0.3 * rng.standard_normal((300, 6))
    >>> select_rank(X).n_components
    2
    """
    table = as_table(X)
    n, n_columns = table.shape
    if n < 2:
        raise ValueError(f"X has n_samples={n} row(s), at least 2 are needed.")
    largest = min(n - 1, n_columns)
    if max_components is None:
        max_components = max(0, min(n_columns - 1, n // 2))
    if not 0 <= max_components <= largest:
        raise ValueError(
            f"max_components={max_components} must lie between 0 and min(n_samples - 1, n_features) = {largest}; "
            f"X has n_samples={n}, n_features={n_columns}."
        )
    if table.complete:
        return _select_by_spectrum(table, max_components)
    return _select_by_em(table, max_components, max_iter)


def _criterion(log_likelihood: Array, n: int, n_columns: int) -> Array:
    counts = np.array([n_parameters(n_columns, m) for m in range(len(log_likelihood))])
    criterion: Array = -2 * n * log_likelihood + counts * np.log(n)
    return criterion


def _select_by_spectrum(table: Table, max_components: int) -> RankSelection:
    n, n_columns = table.shape
    parts = table.spectrum(max_components)
    ranks = np.arange(max_components + 1)
    retained = np.concatenate([[0.0], np.cumsum(parts.values)])
    left = np.where(ranks < n_columns, retained[-1] - retained + parts.discarded, 0.0)
    floor = noise_floor(parts.total, parts.magnitude)
    noise = np.maximum(left / np.maximum(n_columns - ranks, 1), floor)
    # Variances of the retained directions under each model: an eigenvalue below the noise is fitted by the noise.
    variances = np.maximum(parts.values[None, :], noise[:, None])
    kept = np.tri(len(ranks), max_components, -1)
    log_det = (kept * np.log(variances)).sum(axis=1) + (n_columns - ranks) * np.log(noise)
    quadratic = (kept * parts.values / variances).sum(axis=1) + left / noise
    log_likelihood = -0.5 * (n_columns * np.log(2 * np.pi) + log_det + quadratic)
    criterion = _criterion(log_likelihood, n, n_columns)
    best = int(criterion.argmin())
    model = model_from_spectrum(parts, best)
    return RankSelection(model, best, ranks, log_likelihood, criterion, True)


def _select_by_em(table: Table, max_components: int, max_iter: int) -> RankSelection:
    rows = table.prepared()
    path = _Ranks(rows, *table.shape, max_iter)
    for n_latent in range(max_components + 1):
        start, reached = _better_start(rows, n_latent, path.fits[-1] if path.fits else None)
        behind = path.deficit(n_latent, reached)
        if not path.add(start, max(_COARSE, _HOPELESS * behind)) or n_latent - path.best >= _PATIENCE:
            break
    path.refine()
    model = fitted_model(rows, path.fits[path.best])
    log_likelihood = rows.on_data_scale(path.found)
    return RankSelection(model, path.best, np.arange(len(log_likelihood)), log_likelihood, path.bic, path.converged)


@dataclass
class _Ranks:
    """Fits of M = 0, 1, 2, ... so far."""

    rows: IncompleteRows
    n: int
    n_columns: int
    max_iter: int
    fits: list[Parameters] = field(default_factory=list)
    found: list[float] = field(default_factory=list)
    converged: bool = True

    @property
    def bic(self) -> Array:
        return _criterion(self.rows.on_data_scale(self.found), self.n, self.n_columns)

    @property
    def best(self) -> int:
        return int(self.bic.argmin())

    def deficit(self, n_latent: int, log_likelihood: float) -> float:
        """By how many nats (whole table) the log-likelihood of the next rank must rise to reach the smallest BIC."""
        if not self.found:
            return 0.0
        candidate = _criterion(self.rows.on_data_scale([*self.found, log_likelihood]), self.n, self.n_columns)[n_latent]
        return max(0.0, 0.5 * float(candidate - self.bic.min()))

    def add(self, start: Parameters, precision: float) -> bool:
        """Fit the next rank to a precision in nats (whole table); False where its likelihood has no maximum."""
        parameters, path = climb(self.rows, start, precision / self.rows.n_informative, self.max_iter)
        if self._collapsed(parameters):
            return False
        self.fits.append(parameters)
        self.found.append(path.history[-1])
        self.converged &= bool(path.gap <= path.tol)
        return True

    def _collapsed(self, parameters: Parameters) -> bool:
        n_latent = parameters.n_latent
        if n_latent == 0 or not _fits_exactly(self.rows, n_latent):
            return False
        return parameters.noise_variance < _COLLAPSED * self.fits[n_latent - 1].noise_variance

    def refine(self) -> None:
        """Fit the ranks that are close to the best one to a finer precision; from one that collapses on, drop them."""
        refined: set[int] = set()
        while close := {int(m) for m in np.flatnonzero(self.bic < self.bic.min() + _CLOSE)} - refined:
            n_latent = min(close)
            refined.add(n_latent)
            parameters, path = climb(self.rows, self.fits[n_latent], _FINE / self.rows.n_informative, self.max_iter)
            if self._collapsed(parameters):
                del self.fits[n_latent:], self.found[n_latent:]
                continue
            self.fits[n_latent], self.found[n_latent] = parameters, path.history[-1]
            self.converged &= bool(path.gap <= path.tol)


def _fits_exactly(rows: IncompleteRows, n_latent: int) -> bool:
    """Whether an M-dimensional plane has at least as many free parameters as the rows have residuals from it."""
    return bool(rows.n_residuals(n_latent) <= (n_latent + 1) * (rows.values.shape[1] - n_latent))


def _better_start(rows: IncompleteRows, n_latent: int, smaller: Parameters | None) -> tuple[Parameters, float]:
    """Of the start by moments and the extended smaller model, the one that a few EM steps bring higher."""
    candidates = [starting_point(rows, n_latent)]
    if smaller is not None:
        candidates.append(_extended(rows, smaller))
    reached: list[tuple[Parameters, float]] = []
    for parameters in candidates:
        found = expectation(rows, parameters)
        for _ in range(_TRIAL_STEPS):
            parameters = maximise(rows, found)
            found = expectation(rows, parameters)
        reached.append((parameters, found.log_likelihood))
    return max(reached, key=lambda pair: pair[1])


def _extended(rows: IncompleteRows, smaller: Parameters) -> Parameters:
    """One more column of loadings, along what the pairwise-available covariance has most in excess of the model's."""
    length, direction = rows.pairwise_excess(smaller.loadings, smaller.noise_variance)
    column = direction * np.sqrt(max(length, 0.05 * smaller.noise_variance))
    coefficients = np.column_stack([smaller.loadings, column, smaller.mean])
    return Parameters(coefficients, smaller.noise_variance)
