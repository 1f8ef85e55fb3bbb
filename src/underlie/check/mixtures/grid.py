"""Fits of mixtures over a grid."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from underlie.check.complete import complete_rows
from underlie.check.mixtures.criteria import CRITERIA, contribution, criteria, paired_se, row_terms
from underlie.check.mixtures.fitting import Fit, Problem, Settings, check_types, missing_fit
from underlie.check.mixtures.result import MixtureSelection
from underlie.check.mixtures.starts import Starts
from underlie.check.mixtures.structures import COVARIANCE_TYPES
from underlie.check.scores import n_parameters
from underlie.check.seeds import generator
from underlie.warnings import DataWarning, warn

Array = NDArray[np.float64]
N_INIT = 50


def fit_mixtures(
    X: object,
    n_components: int | Iterable[int] = range(1, 10),
    *,
    covariance_types: Iterable[str] = COVARIANCE_TYPES,
    n_init: int = N_INIT,
    criterion: str = "bic",
    max_iter: int = 2_000,
    tol: float = 1e-6,
    random_state: object = None,
) -> MixtureSelection:
    r"""Fit Gaussian mixtures over numbers of components and covariance structures, and choose among them.

    .. math::
        \mathrm{AIC} = 2k - 2\ell, \qquad \mathrm{BIC} = k \log n - 2\ell, \qquad
        \mathrm{ICL} = \mathrm{BIC} - 2 \sum_i \log \max_j p(j \mid x_i)

    with l the log-likelihood and k the number of free parameters. Lower is better, as in scikit-learn; R's mclust has
    the opposite signs. BIC asks how many normal components describe the density, ICL how many groups are told apart.

    Parameters
    ----------
    X : table or array of numbers
        n rows, P columns, no missing cells.
    n_components : int or iterable of int
        Numbers of components K.
    covariance_types : iterable of {"full", "tied", "diag", "spherical"}
        As in scikit-learn; in mclust's names VVV, EEE, VVI and VII.
    n_init : int
        Starts for each K: Ward's trees, and k-means from random seeds, in three metrics. All run for 15 iterations of
        EM, the best ten on to convergence.
    criterion : {"bic", "icl", "aic"}
        By which to choose.
    max_iter, tol
        EM stops when the mean log-likelihood per row rises by less than `tol`. Scikit-learn's default, 1e-3, stops
        early.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed of the starts.

    Returns
    -------
    MixtureSelection
        Table of criteria, fitted ``sklearn.mixture.GaussianMixture`` models, the choice and its uncertainty.

    Raises
    ------
    ValueError
        When a cell is missing or infinite, an argument is out of range, or no mixture of the grid has a proper fit.
    TypeError
        When X does not hold numbers.

    Warns
    -----
    DataWarning
        When the choice has the largest K of the grid.

    Notes
    -----
    The likelihood of a mixture has no upper bound: a component that shrinks onto few rows drives it to infinity. Fits
    in which a component's variance in some direction falls below 1e-8 of the data's own, or which rest a component on
    fewer effective rows (n times its weight) than its covariance needs (P + 1 for "full", 2 for "diag" and
    "spherical"), are no maxima of interest. The best other one is taken; where no start leads to one, the table says
    why. A floor under the variances, which scikit-learn's ``reg_covar`` is, would hide them. Models are fitted in
    coordinates of unit variance and taken back exactly, so that units do not matter.

    References
    ----------
    Schwarz (1978). Biernacki, Celeux and Govaert (2000), Assessing a mixture model for clustering with the integrated
    completed likelihood. Biernacki, Celeux and Govaert (2003), Choosing starting values for the EM algorithm. Scrucca,
    Fop, Murphy and Raftery (2016), mclust 5.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> import underlie as ul
    >>> found = ul.fit_mixtures(load_iris().data, range(1, 5), random_state=0)
    >>> found.best
    (2, 'full')
    >>> found.table.loc[[(2, "full"), (3, "full"), (3, "tied")], ["log_likelihood", "n_parameters", "bic"]].round(1)
                                log_likelihood  n_parameters    bic
    n_components covariance
    2            full                   -214.4          29.0  574.0
    3            full                   -180.2          44.0  580.8
                 tied                   -256.4          24.0  633.0
    """
    counts = _counts(n_components)
    types = check_types(covariance_types)
    if criterion not in CRITERIA:
        raise ValueError(f"criterion={criterion!r}: choose among {', '.join(CRITERIA)}")
    if n_init < 1 or max_iter < 1 or not tol > 0:
        raise ValueError(f"n_init={n_init!r}, max_iter={max_iter!r}, tol={tol!r}: all must be positive")
    values, columns = complete_rows(X, "X", "a Gaussian mixture")
    if len(values) < 2:
        raise ValueError("X has 1 row; mixtures need at least 2")
    names = columns or tuple(f"x{j}" for j in range(values.shape[1]))
    settings = Settings(n_init, max_iter, tol)
    with threadpool_limits(1):  # small matrices: threads cost more than they save
        fits = _fit_all(values, names, counts, types, settings, generator(random_state))
    if all(fit.model is None for fit in fits.values()):
        key, fit = next(iter(fits.items()))
        raise ValueError(f"no mixture of the grid has a proper fit; K = {key[0]}, {key[1]}: {fit.reason}")
    result = _selection(values, names, fits, criterion, settings)
    if len(counts) > 1 and result.best[0] == max(counts):
        warn(
            f"{criterion.upper()} chooses the largest number of components of the grid, {max(counts)}; extend the grid",
            DataWarning,
        )
    return result


def _counts(n_components: Any) -> tuple[int, ...]:
    asked = (n_components,) if isinstance(n_components, int | np.integer) else tuple(n_components)
    bad = [k for k in asked if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1]
    if bad or not asked:
        raise ValueError(f"n_components={n_components!r}: give whole numbers of at least 1")
    return tuple(sorted({int(k) for k in asked}))


def _fit_all(
    values: Array,
    names: tuple[str, ...],
    counts: tuple[int, ...],
    types: tuple[str, ...],
    settings: Settings,
    rng: np.random.Generator,
) -> dict[tuple[int, str], Fit]:
    problem, starts = Problem(values, names), Starts(values, rng)
    fits = {}
    for k in counts:
        too_many = k > len(values)
        labels = None if too_many else starts.labels(k, settings.n_init)
        for covariance_type in types:
            fits[k, covariance_type] = (
                missing_fit(f"{k} components for {len(values)} rows")
                if labels is None
                else problem.fit(labels, k, covariance_type, settings)
            )
    return fits


def _selection(
    values: Array, names: tuple[str, ...], fits: dict[tuple[int, str], Fit], criterion: str, settings: Settings
) -> MixtureSelection:
    import pandas as pd

    models = {key: fit.model for key, fit in fits.items() if fit.model is not None}
    values_of = {key: criteria(model, *row_terms(model, values)) for key, model in models.items()}
    best = min(models, key=lambda key: (values_of[key][criterion], key[0]))
    reference = contribution(criterion, *row_terms(models[best], values))
    rows = []
    for key, fit in fits.items():
        row: dict[str, Any] = {"log_likelihood": fit.log_likelihood, "n_parameters": np.nan}
        row |= dict.fromkeys((*CRITERIA, "difference", "difference_se"), np.nan)
        if fit.model is not None:
            own = contribution(criterion, *row_terms(fit.model, values))
            row |= {"n_parameters": n_parameters(fit.model), **values_of[key]}
            row["difference"] = values_of[key][criterion] - values_of[best][criterion]
            row["difference_se"] = paired_se(own, reference)
        row |= {"n_iter": fit.n_iter, "converged": fit.converged, "smallest_component": fit.smallest}
        row |= {"n_degenerate": fit.n_degenerate, "reason": fit.reason}
        rows.append(row)
    index = pd.MultiIndex.from_tuples(list(fits), names=["n_components", "covariance"])
    return MixtureSelection(
        table=pd.DataFrame(rows, index=index),
        models=models,
        best=best,
        criterion=criterion,
        feature_names=names,
        values=values,
        settings=settings,
    )
