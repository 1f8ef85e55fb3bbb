"""What a moment check found: one gap for each order."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm as normal

from underlie.check.gaps.monomials import monomials
from underlie.check.norms import Norm

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
_ORDINALS = ("first", "second", "third", "fourth")
_LARGEST_TENSOR = 5 * 10**7


@final
@dataclass(frozen=True, eq=False)
class OrderGap:
    """The gap of one order, data minus model.

    Attributes
    ----------
    order : int
    value : float
        Its norm.
    se : float
        Standard error of the norm from the rows and the model's draws. It is made for gaps clearly above the floor,
        where the norm is nearly linear in the moments. NaN where the rows are not at hand, and in the Gram form for
        standardised coordinates.
    mc_se : float
        The part that comes from the model's draws; 0 when the moments are exact.
    floor : float
        Root mean square of the norm that a right model would score; NaN where it was not computed.
    p_value : float or None
        Probability of a norm as large if the model were right; None when not asked for.
    entries : array (p,) or None
        The distinct entries of the gap; None in the Gram form.
    noise_entries : array (p,) or None
        Standard deviation of each if the model were right.
    largest : array (B,) or None
        Largest ratio of an entry to its noise in each data set drawn from the model.
    width : int
        Columns.
    """

    order: int
    value: float
    se: float
    mc_se: float
    floor: float
    p_value: float | None
    entries: Array | None
    noise_entries: Array | None
    largest: Array | None
    width: int

    @cached_property
    def gap(self) -> Array | None:
        """The gap as a tensor, (P,) * order; None in the Gram form."""
        return self._tensor(self.entries)

    @cached_property
    def noise(self) -> Array | None:
        """Standard deviation of each entry of `gap` if the model were right; None where not known."""
        return self._tensor(self.noise_entries)

    def _tensor(self, entries: Array | None) -> Array | None:
        if entries is None:
            return None
        if self.width**self.order > _LARGEST_TENSOR:
            raise MemoryError(f"the tensor of order {self.order} in {self.width} columns is too large; use terms()")
        return monomials(self.width, self.order).tensor(entries)


@final
@dataclass(frozen=True, eq=False)
class MegaResult:
    """Moment gaps between data and model, data minus model; see `mega`.

    Attributes
    ----------
    orders : mapping of int to OrderGap
        Everything about each order.
    exact : bool
        Whether the model's moments are in closed form.
    form : {"tensor", "gram"}
        How the gaps were computed.
    null : {"known", "refitted", "permutation", "spectrum", "none"}
        What the p-values rest on.
    feature_names : tuple of str
        Names of the P coordinates.
    n, m : int
        Rows of data, and latent draws (0 when exact).
    norm, standardized, centred
        As asked.
    """

    orders: Mapping[int, OrderGap]
    exact: bool
    form: str
    null: str
    feature_names: tuple[str, ...]
    n: int
    m: int
    norm: Norm
    standardized: bool
    centred: bool

    @property
    def order(self) -> int:
        """Highest order."""
        return max(self.orders)

    def _value(self, order: int) -> float | None:
        return self.orders[order].value if order in self.orders else None

    @property
    def first(self) -> float:
        """Norm of the gap of means."""
        return self.orders[1].value

    @property
    def second(self) -> float | None:
        """Norm of the gap of second moments; None when not asked for."""
        return self._value(2)

    @property
    def third(self) -> float | None:
        """Norm of the gap of third moments; None when not asked for."""
        return self._value(3)

    @property
    def fourth(self) -> float | None:
        """Norm of the gap of fourth moments; None when not asked for."""
        return self._value(4)

    @property
    def gap_first(self) -> Array | None:
        """Gap of the means, (P,)."""
        return self.orders[1].gap

    @property
    def gap(self) -> Array | None:
        """Gap of the second moments, (P, P); None when not asked for, and in the Gram form."""
        return self.orders[2].gap if 2 in self.orders else None

    @property
    def floor(self) -> float:
        """Floor of the highest order."""
        return self.orders[self.order].floor

    @property
    def p_value(self) -> float | None:
        """p-value of the highest order."""
        return self.orders[self.order].p_value

    def terms(self, order: int | None = None) -> pd.DataFrame:
        """Entries of a gap, those that miss by most first, with p-values that hold for all of them together.

        Parameters
        ----------
        order : int, optional
            The highest one by default.

        Returns
        -------
        pandas.DataFrame
            Columns ``column_1`` ... ``column_k`` (names), ``gap``, ``noise`` (its standard deviation if the model were
            right), ``z`` (their ratio) and ``p_adjusted``: the probability that any entry of that order would reach
            this ratio if the model were right, from the largest ratio in each data set drawn from it (Westfall & Young
            1993), else by Bonferroni from the normal distribution.

        Raises
        ------
        ValueError
            When the order was not computed, or the Gram form has no entries.
        """
        import pandas as pd

        order = self.order if order is None else order
        if order not in self.orders:
            raise ValueError(f"order={order!r} was not computed; this result has {sorted(self.orders)}")
        one = self.orders[order]
        if one.entries is None or one.noise_entries is None:
            raise ValueError('the Gram form has no entries; call mega with form="tensor", or with fewer columns')
        rounding = 1e-12 * np.abs(one.entries).max(initial=0.0)
        known = one.noise_entries > rounding
        z = np.divide(one.entries, one.noise_entries, out=np.zeros_like(one.entries), where=known)
        names = np.array(self.feature_names, dtype=object)
        columns = monomials(one.width, order).columns
        table = pd.DataFrame({f"column_{j + 1}": names[columns[:, j]] for j in range(order)})
        table = table.assign(gap=one.entries, noise=one.noise_entries, z=z, p_adjusted=_adjusted(z, one.largest))
        ranked = table.iloc[np.argsort(-np.abs(z), kind="stable")]
        return ranked.reset_index(drop=True)

    def coordinates(self) -> pd.DataFrame:
        """How much each column misses: its share in the squared second gap (of means, for order 1), largest first.

        Returns
        -------
        pandas.DataFrame
            Columns ``column``, ``gap`` (norm of its row of the gap), ``floor`` (what a right model would score there),
            ``ratio`` and ``p_adjusted`` (of its worst entry, adjusted for all entries).
        """
        import pandas as pd

        order = min(self.order, 2)
        terms = self.terms(order)
        place = pd.Series(range(len(self.feature_names)), index=list(self.feature_names))
        first, second = (place[terms[f"column_{k}"]].to_numpy() for k in (1, order))
        other = first != second  # an entry off the diagonal belongs to two columns

        def norms(part: str) -> Array:
            square = terms[part].to_numpy() ** 2
            total = np.bincount(first, square, len(place)) + np.bincount(second[other], square[other], len(place))
            return np.asarray(np.sqrt(total))

        worst = np.full(len(place), np.inf)
        for column in (first, second):
            np.minimum.at(worst, column, terms["p_adjusted"].to_numpy())
        gap, floor = norms("gap"), norms("noise")
        ratio = np.divide(gap, floor, out=np.full(len(place), np.nan), where=floor > 0)
        table = pd.DataFrame(
            {"column": list(self.feature_names), "gap": gap, "floor": floor, "ratio": ratio, "p_adjusted": worst}
        )
        return table.sort_values("ratio", ascending=False, kind="stable", ignore_index=True)

    def plot(self, **options: Any) -> Any:
        """Heat map of the second gap: `underlie.plot.gap_heatmap`."""
        import underlie as ul  # by its public face: checks do not depend on drawing

        return ul.plot.gap_heatmap(self, **options)

    def _rows(self) -> list[tuple[str, ...]]:
        moment = "x - mean" if self.centred else "x"
        rows: list[tuple[str, ...]] = []
        for order, one in self.orders.items():
            power = "E[x]" if order == 1 else f"E[({moment})^{order}]" if self.centred else f"E[x^{order}]"
            error = "exact" if self.exact else f"{one.mc_se:.2g}"
            p = "" if one.p_value is None else _p(one.p_value)
            rows.append((f"{_ORDINALS[order - 1]}, {power}", f"{one.value:.4g}", error, _number(one.floor), p))
        return rows

    def _caption(self) -> str:
        source = "closed form" if self.exact else f"{self.m:,} latent draws"
        units = ", standardised coordinates" if self.standardized else ""
        return f"norm {self.norm}{units}; n = {self.n:,} rows, P = {len(self.feature_names):,}; model moments: {source}"

    def _heading(self) -> tuple[str, ...]:
        return ("moment", "gap", "MC s.e.", "floor", "" if self.null == "none" else "p")

    def __str__(self) -> str:
        table = [self._heading(), *self._rows()]
        widths = [max(len(row[j]) for row in table) for j in range(5)]
        lines = ["  ".join([row[0].ljust(widths[0]), *(row[j].rjust(widths[j]) for j in range(1, 5))]) for row in table]
        return "\n".join([f"MEGA ({self._caption()})", *(line.rstrip() for line in lines)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self._rows()
        )
        head = "".join(f"<th>{cell}</th>" for cell in self._heading())
        return f"<table><caption>MEGA: {html.escape(self._caption())}</caption><tr>{head}</tr>{body}</table>"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1g}"


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4g}"


def _adjusted(z: Array, largest: Array | None) -> Array:
    """Single-step adjusted p-values of all ratios at once."""
    size = np.abs(z)
    if largest is None:
        return np.minimum(1.0, 2 * normal.sf(size) * len(z))
    at_least = len(largest) - np.searchsorted(np.sort(largest), size * (1 - 1e-12), side="left")
    return np.asarray((1 + at_least) / (1 + len(largest)))
