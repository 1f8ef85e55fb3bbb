r"""Maximum mean discrepancy with a Gaussian kernel: two samples, or a model and data, in one number and a test."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from underlie.check.adapters import moment_model
from underlie.check.complete import complete_rows
from underlie.check.seeds import generator, integer_seed

Array = NDArray[np.float64]
Bandwidth = float | Literal["median"]
_BLOCK = 2**21
"""Kernel values in memory at a time: 16 MiB."""
_MEDIAN_ROWS = 2_000
"""The median distance is taken over at most so many rows: two million pairs."""


@final
@dataclass(frozen=True, eq=False)
class MmdResult:
    """Squared maximum mean discrepancy of two samples; see `mmd`.

    Attributes
    ----------
    biased : float
        V-statistic of the squared MMD: a squared distance, never negative, positive on average also when both samples
        have one distribution.
    unbiased : float
        U-statistic: 0 on average when both samples have one distribution, so negative half of the time.
    se : float
        Standard error of `unbiased` by the delta method. It describes samples that do differ; near equality the
        statistic's noise is of smaller order, and `p_value` is what to read.
    floor : float
        Mean of `biased` over all ways to part the pooled rows: what two samples of one distribution score at this n
        and m.
    p_value : float or None
        Of the permutation test of equal distributions, (1 + #{permuted >= observed}) / (n_permutations + 1).
    bandwidth : float
        h of the kernel, in the unit of x.
    n, m : int
        Rows of the two samples.
    n_permutations : int
        As asked.
    """

    biased: float
    unbiased: float
    se: float
    floor: float
    p_value: float | None
    bandwidth: float
    n: int
    m: int
    n_permutations: int

    def _cells(self) -> list[tuple[str, str]]:
        p = "not asked for" if self.p_value is None else f"{self.p_value:.3g} ({self.n_permutations:,} permutations)"
        return [
            ("biased (V)", f"{self.biased:.4g}"),
            ("floor of it", f"{self.floor:.4g}"),
            ("unbiased (U)", f"{self.unbiased:.4g}"),
            ("s.e. of it", f"{self.se:.2g}"),
            ("p-value", p),
        ]

    def _caption(self) -> str:
        return f"squared MMD, Gaussian kernel, bandwidth {self.bandwidth:.4g}; n = {self.n:,}, m = {self.m:,}"

    def __str__(self) -> str:
        return "\n".join([self._caption(), *(f"{label:<14}{value}" for label, value in self._cells())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        body = "".join(f"<tr><th>{label}</th><td>{html.escape(value)}</td></tr>" for label, value in self._cells())
        return f"<table><caption>{html.escape(self._caption())}</caption>{body}</table>"


def mmd(
    X: object,
    Y: object,
    *,
    bandwidth: Bandwidth = "median",
    n_permutations: int = 199,
    random_state: object = None,
) -> MmdResult:
    r"""Squared maximum mean discrepancy between two samples, with a permutation test of equal distributions.

    .. math::
        \mathrm{MMD}^2 = E\,k(x, x') + E\,k(y, y') - 2 E\,k(x, y), \qquad
        k(x, y) = \exp\left(-\frac{\lVert x - y \rVert^2}{2 h^2}\right)

    It is 0 only when both distributions are the same. The V-statistic averages over all pairs of rows, the U-statistic
    over pairs of different rows.

    Parameters
    ----------
    X, Y : table, array (n, P) and (m, P), or images
        Two samples of independent rows, at least two each. Tables are matched by column name. The kernel weighs columns
        by their units: standardise columns of different units first, both samples by the same numbers.
    bandwidth : float or "median"
        h, in the unit of x. "median" is the median distance between pooled rows (of 2,000 rows taken at random where
        there are more).
    n_permutations : int
        Of the test; 0 for none. The smallest possible p-value is 1 / (n_permutations + 1).
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed of the permutations and of the rows behind the median.

    Returns
    -------
    MmdResult

    Raises
    ------
    ValueError
        When the widths or column names differ, a sample has fewer than two rows, a cell is missing or infinite, the
        bandwidth is not positive, or its median is zero.
    TypeError
        When a sample does not hold numbers.

    Notes
    -----
    The permutation test has its exact level at every n and m when rows can be exchanged. Y drawn from a model that was
    fitted to X breaks that: the model resembles these rows more than a new sample would, and p-values are too large.
    Time grows as (n + m)^2 (P + n_permutations), memory as (n + m)(P + n_permutations).

    References
    ----------
    Gretton, Borgwardt, Rasch, Schoelkopf and Smola (2012), A kernel two-sample test, JMLR 13.

    Examples
    --------
    >>> import numpy as np
    >>> import underlie as ul
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(200, 2)), rng.normal(0.5, 1.0, size=(150, 2))
    >>> print(ul.mmd(x, y, random_state=0))
    squared MMD, Gaussian kernel, bandwidth 1.722; n = 200, m = 150
    biased (V)    0.07893
    floor of it   0.004888
    unbiased (U)  0.07425
    s.e. of it    0.022
    p-value       0.005 (199 permutations)
    """
    rng = generator(random_state)
    if not _is_count(n_permutations):
        raise ValueError(f"n_permutations={n_permutations!r}: give a whole number, 0 for no test")
    pooled, n = _pool(X, Y)
    h = _checked(bandwidth) if bandwidth != "median" else median_distance(pooled, rng)
    labels = np.zeros((len(pooled), n_permutations + 1))
    labels[:n, 0] = 1.0
    for b in range(n_permutations):
        labels[rng.permutation(len(pooled))[:n], b + 1] = 1.0
    return _result(pooled, labels, h)


def model_mmd(
    model: object,
    X: object,
    *,
    bandwidth: Bandwidth = "median",
    standardize: bool = False,
    max_rows: int | None = None,
    n_draws: int | None = None,
    n_permutations: int = 0,
    random_state: object = None,
) -> MmdResult:
    """Squared MMD between data and draws of a fitted model; see `mmd`.

    Parameters
    ----------
    model : fitted estimator
        Any with ``sample(n, random_state)``, and scikit-learn's GaussianMixture, PCA (as probabilistic PCA) and
        FactorAnalysis.
    X : table, array or images
        n rows as the model was fitted to, without missing cells.
    bandwidth : float or "median"
        "median" is the median distance between rows of X alone, so that models compared on the same X and seed have
        one kernel.
    standardize : bool
        Divide the columns by their standard deviations in X; constant ones stay as they are.
    max_rows : int, optional
        Rows of X that take part at most, chosen at random; all by default.
    n_draws : int, optional
        Draws m of the model; as many as X has rows by default.
    n_permutations : int
        Of the test; none by default. Its level holds for a model that has not seen these rows.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed of the draws, of the permutations and of the rows behind the median.

    Returns
    -------
    MmdResult
        With n rows of X and m draws.

    Raises
    ------
    ValueError
        As `mmd`.
    TypeError
        When the model cannot be drawn from.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.mixture import GaussianMixture
    >>> from underlie.check.mmd import model_mmd
    >>> X = load_iris().data
    >>> one, two = (GaussianMixture(k, random_state=0).fit(X) for k in (1, 2))
    >>> model_mmd(one, X, random_state=0).unbiased > model_mmd(two, X, random_state=0).unbiased
    True
    """
    rng = generator(random_state)
    view = moment_model(model)
    values = view.numeric(X)
    values, _ = complete_rows(values, "X", "MMD") if len(values) else (values, None)
    scale = column_scale(values) if standardize else np.ones(values.shape[1])
    if max_rows is not None and len(values) > max_rows:
        values = values[np.sort(rng.choice(len(values), max_rows, replace=False))]
    m = len(values) if n_draws is None else n_draws
    if not _is_count(m) or m < 2:
        raise ValueError(f"n_draws={n_draws!r}: at least 2 draws are needed")
    values = values / scale
    h = bandwidth if bandwidth != "median" else median_distance(values, rng)
    draws = view.sample(m, integer_seed(rng)) / scale
    return mmd(values, draws, bandwidth=h, n_permutations=n_permutations, random_state=rng)


def column_scale(values: Array) -> Array:
    """Standard deviations of the columns of (n, P), 1 where one is constant: (P,)."""
    spread = values.std(axis=0)
    return np.where(spread > 8 * np.finfo(float).eps * np.abs(values.mean(axis=0)), spread, 1.0)


def median_distance(values: Array, rng: np.random.Generator) -> float:
    """Median Euclidean distance between different rows of (n, P), of at most 2,000 rows taken at random.

    Raises
    ------
    ValueError
        When it is zero: more than half of the pairs are equal.
    """
    if len(values) > _MEDIAN_ROWS:
        values = values[np.sort(rng.choice(len(values), _MEDIAN_ROWS, replace=False))]
    median = float(np.median(pdist(values)))
    if not median > 0:
        raise ValueError(
            "bandwidth='median': the median distance between rows is 0, since most rows are equal; give a number"
        )
    return median


def _is_count(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 0)


def _checked(bandwidth: Any) -> float:
    if isinstance(bandwidth, bool | str) or not np.isfinite(bandwidth) or bandwidth <= 0:
        raise ValueError(f"bandwidth={bandwidth!r}: give a positive number or 'median'")
    return float(bandwidth)


def _pool(X: object, Y: object) -> tuple[Array, int]:
    """Rows of both samples about their common mean, which keeps distances of far-off data precise; rows of X."""
    first, names = complete_rows(X, "X", "MMD")
    second, others = complete_rows(Y, "Y", "MMD")
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"X has {first.shape[1]} columns, but Y has {second.shape[1]}")
    if names is not None and others is not None and names != others:
        if unknown := [name for name in others if name not in names]:
            raise ValueError(f"Y has a column {unknown[0]!r} that X has not")
        second = second[:, [others.index(name) for name in names]]
    for name, sample in (("X", first), ("Y", second)):
        if len(sample) < 2:
            raise ValueError(f"{name} has {len(sample)} row; MMD needs at least 2")
    pooled = np.concatenate([first, second])
    return pooled - pooled.mean(axis=0), len(first)


def _result(pooled: Array, labels: Array, h: float) -> MmdResult:
    r"""The statistics for every column a of labels (1 in the first sample), of which the first is the observed one.

    With the kernel matrix K and the ones vector e, all sums over pairs are a'Ka, a'Ke and e'Ke, so that one pass over K
    serves all permutations.
    """
    similar, to_all = _kernel_products(pooled, labels, h)
    n, m = int(labels[:, 0].sum()), int((1 - labels[:, 0]).sum())
    xx = np.einsum("ib,ib->b", labels, similar)
    x_all = labels.T @ to_all
    xy = x_all - xx
    yy = to_all.sum() - x_all - xy
    biased = xx / n**2 + yy / m**2 - 2 * xy / (n * m)
    unbiased = (xx - n) / (n * (n - 1)) + (yy - m) / (m * (m - 1)) - 2 * xy / (n * m)
    permutations = labels.shape[1] - 1
    ties = 1e-12  # equal partitions may differ in their last bits
    exceed = int((unbiased[1:] >= unbiased[0] - ties).sum())
    mean_kernel = (to_all.sum() - n - m) / ((n + m) * (n + m - 1))
    return MmdResult(
        biased=float(biased[0]),
        unbiased=float(unbiased[0]),
        se=_standard_error(similar[:, 0], to_all, labels[:, 0] > 0),
        floor=float((1 - mean_kernel) * (1 / n + 1 / m)),
        p_value=(1 + exceed) / (1 + permutations) if permutations else None,
        bandwidth=h,
        n=n,
        m=m,
        n_permutations=permutations,
    )


def _kernel_products(pooled: Array, labels: Array, h: float) -> tuple[Array, Array]:
    """K a for every column of labels (N, B + 1), and K e (N,), from blocks of rows of K."""
    squares = np.einsum("ij,ij->i", pooled, pooled)
    similar = np.empty_like(labels)
    to_all = np.empty(len(pooled))
    step = max(1, _BLOCK // len(pooled))
    for start in range(0, len(pooled), step):
        rows = slice(start, min(start + step, len(pooled)))
        kernel = pooled[rows] @ pooled.T
        kernel *= -2.0
        kernel += squares
        kernel += squares[rows, None]
        np.maximum(kernel, 0.0, out=kernel)
        kernel /= -2.0 * h**2
        np.exp(kernel, out=kernel)
        kernel[np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)] = 1.0
        similar[rows] = kernel @ labels
        to_all[rows] = kernel.sum(axis=1)
    return similar, to_all


def _standard_error(to_first: Array, to_all: Array, first: NDArray[np.bool_]) -> float:
    """Of the U-statistic: twice the sd of each row's mean similarity to its own sample less that to the other."""
    n, m = int(first.sum()), int((~first).sum())
    to_second = to_all - to_first
    of_x = (to_first[first] - 1) / (n - 1) - to_second[first] / m
    of_y = (to_second[~first] - 1) / (m - 1) - to_first[~first] / n
    return 2 * float(np.sqrt(of_x.var(ddof=1) / n + of_y.var(ddof=1) / m))
