r"""MEGA: the moment gap between data and a latent-variable model."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from underlie.check.adapters import MomentModel, moment_model
from underlie.check.moments import (
    Coordinates,
    Gap,
    coordinates,
    data_estimate,
    exact_estimate,
    forward_estimate,
    gap_between,
)
from underlie.check.noise import floor_of_second, standard_errors
from underlie.check.norms import Norm, norm_gradient, schatten_exponent, symmetric_norm
from underlie.check.seeds import generator, integer_seed

Array = NDArray[np.float64]
N_DRAWS = 10_000
_HIGHEST_ORDER = 2


@dataclass(frozen=True, eq=False)
class MegaResult:
    """Moment gaps between data and model, data minus model; see `mega`.

    Attributes
    ----------
    first, second : float
        Norms of the gaps, in the unit of x and its square (free of unit when `standardized`). `second` is None for
        order 1.
    gap_first, gap : ndarray of shape (P,) and (P, P)
        The gaps of E[x] and E[x x'].
    gap_first_noise, gap_noise : ndarray of shape (P,) and (P, P)
        Standard deviation of every entry of the gaps if the model were right.
    first_se, second_se : float
        Monte-Carlo standard errors of the norms, from the model's latent draws; 0 when `exact`.
    floor_first, floor_second : float
        Root mean square of the norms that a right model, not fitted to these rows, would score at this n and m.
    exact : bool
        Whether the model's moments are in closed form.
    feature_names : tuple of str
        Names of the P coordinates.
    n, m : int
        Rows of data, and latent draws (0 when exact).
    order, norm, standardized
        As asked.
    """

    first: float
    second: float | None
    gap_first: Array
    gap: Array | None
    gap_first_noise: Array
    gap_noise: Array | None
    first_se: float
    second_se: float | None
    floor_first: float
    floor_second: float | None
    exact: bool
    feature_names: tuple[str, ...]
    n: int
    m: int
    order: int
    norm: Norm
    standardized: bool

    @property
    def floor(self) -> float:
        """The floor of the highest order asked for."""
        return self.floor_first if self.floor_second is None else self.floor_second

    def _rows(self) -> list[tuple[str, str, str, str]]:
        def cells(label: str, value: float, se: float | None, floor: float | None) -> tuple[str, str, str, str]:
            error = "exact" if self.exact else f"{se:.2g}"
            return label, f"{value:.4g}", error, f"{floor:.4g}"

        rows = [cells("first, E[x]", self.first, self.first_se, self.floor_first)]
        if self.second is not None:
            rows.append(cells("second, E[xx']", self.second, self.second_se, self.floor_second))
        return rows

    def _caption(self) -> str:
        source = "closed form" if self.exact else f"{self.m:,} latent draws"
        units = ", standardised coordinates" if self.standardized else ""
        return f"norm {self.norm}{units}; n = {self.n:,} rows, P = {len(self.feature_names):,}; model moments: {source}"

    def __str__(self) -> str:
        table = [("moment", "gap", "MC s.e.", "floor"), *self._rows()]
        widths = [max(len(row[j]) for row in table) for j in range(4)]
        lines = ["  ".join([row[0].ljust(widths[0]), *(row[j].rjust(widths[j]) for j in (1, 2, 3))]) for row in table]
        return "\n".join([f"MEGA ({self._caption()})", *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self._rows()
        )
        head = "<tr><th>moment</th><th>gap</th><th>MC s.e.</th><th>floor</th></tr>"
        return f"<table><caption>MEGA: {html.escape(self._caption())}</caption>{head}{body}</table>"


def mega(
    model: object,
    X: object,
    order: int = 2,
    *,
    norm: Norm = "fro",
    standardize: bool = False,
    n_draws: int = N_DRAWS,
    random_state: object = None,
) -> MegaResult:
    r"""Moment gap between data and model: how far their first and second raw moments are apart.

    .. math::
        \mathrm{1MEGA} = \lVert \bar x - E_{model}[x] \rVert, \qquad
        \mathrm{2MEGA} = \lVert S + \bar x \bar x' - E_{model}[x x'] \rVert

    with S the sample covariance (divisor n - 1). The model's moments are exact where a closed form exists; otherwise
    they are means over m latent draws of E[x|z_i] and of Var[x|z_i] + E[x|z_i] E[x|z_i]', which has a smaller variance
    than sampling x.

    Parameters
    ----------
    model : fitted estimator
        Any estimator of underlie, scikit-learn's GaussianMixture, PCA (as probabilistic PCA) or FactorAnalysis, or an
        object with ``exact_moments() -> (mean (P,), raw second moment (P, P))`` or with
        ``moments(z) -> (mean (m, P), variance (m, P))`` and ``sample_latent(m, random_state) -> z (m, M)``; coordinates
        must be independent given z, except indicators of one category, which the object lists in
        ``exclusive_groups_`` (sequences of column numbers).
    X : table, array or images
        n rows as the model was fitted to. Missing cells: every entry of the data's moments rests on the rows where both
        columns are seen, which is unbiased when cells are missing completely at random and may not be otherwise.
    order : {1, 2}
        Highest moment.
    norm : {"fro", "op", "nuc"} or float
        Schatten norm of the second gap: Frobenius, operator, nuclear, or the exponent q >= 1. Of a vector they are all
        the Euclidean norm.
    standardize : bool
        Take both moments of (x - mean) / sd, mean and sd of X: free of units, so that columns of different units weigh
        alike, and the second moment is a correlation matrix. Constant columns keep their unit. Nearly constant columns
        weigh heavily then, so the user's own units (the default) suit images better.
    n_draws : int
        Latent draws m when there is no closed form.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed of the draws, and of the bootstrap behind the floor of norms other than Frobenius.

    Returns
    -------
    MegaResult
        Norms, gap matrices, standard errors and floors.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        When the model has not been fitted.
    ValueError
        When X has another width, fewer than two rows, a column without values or a pair of columns never seen together,
        when the order or norm is not supported, or when the model has no finite moment.
    TypeError
        When the model offers no moments, or X is not numeric.

    Notes
    -----
    The *floor* is the root mean square of the norm under sampling noise alone. For the first moment it is
    sqrt(sum_j Var(x_j) / n + Var(E[x_j|z]) / m); for the second, in Frobenius norm,
    sqrt(sum_jk Var(x_j x_k) / n + Var(T_jk) / m), with T the term averaged over draws and all variances taken from the
    data (so fourth moments of X) and the draws. Other norms use a multiplier bootstrap of rows and draws. It is meant
    for a model that has not seen these rows. A model fitted to them can score below it: a Gaussian mixture fitted by
    EM matches the first moment exactly and the second up to S / n, whatever its number of components, so on training
    data this gap cannot tell such models apart.

    The standard error is by the delta method, and overstates the noise when the gap is itself of the size of the
    floor.

    References
    ----------
    Beaulac, C. (2021). A moment-matching metric for latent variable generative models.

    Examples
    --------
    A model of one species of iris, checked against flowers of all three:

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> import underlie as ul
    >>> X = load_iris().data
    >>> print(ul.mega(PCA(n_components=1).fit(X[:50]), X))
    MEGA (norm fro; n = 150 rows, P = 4; model moments: closed form)
    moment            gap  MC s.e.   floor
    first, E[x]     2.649    exact  0.1746
    second, E[xx']  32.62    exact   2.313
    """
    if order not in range(1, _HIGHEST_ORDER + 1):
        raise ValueError(f"order={order!r} is not supported; use 1 (means) or 2 (means and second moments)")
    schatten_exponent(norm)
    view = moment_model(model)
    values = view.numeric(X)
    check_identified(values, view.names, order)
    at = coordinates(values, standardize)
    exact = view.exact_about(at.reference)
    rng = generator(random_state)
    data = data_estimate(values, at, order)
    if exact is not None:
        draws = None
        gap = gap_between(data, exact_estimate(exact[0], exact[1] if order > 1 else None), at)
    else:
        if n_draws < 2:
            raise ValueError(f"n_draws={n_draws!r}: at least 2 latent draws are needed")
        draws = view, view.sample_latent(n_draws, integer_seed(rng))
        gap = gap_between(data, forward_estimate(*draws, at, order), at)
    return _result(gap, values, draws, at, view.names, norm=norm, standardize=standardize, rng=rng)


def _result(
    gap: Gap,
    values: Array,
    draws: tuple[MomentModel, NDArray[Any]] | None,
    at: Coordinates,
    names: tuple[str, ...],
    *,
    norm: Norm,
    standardize: bool,
    rng: np.random.Generator,
) -> MegaResult:
    """Norms, errors and floors of a gap."""
    first = float(np.linalg.norm(gap.first))
    second = None if gap.second is None else symmetric_norm(gap.second, norm)
    first_se, second_se = 0.0, 0.0
    if draws is not None:
        direction = None if gap.second is None else norm_gradient(gap.second, norm)
        first_se, second_se = standard_errors(*draws, at, gap.first / (first or 1.0), direction)
    return MegaResult(
        first=first,
        second=second,
        gap_first=gap.first,
        gap=gap.second,
        gap_first_noise=gap.first_noise,
        gap_noise=gap.second_noise,
        first_se=first_se,
        second_se=None if second is None else second_se,
        floor_first=float(np.linalg.norm(gap.first_noise)),
        floor_second=None if second is None else floor_of_second(gap, norm, values, draws, at, rng),
        exact=draws is None,
        feature_names=names,
        n=len(values),
        m=0 if draws is None else len(draws[1]),
        order=1 if second is None else 2,
        norm=norm,
        standardized=standardize,
    )


def check_identified(values: Array, names: tuple[str, ...], order: int) -> None:
    """Refuse data (n, P) whose moments are not identified.

    Raises
    ------
    ValueError
        Fewer than two rows, a column with fewer than two values, or a pair seen together in fewer than two rows.
    """
    if values.shape[1] != len(names):
        raise ValueError(f"X has {values.shape[1]} columns, but the model has {len(names)}")
    if len(values) < 2:
        raise ValueError(f"X has {len(values)} row(s); moments and their noise need at least 2")
    seen = np.isfinite(values)
    if seen.all():
        return
    count = seen.sum(axis=0)
    if (count < 2).any():
        column = int(np.argmax(count < 2))
        raise ValueError(
            f"X: column {names[column]!r} has {count[column]} value(s), at least 2 are needed; leave it out"
        )
    if order == 1:
        return
    together = seen.astype(float).T @ seen.astype(float)
    if (together < 2).any():
        j, k = np.argwhere(together < 2)[0]
        raise ValueError(
            f"X: columns {names[j]!r} and {names[k]!r} are seen together in {int(together[j, k])} row(s), so their "
            "second moment is not identified; leave one out, or use order=1"
        )
