"""Bayesian probabilistic PCA: a Gaussian prior on each column of loadings, whose precision decides if it is needed.

    w_m ~ N(0, I_D / alpha_m)        z ~ N(0, I_M)        x | z ~ N(W z + mean, s2 I_D)

Automatic relevance determination (Bishop 1999): alpha_m, mean and s2 maximise a variational lower bound of the
evidence; columns that the data do not support end with alpha_m infinite and w_m = 0. The posterior is approximated by
q(W) q(z).

Complete data: given s2, the bound has a global maximum in closed form (Nakajima, Sugiyama, Babacan and Tomioka 2013);
s2 is found by a search on a line. Missing cells: variational EM, with the rotation of z that raises the bound most
after each step (Luttinen and Ilin 2010), and a test for each column whether the bound is higher without it.

References
----------
Bishop, C. M. (1999). Bayesian PCA. Advances in Neural Information Processing Systems 11, 382-388.
Luttinen, J. and Ilin, A. (2010). Transformations in variational Bayesian factor analysis to speed up learning.
    Neurocomputing 73, 1093-1102.
Nakajima, S., Sugiyama, M., Babacan, S. D. and Tomioka, R. (2013). Global analytic solution of fully-observed
    variational Bayesian matrix factorization. Journal of Machine Learning Research 14, 1-37.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from underlie.models.linear_gaussian import LinearGaussian, positive_columns
from underlie.models.ppca_closed_form import Spectrum, noise_floor
from underlie.models.ppca_evidence import solve_spectrum
from underlie.models.ppca_incomplete import IncompleteRows
from underlie.models.ppca_rows import Array
from underlie.models.ppca_table import Table, as_table
from underlie.models.ppca_variational import Variational, fit_variational

__all__ = ["ARDResult", "fit_ard"]


@dataclass(frozen=True, eq=False)
class ARDResult:
    """A fit by automatic relevance determination.

    Attributes
    ----------
    model : LinearGaussian, posterior means of the columns that are kept, longest first; mean and noise variance
    alpha : ndarray of shape (M,), prior precisions of the kept columns, in inverse squared units of the data
    lower_bound : float, bound on the log-evidence at the end, per row in nats (complete data: with the mean integrated
        out, per degree of freedom, of which there are n - 1)
    n_iter : int, passes over the data (1 for complete data)
    converged : bool
    """

    model: LinearGaussian
    alpha: Array
    lower_bound: float
    n_iter: int
    converged: bool


def fit_ard(
    X: ArrayLike | Table, max_components: int | None = None, *, tol: float = 1e-6, max_iter: int = 1000
) -> ARDResult:
    """Bayesian probabilistic PCA with automatic choice of the number of components.

    Parameters
    ----------
    X : array-like of shape (n, D), or Table
        NaN where missing.
    max_components : int, optional
        Largest number of components; if not given, as many as leave more residuals than free parameters, so at most
        min(n - 2, D - 1).
    tol : float
        Largest acceptable distance of the bound to its maximum, in nats per row (missing cells only).
    max_iter : int
        Largest number of passes over the data (missing cells only).

    Returns
    -------
    ARDResult
        Loadings are shrunk: the posterior mean of a weak column is shorter than its maximum-likelihood estimate.

    Raises
    ------
    ValueError
        Infinite values, a column without observed cells, fewer than two rows, or max_components out of range.

    References
    ----------
    Bishop, C. M. (1999). Bayesian PCA. Advances in Neural Information Processing Systems 11, 382-388.
    Nakajima, S., Sugiyama, M., Babacan, S. D. and Tomioka, R. (2013). Global analytic solution of fully-observed
    variational Bayesian matrix factorization. Journal of Machine Learning Research 14, 1-37.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((300, 10)) * [1.0, 0.8, 0.6, 0.4, 0.2, 0.04, 0.04, 0.04, 0.04, 0.04]
    >>> fit_ard(X).model.n_components
    5
    """
    table = as_table(X)
    n, n_columns = table.shape
    largest = min(n - 1, n_columns)
    if max_components is not None and not 0 <= max_components <= largest:
        raise ValueError(
            f"max_components={max_components} must lie between 0 and min(n_samples - 1, n_features) = {largest}; "
            f"X has n_samples={n}, n_features={n_columns}."
        )
    if table.complete:
        allowed = max(0, min(n - 2, n_columns - 1)) if max_components is None else max_components
        return _complete(table.spectrum(largest), n, allowed)
    rows = table.prepared()
    if max_components is None:
        max_components = _largest_rank(rows)
    return _on_data_scale(rows, fit_variational(rows, max_components, tol / rows.informative_share, max_iter))


def _complete(parts: Spectrum, n: int, max_components: int) -> ARDResult:
    floor = noise_floor(parts.total, parts.magnitude)
    if parts.total <= floor:
        model = LinearGaussian(parts.mean, np.zeros((len(parts.mean), 0)), floor)
        return ARDResult(model, np.zeros(0), float("nan"), 1, True)
    # The mean has taken one degree of freedom: with n of them the last residual, zero, would draw the noise to zero.
    solution = solve_spectrum(n * parts.values, n - 1, len(parts.mean), max_components, floor)
    kept = len(solution.lengths)
    model = LinearGaussian(
        parts.mean, positive_columns(parts.vectors[:, :kept] * solution.lengths), solution.noise_variance
    )
    return ARDResult(model, solution.alpha, solution.lower_bound / (n - 1), 1, True)


def _largest_rank(rows: IncompleteRows) -> int:
    """Largest M below D for which a plane of M dimensions cannot fit all rows exactly."""
    n_latent = 0
    n_columns = rows.values.shape[1]
    while n_latent + 1 < n_columns and rows.n_residuals(n_latent + 1) > (n_latent + 2) * (n_columns - n_latent - 1):
        n_latent += 1
    return n_latent


def _on_data_scale(rows: IncompleteRows, fitted: Variational) -> ARDResult:
    order = np.argsort(fitted.alpha)
    model = LinearGaussian(
        rows.centre + rows.scale * fitted.mean,
        positive_columns(rows.scale * fitted.loadings[:, order]),
        rows.scale**2 * fitted.noise_variance,
    )
    lower_bound = float(rows.on_data_scale([fitted.bound])[0])
    return ARDResult(model, fitted.alpha[order] / rows.scale**2, lower_bound, fitted.n_iter, fitted.converged)
