"""One fit of the linear-Gaussian model: settings checked, columns scaled, solver chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from underlie.data.encoder import Encoder
from underlie.estimators.base import is_whole
from underlie.models.ppca import LinearGaussian, fit_ard, fit_em, noise_floor, select_rank
from underlie.models.ppca_closed_form import check_n_components, model_from_spectrum
from underlie.models.ppca_table import Table, as_table
from underlie.warnings import ConvergenceWarning, DataWarning, warn

Floats = NDArray[np.float64]

#: the squares of values outside this range leave that of a float64
_SMALLEST, _LARGEST = 1e-150, 1e150


@final
@dataclass(frozen=True)
class FitSettings:
    """The parameters of a fit, as the user gave them; checked when made.

    Attributes
    ----------
    n_components, solver, prior, tol, max_iter
        See :class:`~underlie.ProbabilisticPCA`.
    n_dependent : int
        Number of columns known to follow exactly from others: one indicator of each categorical column.

    Raises
    ------
    ValueError, TypeError
        If one cannot be used, naming it.
    """

    n_components: Any
    solver: Any
    prior: Any
    tol: Any
    max_iter: Any
    n_dependent: int = 0

    def __post_init__(self) -> None:
        if self.solver not in ("auto", "eigh", "em"):
            raise ValueError(f"solver must be 'auto', 'eigh' or 'em', got {self.solver!r}.")
        if self.prior not in (None, "ard"):
            raise ValueError(f"prior must be None or 'ard', got {self.prior!r}.")
        self._check_n_components()
        if not isinstance(self.tol, (int, float, np.floating)) or isinstance(self.tol, bool) or not self.tol > 0:
            raise ValueError(f"tol must be a positive number, got {self.tol!r}.")
        if not is_whole(self.max_iter) or self.max_iter < 1:
            raise ValueError(f"max_iter must be a whole number of at least 1, got {self.max_iter!r}.")

    def _check_n_components(self) -> None:
        value = self.n_components
        if is_whole(value):
            if value < 1:
                raise ValueError(f"n_components must be at least 1, got {value}.")
        elif value is None:
            if self.prior != "ard":
                raise ValueError('n_components=None needs prior="ard". Give a number, or n_components="bic".')
        elif value != "bic":
            raise ValueError(f'n_components must be a whole number, "bic" or None, got {value!r}.')
        elif self.prior == "ard":
            raise ValueError('n_components="bic" and prior="ard" both choose the number of components: use one.')


@final
@dataclass(frozen=True, eq=False)
class LinearFit:
    """What a fit found.

    Attributes
    ----------
    model : LinearGaussian
        Of the divided columns.
    log_likelihood : ndarray of shape (n_steps,)
        Mean per row, in nats on the scale of the table, after each step.
    n_iter : int
    converged : bool
    alpha : ndarray of shape (M,), or None
        Prior precisions of the columns of W, with ``prior="ard"``.
    """

    model: LinearGaussian
    log_likelihood: Floats
    n_iter: int
    converged: bool
    alpha: Floats | None = None


def column_scale(table: Table) -> Floats:
    """Standard deviations of the observed cells of each column, (P,); 1 where a column is constant up to rounding."""
    mean, spread = table.mean_and_spread()
    return np.where(spread > 8 * np.finfo(np.float64).eps * np.abs(mean), spread, 1.0)


def largest_values(A: Floats, encoder: Encoder) -> Floats:
    """Largest absolute value of each column, (P,); ValueError where its square cannot be represented."""
    lowest, highest = A.min(axis=0), A.max(axis=0)
    if np.isnan(lowest).any():  # cells are missing: the reductions that pass over them are slower
        lowest, highest = np.fmin.reduce(A, axis=0), np.fmax.reduce(A, axis=0)
    return checked_largest(np.fmax(highest, -lowest), encoder)


def checked_largest(largest: Floats, encoder: Encoder) -> Floats:
    """Largest absolute values of the columns, (P,), as they are; ValueError where a square cannot be represented."""
    outside = (largest > _LARGEST) | ((largest < _SMALLEST) & (largest > 0))
    if outside.any():
        j = int(np.argmax(outside))
        raise ValueError(
            f"column {encoder.numeric_names[j]!r} of X holds values of at most {largest[j]:.3g}, whose squares leave "
            "the range of floating-point numbers. Change its units: divide it by a fixed number."
        )
    return largest


def fit_linear(
    A: Floats | Table, scale: Floats, rank: int | None, settings: FitSettings, magnitude: float
) -> LinearFit:
    """Fit the model to the numeric columns, divided by ``scale``.

    Parameters
    ----------
    A : ndarray of shape (n, P), or Table
        NaN where missing.
    scale : ndarray of shape (P,)
    rank : int or None
        Number of components, with ``prior="ard"`` the largest number; None: chosen by BIC or the prior.
    settings : FitSettings
    magnitude : float
        Largest absolute value of the divided columns.

    Returns
    -------
    LinearFit

    Raises
    ------
    ValueError
        If the solver cannot take missing cells.

    Warns
    -----
    ConvergenceWarning
        If EM reached the largest number of iterations.
    DataWarning
        If no noise is left.
    """
    table = as_table(A)
    scaled = table.divided(scale)
    missing = not scaled.complete
    if missing and settings.solver == "eigh":
        raise ValueError('solver="eigh" needs complete data, but X has missing cells. Use solver="em" or "auto".')
    if settings.prior == "ard":
        fit = _fit_by_ard(scaled, rank, settings, magnitude)
    elif rank is None:
        fit = _fit_by_bic(scaled, settings, magnitude)
    elif missing or settings.solver == "em":
        found = fit_em(scaled, rank, tol=float(settings.tol), max_iter=int(settings.max_iter))
        fit = LinearFit(found.model, found.log_likelihood, found.n_iter, found.converged)
    else:
        check_n_components(rank, scaled.shape)
        fit = _closed(model_from_spectrum(scaled.spectrum(rank), rank), scaled, magnitude)
    if not fit.converged:
        warn(
            f"EM stopped after max_iter={settings.max_iter} passes before it converged. Increase max_iter, or tol.",
            ConvergenceWarning,
        )
    _warn_without_noise(fit.model, magnitude)
    jacobian = float(table.observed_shares @ np.log(scale)) if (scale != 1).any() else 0.0
    return replace(fit, log_likelihood=fit.log_likelihood - jacobian)


def _fit_by_bic(scaled: Table, settings: FitSettings, magnitude: float) -> LinearFit:
    """The rank with the smallest BIC among those that leave noise.

    Where columns depend on each other exactly, as the indicators of a categorical column do, the likelihood has no
    upper bound at the rank of the table, and BIC would always choose it.
    """
    largest = min(_most_components(scaled, settings), scaled.shape[0] // 2)
    found = select_rank(scaled, largest, max_iter=int(settings.max_iter))
    if found.n_components and _without_noise(found.model, magnitude):
        found = select_rank(scaled, found.n_components - 1, max_iter=int(settings.max_iter))
    history = found.log_likelihood[[found.n_components]]
    return LinearFit(found.model, history, 1, found.converged)


def _fit_by_ard(scaled: Table, rank: int | None, settings: FitSettings, magnitude: float) -> LinearFit:
    """As many components as the prior keeps, among the numbers that leave noise."""
    largest = _most_components(scaled, settings)
    found = _pruned(scaled, largest if rank is None else min(rank, largest), settings)
    if found.model.n_components and _without_noise(found.model, magnitude):
        found = _pruned(scaled, found.model.n_components - 1, settings)
    return found


def _pruned(scaled: Table, largest: int, settings: FitSettings) -> LinearFit:
    tol, max_iter = float(settings.tol), int(settings.max_iter)
    if largest == 0:
        # no column of W is left for the prior to decide about: maximum likelihood
        plain = fit_em(scaled, 0, tol=tol, max_iter=max_iter)
        return LinearFit(plain.model, plain.log_likelihood[-1:], plain.n_iter, plain.converged, np.zeros(0))
    found = fit_ard(scaled, largest, tol=tol, max_iter=max_iter)
    mean = scaled.mean_log_density(found.model)
    return LinearFit(found.model, np.array([mean]), found.n_iter, found.converged, found.alpha)


def _most_components(scaled: Table, settings: FitSettings) -> int:
    n, n_columns = scaled.shape
    return max(0, min(n_columns - settings.n_dependent - 1, n - 2))


def checked_rank(n_components: int, shape: tuple[int, ...]) -> int:
    """The number of components to fit: at most D - 1, with a DataWarning; ValueError above n - 2.

    D - 1 components and one noise variance give any covariance (the noise is its smallest eigenvalue), so that more
    add nothing. Above n - 2 the rows lie in the space of the components, and no noise is left to estimate.
    """
    n, n_columns = shape
    if n_columns < 2:
        raise ValueError(
            "X has 1 feature(s), but latent components need at least 2 columns that they can explain together."
        )
    wanted = min(int(n_components), n_columns - 1)
    if wanted > n - 2:
        raise ValueError(
            f"n_components={n_components} needs at least {wanted + 2} rows, but X has n_samples={n} (and D={n_columns} "
            f"numeric columns). Give more rows{f', or n_components at most {n - 2}' if n > 2 else ''}. "
            "(more: underlie explain too-few-rows)"
        )
    if wanted < n_components:
        warn(
            f"n_components={n_components} is reduced to {wanted}, which gives {n_columns} columns any covariance.",
            DataWarning,
        )
    return wanted


def _closed(model: LinearGaussian, scaled: Table, magnitude: float) -> LinearFit:
    if _without_noise(model, magnitude):
        mean = scaled.mean_log_density(model)
    else:
        # the quadratic form of the maximum-likelihood covariance averages to D
        lengths = (model.loadings**2).sum(axis=0)
        log_det = np.log(lengths + model.noise_variance).sum()
        log_det += (model.n_features - model.n_components) * np.log(model.noise_variance)
        mean = -0.5 * (model.n_features * (np.log(2 * np.pi) + 1) + float(log_det))
    return LinearFit(model, np.array([mean]), 1, True)


def _without_noise(model: LinearGaussian, magnitude: float) -> bool:
    total = float((model.loadings**2).sum()) + model.n_features * model.noise_variance
    return model.noise_variance <= 1.01 * noise_floor(total, magnitude)


def _warn_without_noise(model: LinearGaussian, magnitude: float) -> None:
    if _without_noise(model, magnitude):
        warn(
            f"The rows lie, up to rounding, in a space of {model.n_components} dimensions: no noise is left, and the "
            "likelihood is as large as the lower bound of the noise variance lets it be. Remove columns that are sums "
            "or copies of others, or use fewer components.",
            DataWarning,
        )


def spectrum_ratio(model: LinearGaussian) -> Floats:
    """Leading eigenvalues of W W' + s2 I over its trace, (M,)."""
    lengths: Floats = (model.loadings**2).sum(axis=0)
    ratio: Floats = (lengths + model.noise_variance) / (lengths.sum() + model.n_features * model.noise_variance)
    return ratio
