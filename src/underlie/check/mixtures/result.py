"""What a search among Gaussian mixtures found."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from underlie.check.mixtures.bootstrap import N_BOOTSTRAP, BootstrapTest, bootstrap_test
from underlie.check.mixtures.criteria import _log_joint, row_terms
from underlie.check.mixtures.fitting import Settings

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Key = tuple[int, str]
_SHOWN = 8


@final
@dataclass(frozen=True, eq=False)
class MixtureSelection:
    """Result of `fit_mixtures`: `print` it, look at its ``table``, draw it with ``plot()``.

    Attributes
    ----------
    table : pandas.DataFrame
        Indexed by (``n_components``, ``covariance``), with columns

        ``log_likelihood``, ``n_parameters``
            sum over rows in nats, and free parameters;
        ``bic``, ``icl``, ``aic``
            lower is better;
        ``difference``, ``difference_se``
            of the criterion asked for to that of the chosen model, and its standard error paired by row (parameters
            taken as given);
        ``n_iter``, ``converged``
            of the best start;
        ``smallest_component``
            effective rows, n times weight;
        ``n_degenerate``
            starts that ended with a singular or too small component, of those that were run on;
        ``reason``
            why there is no model; then all numbers of it are NaN.
    models : mapping of (int, str) to GaussianMixture
        The proper fits, on the scale of X, components in order of weight.
    best : (int, str)
        Number of components and covariance structure of the choice.
    criterion : str
        By which it was made.
    feature_names : tuple of str
        Of the P columns.
    values : ndarray of shape (n, P)
        The data.
    settings : Settings
        Starts, iterations and tolerance.
    """

    table: pd.DataFrame
    models: Mapping[Key, GaussianMixture]
    best: Key
    criterion: str
    feature_names: tuple[str, ...]
    values: Array
    settings: Settings

    @property
    def best_model_(self) -> GaussianMixture:
        """The chosen model."""
        return self.models[self.best]

    @property
    def labels(self) -> NDArray[np.intp]:
        """Most probable component of each row by the chosen model, (n,)."""
        return np.argmax(_log_joint(self.best_model_, self.values), axis=1)

    @property
    def uncertainty(self) -> Array:
        """Classification uncertainty of each row by the chosen model, 1 - max_j p(j | x_i), (n,)."""
        return -np.expm1(row_terms(self.best_model_, self.values)[1])

    @property
    def indistinguishable(self) -> tuple[Key, ...]:
        """Models whose criterion lies within two paired standard errors of the chosen one's."""
        others = self.table[self.table["difference"].notna()].drop(index=[self.best])
        near = others[others["difference"] <= 2 * others["difference_se"]]
        return tuple((int(k), str(c)) for k, c in near.index)

    def bootstrap_test(
        self,
        n_components: int | None = None,
        covariance_type: str | None = None,
        *,
        level: float = 0.05,
        n_bootstrap: int = N_BOOTSTRAP,
        n_init: int = 10,
        max_components: int | None = None,
        random_state: object = None,
        n_jobs: int | None = None,
    ) -> BootstrapTest:
        """Bootstrap likelihood-ratio test of K against K + 1 components.

        Parameters
        ----------
        n_components : int, optional
            The K to be tested; by default K = 1, 2, ... until one is not rejected.
        covariance_type : str, optional
            That of the chosen model by default.
        level : float
            Of each test.
        n_bootstrap : int
            Samples B drawn from the mixture of K components; p = (1 + #{simulated >= observed}) / (B + 1).
        n_init : int
            Starts of each fit, of observed and simulated data alike.
        max_components : int, optional
            Where a sequence of tests ends; the largest K of the table by default.
        random_state : int, numpy.random.Generator, numpy.random.RandomState or None
            Seed.
        n_jobs : int or None
            Samples that are worked on side by side, by joblib, as in `compare_survival_models`; the result is the same.

        Returns
        -------
        BootstrapTest

        Raises
        ------
        ValueError
            When an argument is out of range, or the mixture of K components has no proper fit.

        References
        ----------
        McLachlan (1987), On bootstrapping the likelihood ratio test statistic for the number of components in a normal
        mixture.
        """
        return bootstrap_test(
            self.values,
            self.feature_names,
            n_components,
            self.best[1] if covariance_type is None else covariance_type,
            level=level,
            n_bootstrap=n_bootstrap,
            settings=Settings(n_init, self.settings.max_iter, self.settings.tol),
            max_components=int(self.table.index.get_level_values(0).max())
            if max_components is None
            else max_components,
            random_state=random_state,
            n_jobs=n_jobs,
        )

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """The criterion against the number of components: `underlie.plot.mixture_criteria`."""
        import underlie as ul  # by its public face: checks do not depend on drawing

        return ul.plot.mixture_criteria(self, ax=ax, **options)

    def _ranked(self) -> pd.DataFrame:
        columns = ["log_likelihood", "n_parameters", "bic", "icl", "aic", "difference", "difference_se"]
        ranked = self.table.sort_values(self.criterion).head(_SHOWN)[columns]
        return ranked[ranked["bic"].notna()].round(2)

    def _caption(self) -> str:
        n, width = self.values.shape
        dropped = int(self.table[self.criterion].isna().sum())
        return (
            f"{len(self.models)} Gaussian mixtures of {n:,} rows, {width:,} columns; lowest {self.criterion.upper()}: "
            f"K = {self.best[0]}, {self.best[1]}; {len(self.indistinguishable)} other(s) within 2 standard errors; "
            f"{dropped} without a proper fit"
        )

    def __str__(self) -> str:
        return f"{self._caption()}\n{self._ranked().to_string()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self._caption())}</p>{self._ranked().to_html()}"
