"""Sums over rows from which moments follow: they add, so that data can be read in pieces, on several machines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from underlie.check.gaps.monomials import monomials, n_monomials, shifted
from underlie.check.gaps.raw_moments import row_sums
from underlie.check.matrices import numeric_matrix
from underlie.data import RowSource, as_source
from underlie.data.sources import blocks, is_source
from underlie.data.tables import library_of, read_table
from underlie.datasets.stored import read_member

Array = NDArray[np.float64]
_HIGHEST_ORDER = 4
_MOST_ENTRIES = 5 * 10**7


@final
@dataclass(frozen=True, eq=False)
class MomentSums:
    r"""Sufficient statistics of moments up to order 4: sums of :math:`\prod_{i \in I}(x_i - r_i)` over the rows.

    Sums of two sets of rows add. They stand in for the data wherever `underlie.mega` asks for them, so that data which
    are never in one place, or never in memory, can be compared with a model.

    Attributes
    ----------
    names : tuple of str
        The P columns.
    reference : array (P,)
        The point r that deviations are taken from; near the data's means, where digits are not lost.
    sums, counts : tuple of array
        For each order k, sums and numbers of rows of its P (P + 1) ... (P + k - 1) / k! entries. An entry is about the
        rows in which all its columns are seen.
    n : int
        Rows.

    Examples
    --------
    >>> import numpy as np
    >>> import underlie as ul
    >>> X = np.random.default_rng(0).normal(size=(1000, 3))
    >>> here, there = ul.MomentSums.of(X[:400]), ul.MomentSums.of(X[400:])
    >>> both = here + there
    >>> both.n, bool(np.allclose(both.mean(), X.mean(axis=0)))
    (1000, True)
    """

    names: tuple[str, ...]
    reference: Array
    sums: tuple[Array, ...]
    counts: tuple[Array, ...]
    n: int

    @classmethod
    def of(cls, X: Any, order: int = 2, *, model: Any = None, reference: Any = None) -> Self:
        """Sums over the rows of X.

        Parameters
        ----------
        X : table, array (n, P) or row source
            Numeric columns; NaN where a cell is missing. A row source is read in parts.
        order : {1, 2, 3, 4}
            Highest moment.
        model : fitted model, optional
            Reads X as the model does: needed for columns that are not numbers.
        reference : array (P,), optional
            The means of these rows by default, of a row source those of the first part. Sums with missing cells add
            only if they have the same reference.

        Raises
        ------
        ValueError
            When the order, X or the reference cannot be used.
        """
        if order not in range(1, _HIGHEST_ORDER + 1):
            raise ValueError(f"order={order!r} is not supported; use 1, 2, 3 or 4")
        if is_source(X):
            return cls._of_source(as_source(X), order, model, reference)
        names, values = _numeric(X, model)
        if n_monomials(len(names), order) > _MOST_ENTRIES:
            raise ValueError(
                f"order={order!r} has {n_monomials(len(names), order):.2g} distinct entries in {len(names):,} columns; "
                "use a lower order, or give mega the rows, which it compares through inner products"
            )
        if not len(values):
            raise ValueError("X has no rows")
        if reference is None:
            seen = np.isfinite(values)
            point = np.where(seen, values, 0.0).sum(0) / np.maximum(seen.sum(0), 1)
        else:
            point = np.array(reference, dtype=float)
            if point.shape != (len(names),) or not np.isfinite(point).all():
                raise ValueError(f"reference must be {len(names)} finite numbers, one per column")
        return cls.of_rows(values, point, order, names)

    @classmethod
    def _of_source(cls, source: RowSource, order: int, model: Any, reference: Any) -> Self:
        total: Self | None = None
        for part in blocks(source):
            about = reference if total is None else total.reference
            found = cls.of(part, order, model=model, reference=about)
            total = found if total is None else total + found
        if total is None:
            raise ValueError("X has no rows")
        return total

    @classmethod
    def of_rows(cls, values: Array, reference: Array, order: int, names: tuple[str, ...]) -> Self:
        """Sums over the rows of `values` (n, P), NaN where a cell is missing."""
        deviations = values - reference
        seen = np.isfinite(deviations)
        if seen.all():
            sums = row_sums(deviations, order)
            counts = [np.full(len(s), float(len(values))) for s in sums]
        else:
            sums, counts = row_sums(np.where(seen, deviations, 0.0), order), row_sums(seen.astype(float), order)
        return cls(names, reference, tuple(sums), tuple(counts), len(values))

    @property
    def order(self) -> int:
        """Highest moment."""
        return len(self.sums)

    @property
    def complete(self) -> bool:
        """Whether no cell was missing."""
        return all(bool((count == self.n).all()) for count in self.counts)

    def means(self) -> list[Array]:
        """Moments about the reference point, available cases: (p_k,) each; 0 where there is no case."""
        return [s / np.maximum(c, 1.0) for s, c in zip(self.sums, self.counts, strict=True)]

    def mean(self) -> Array:
        """Means of the columns, (P,)."""
        return self.reference + self.means()[0]

    def covariance(self) -> Array:
        """Covariance matrix with divisor n, (P, P), available cases; needs order 2."""
        if self.order < 2:
            raise ValueError("a covariance needs sums of order 2")
        means = self.means()
        return monomials(len(self.names), 2).tensor(means[1]) - np.outer(means[0], means[0])

    def spread(self) -> Array:
        """Standard deviations of the columns with divisor n - 1, (P,); needs order 2."""
        count = self.counts[0]
        return np.sqrt(np.maximum(np.diagonal(self.covariance()), 0.0) * count / np.maximum(count - 1, 1.0))

    def about(self, reference: Array) -> Self:
        """The same sums about another point; ValueError when cells are missing, which makes that impossible."""
        if np.array_equal(reference, self.reference):
            return self
        if not self.complete:
            raise ValueError(
                "sums over rows with missing cells keep their reference point; make all of them with the same one: "
                "MomentSums.of(X, reference=...)"
            )
        moved = shifted(list(self.sums), self.reference - reference, float(self.n))
        return type(self)(self.names, np.array(reference, dtype=float), tuple(moved), self.counts, self.n)

    def up_to(self, order: int) -> Self:
        """Only the moments up to `order`."""
        return type(self)(self.names, self.reference, self.sums[:order], self.counts[:order], self.n)

    def __add__(self, other: MomentSums) -> Self:
        """Sums over the rows of both, about this one's reference point."""
        if self.names != other.names or self.order != other.order:
            raise ValueError("sums add only if they are of the same columns, in the same order, and of the same order")
        other = other.about(self.reference)
        return type(self)(
            self.names,
            self.reference,
            tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)),
            tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)),
            self.n + other.n,
        )

    def save(self, path: str | Path) -> None:
        """Write the sums to an npz file."""
        parts: dict[str, Any] = {f"sums{k}": s for k, s in enumerate(self.sums)}
        parts |= {f"counts{k}": c for k, c in enumerate(self.counts)}
        with open(path, "wb") as file:
            np.savez(file, names=np.array(self.names), reference=self.reference, n=self.n, **parts)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Sums that `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            order = sum(name.startswith("sums") for name in file)
            sums, counts = (tuple(read_member(file, f"{part}{k}") for k in range(order)) for part in ("sums", "counts"))
            names = tuple(str(name) for name in read_member(file, "names"))
            return cls(names, read_member(file, "reference"), sums, counts, int(read_member(file, "n")))


def _numeric(X: Any, model: Any) -> tuple[tuple[str, ...], Array]:
    """Names and values of X: as the model reads it, or as plain numbers."""
    if model is not None:
        from underlie.check.adapters import moment_model  # the adapters themselves need the moments of Gaussians

        view = moment_model(model)
        return view.names, view.numeric(X)
    if library_of(X) is not None:
        names = tuple(str(label) for label in read_table(X).labels)
    else:
        names = tuple(f"x{j}" for j in range(int(np.prod(np.shape(X)[1:]))))
    return names, numeric_matrix(X, names, "MomentSums")
