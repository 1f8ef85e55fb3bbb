"""How many latent dimensions: BIC over M = 0, 1, 2, ..."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from underlie.models.linear_gaussian import LinearGaussian
from underlie.models.ppca_closed_form import model_from_spectrum, noise_floor, spectrum
from underlie.models.ppca_em import climb
from underlie.models.ppca_incomplete import IncompleteRows
from underlie.models.ppca_rows import Array, as_matrix
from underlie.models.ppca_steps import Parameters, expectation, fitted_model, maximise, starting_point

__all__ = ["RankSelection", "bic", "n_parameters", "select_rank"]

# With missing cells the search ends after this many ranks in a row without a better BIC.
_PATIENCE = 5
# Log-likelihoods are found to this precision (nats, whole table) for the comparison of ranks.
_PRECISION = 0.02
_TRIAL_STEPS = 3
# A noise variance below this fraction of the average variance has collapsed, if the model can fit the rows exactly.
_COLLAPSED = 1e-8


@dataclass(frozen=True, eq=False)
class RankSelection:
    """BIC of each number of latent dimensions.

    Attributes
    ----------
    model : LinearGaussian, the one with the smallest BIC, in canonical form
    n_components : int, its M
    ranks : ndarray of int, shape (k,), the M that were tried: 0, 1, 2, ...
    log_likelihood : ndarray of shape (k,), maximum, mean per row in nats
    bic : ndarray of shape (k,)
    converged : bool, whether every log-likelihood is as good as the maximum
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
    12.202
    """
    log_density = model.log_density(X)
    penalty = n_parameters(model.n_features, model.n_components) * np.log(len(log_density))
    return float(-2 * log_density.sum() + penalty)


def select_rank(X: ArrayLike, max_components: int | None = None, *, max_iter: int = 1000) -> RankSelection:
    """Choose the number of latent dimensions by BIC, M = 0 (independent columns of equal variance) included.

    Complete data need one eigendecomposition for all M. With missing cells, models are fitted by EM for M = 0, 1, 2,
    ..., each from the better of two starts (the last model with one more direction; the pairwise-available covariance),
    until BIC has not improved for five ranks in a row. The search also ends where the likelihood has no maximum: rows
    with no more than M observed cells say nothing about the noise, so with much missing and large M the model can fit
    the few others exactly, and its noise variance falls to nothing.

    BIC is an approximation for n much larger than D; with n < D it is not to be trusted.

    Parameters
    ----------
    X : array-like of shape (n, D)
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
    X = as_matrix(X, missing=True, min_rows=2)
    n, n_columns = X.shape
    largest = min(n - 1, n_columns)
    if max_components is None:
        max_components = max(0, min(n_columns - 1, n // 2))
    if not 0 <= max_components <= largest:
        raise ValueError(
            f"max_components={max_components} must lie between 0 and min(n_samples - 1, n_features) = {largest}; "
            f"X has n_samples={n}, n_features={n_columns}."
        )
    if np.isnan(X).any():
        return _select_by_em(X, max_components, max_iter)
    return _select_by_spectrum(X, max_components)


def _criterion(log_likelihood: Array, n: int, n_columns: int) -> Array:
    counts = np.array([n_parameters(n_columns, m) for m in range(len(log_likelihood))])
    criterion: Array = -2 * n * log_likelihood + counts * np.log(n)
    return criterion


def _select_by_spectrum(X: Array, max_components: int) -> RankSelection:
    n, n_columns = X.shape
    parts = spectrum(X, max_components)
    ranks = np.arange(max_components + 1)
    retained = np.concatenate([[0.0], np.cumsum(parts.values)])
    left = retained[-1] - retained + parts.discarded
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


def _select_by_em(X: Array, max_components: int, max_iter: int) -> RankSelection:
    rows = IncompleteRows.from_table(X)
    tol = _PRECISION / rows.n_informative
    found: list[float] = []
    best = 0
    converged = True
    criterion = np.zeros(0)
    fits: list[Parameters] = []
    for n_latent in range(max_components + 1):
        start = _better_start(rows, n_latent, fits[-1] if fits else None)
        parameters, path = climb(rows, start, tol, max_iter)
        if parameters.noise_variance < _COLLAPSED and _fits_exactly(rows, n_latent):
            break
        converged &= path.gap <= tol
        fits.append(parameters)
        found.append(path.history[-1])
        criterion = _criterion(rows.on_data_scale(found), len(X), X.shape[1])
        best = int(criterion.argmin())
        if n_latent - best >= _PATIENCE:
            break
    model = fitted_model(rows, fits[best])
    return RankSelection(model, best, np.arange(len(found)), rows.on_data_scale(found), criterion, bool(converged))


def _fits_exactly(rows: IncompleteRows, n_latent: int) -> bool:
    """Whether an M-dimensional plane has at least as many free parameters as the rows have residuals from it."""
    return bool(rows.n_residuals(n_latent) <= (n_latent + 1) * (rows.values.shape[1] - n_latent))


def _better_start(rows: IncompleteRows, n_latent: int, smaller: Parameters | None) -> Parameters:
    """Of the start by moments and the extended smaller model, the one that a few EM steps bring higher."""
    candidates = [starting_point(rows, n_latent)]
    if smaller is not None:
        candidates.append(_extended(rows, smaller))
    reached: list[tuple[float, Parameters]] = []
    for parameters in candidates:
        found = expectation(rows, parameters)
        for _ in range(_TRIAL_STEPS):
            parameters = maximise(rows, found)
            found = expectation(rows, parameters)
        reached.append((found.log_likelihood, parameters))
    return max(reached, key=lambda pair: pair[0])[1]


def _extended(rows: IncompleteRows, smaller: Parameters) -> Parameters:
    """One more column of loadings, along what the pairwise-available covariance has most in excess of the model's."""
    length, direction = rows.pairwise_excess(smaller.loadings, smaller.noise_variance)
    column = direction * np.sqrt(max(length, 0.05 * smaller.noise_variance))
    coefficients = np.column_stack([smaller.loadings, column, smaller.mean])
    return Parameters(coefficients, smaller.noise_variance)
