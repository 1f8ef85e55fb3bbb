r"""Gaps from inner products of rows alone: for data of many columns, where not even a P x P matrix should be formed.

The squared Frobenius norm of the gap of order k is the squared maximum mean discrepancy with the kernel (x'y)^k,

.. math:: \lVert E[x^{\otimes k}] - E[y^{\otimes k}] \rVert^2 = E(x'x')^k - 2 E(x'y)^k + E(y'y')^k .

Rows of the model known by their moments given z enter exactly: given z and z', x'y is a sum of independent terms over
the columns, so its cumulants are sums over columns, which are products of tall matrices, and its moments follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from underlie.check.adapters import MomentModel
from underlie.check.gaps.frame import Frame
from underlie.check.gaps.gaussians import Gaussians
from underlie.check.gaps.model_moments import conditional, shares_of
from underlie.check.gaps.null import ROWS_OF_SPECTRUM, p_value, spectrum_norms, terms_kernel
from underlie.check.gaps.result import OrderGap
from underlie.check.gaps.rows import Rows

Array = NDArray[np.float64]
_CELLS_AT_ONCE = 2**24
_CELLS_OF_PRODUCTS = 2**20


@final
@dataclass(frozen=True, eq=False)
class Block:
    """Some rows, or draws known by their moments, in the frame of the comparison."""

    central: Sequence[Array]
    """Mean, and for draws the variance and higher central moments, (rows, P) each."""
    probabilities: Sequence[Array]
    """For each category the rows' probabilities of its levels, (rows, L): 0 and 1 for data."""

    def __len__(self) -> int:
        return len(self.central[0])

    @property
    def is_points(self) -> bool:
        """Whether these are vectors, not distributions."""
        return len(self.central) == 1

    def columns(self, some: slice | NDArray[np.intp]) -> Block:
        """Some of the columns."""
        return Block([one[:, some] for one in self.central], ())

    def cumulants(self) -> list[Array]:
        """First to fourth cumulants of each coordinate; rows of data have the first alone."""
        return [*self.central[:3], *[fourth - 3 * self.central[1] ** 2 for fourth in self.central[3:4]]]

    def raw(self) -> list[Array]:
        """Raw moments of each coordinate."""
        m, rest = self.central[0], self.central[1:]
        raw = [m]
        if len(rest) > 0:
            raw.append(rest[0] + m**2)
        if len(rest) > 1:
            raw.append(rest[1] + m * (3 * rest[0] + m**2))
        if len(rest) > 2:
            raw.append(rest[2] + 4 * m * rest[1] + m**2 * (6 * rest[0] + m**2))
        return raw


@final
@dataclass(frozen=True, eq=False)
class Category:
    """The indicators of one categorical column, in the frame."""

    columns: NDArray[np.intp]
    products: Array
    """(L, L): inner product of the column's indicators when the one row has level a and the other level b."""

    @classmethod
    def of(cls, columns: NDArray[np.intp], shift: Array, scale: Array) -> Category:
        levels = (np.eye(len(columns)) - shift[columns]) / scale[columns]
        return cls(columns, levels @ levels.T)


def kernels(a: Block, b: Block, order: int, categories: Sequence[Category]) -> list[Array]:
    """E[(x'y)^k], k = 1..order, of every pair of a row of a and a row of b: (rows of a, rows of b) each."""
    independent = None
    if categories:
        independent = np.setdiff1d(np.arange(a.central[0].shape[1]), np.concatenate([c.columns for c in categories]))
    cumulants = _sums_of_products(a, b, order, independent)
    for number, category in enumerate(categories):
        moments = [_of_category(a, b, number, category.products, k) for k in range(1, order + 1)]
        cumulants = [c + extra for c, extra in zip(cumulants, _cumulants_of(moments), strict=True)]
    return _moments_of(cumulants)


def _of_category(a: Block, b: Block, number: int, products: Array, k: int) -> Array:
    """E[(x'y)^k] over the indicators of one category: of points, such as rows and their mean, and of draws."""
    x, y = a.probabilities[number], b.probabilities[number].T
    if a.is_points and b.is_points:
        return np.asarray((x @ products @ y) ** k)
    if a.is_points:
        return np.asarray((x @ products) ** k @ y)
    if b.is_points:
        return np.asarray(x @ (products @ y) ** k)
    return np.asarray(x @ products**k @ y)


def _sums_of_products(a: Block, b: Block, order: int, independent: NDArray[np.intp] | None) -> list[Array]:
    """Cumulants of x'y, summed over the independent columns, some columns at a time."""
    n_columns = a.central[0].shape[1] if independent is None else len(independent)
    step = max(1, _CELLS_OF_PRODUCTS // max(len(a), len(b)))
    totals = [np.zeros((len(a), len(b))) for _ in range(order)]
    for start in range(0, n_columns, step):
        some = slice(start, start + step) if independent is None else independent[start : start + step]
        for total, one in zip(totals, _of_columns(a.columns(some), b.columns(some), order), strict=False):
            total += one
    return totals


def _of_columns(a: Block, b: Block, order: int) -> Iterator[Array]:
    """Cumulants of x'y over these columns, as many as are not zero."""
    if a.is_points and b.is_points:
        yield a.central[0] @ b.central[0].T
    elif a.is_points:
        yield from (power @ one.T for power, one in zip(_powers(a.central[0], order), b.cumulants(), strict=False))
    elif b.is_points:
        yield from (one @ power.T for power, one in zip(_powers(b.central[0], order), a.cumulants(), strict=False))
    else:  # of a product of independent variables, from the raw moments of both
        x, y = a.raw(), b.raw()
        u, v = _powers(x[0], order), _powers(y[0], order)
        yield x[0] @ y[0].T
        if order >= 2:
            yield x[1] @ y[1].T - u[1] @ v[1].T
        if order >= 3:
            yield x[2] @ y[2].T - 3 * (x[0] * x[1]) @ (y[0] * y[1]).T + 2 * u[2] @ v[2].T
        if order >= 4:
            fourth = x[3] @ y[3].T - 4 * (x[0] * x[2]) @ (y[0] * y[2]).T - 3 * x[1] ** 2 @ (y[1] ** 2).T
            yield fourth + 12 * (u[1] * x[1]) @ (v[1] * y[1]).T - 6 * u[3] @ v[3].T


def _powers(x: Array, order: int) -> list[Array]:
    """x, x^2, ..., by products, which are much faster than powers."""
    out = [x]
    while len(out) < order:
        out.append(out[-1] * x)
    return out


def _weighted_by_products(a: Block, b: Block, order: int) -> Array:
    r"""Sum over points x of a of the mean over b of :math:`E[y\, (x'y)^{k-1}]`, for independent columns: (P,).

    .. math:: E[y_p (x'y)^{k-1}] = \sum_{j=1}^k \binom{k-1}{j-1} \kappa_j(y_p)\, x_p^{j-1} E[(x'y)^{k-j}]
    """
    moments = [np.ones((len(a), len(b))), *kernels(a, b, order - 1, ())]
    total = np.zeros(a.central[0].shape[1])
    power = np.ones_like(a.central[0])
    for j, cumulant in enumerate(b.cumulants()[:order], start=1):
        total += comb(order - 1, j - 1) * np.einsum("ip,ip->p", cumulant, moments[order - j].T @ power)
        power = power * a.central[0]
    return np.asarray(total / len(b))


def _moments_of(cumulants: Sequence[Array]) -> list[Array]:
    """Raw moments from cumulants, up to the fourth."""
    k = cumulants
    out = [k[0]]
    if len(k) > 1:
        out.append(k[1] + k[0] ** 2)
    if len(k) > 2:
        out.append(k[2] + 3 * k[1] * k[0] + k[0] ** 3)
    if len(k) > 3:
        out.append(k[3] + 4 * k[2] * k[0] + 3 * k[1] ** 2 + 6 * k[1] * k[0] ** 2 + k[0] ** 4)
    return out


def _cumulants_of(moments: Sequence[Array]) -> list[Array]:
    """Cumulants from raw moments, up to the fourth."""
    m = moments
    out = [m[0]]
    if len(m) > 1:
        out.append(m[1] - m[0] ** 2)
    if len(m) > 2:
        out.append(m[2] - 3 * m[1] * m[0] + 2 * m[0] ** 3)
    if len(m) > 3:
        out.append(m[3] - 4 * m[2] * m[0] - 3 * m[1] ** 2 + 12 * m[1] * m[0] ** 2 - 6 * m[0] ** 4)
    return out


@final
@dataclass(frozen=True, eq=False)
class GramForm:
    """Data and model seen in one frame, compared through inner products."""

    view: MomentModel
    rows: Rows
    mixture: Gaussians | None
    """The model, where it is a mixture of Gaussians; seen in the frame."""
    latents: Sequence[Any]
    """Batches of draws otherwise."""
    frame: Frame
    centre: Array
    """(P,): mean of the data."""
    model_centre: Array
    """(P,): mean of the model, where each is taken about its own."""

    def order_gaps(self, order: int, rng: np.random.Generator, *, p_values: bool) -> dict[int, OrderGap]:
        """One result per order."""
        chosen = np.sort(rng.permutation(len(self.rows))[:ROWS_OF_SPECTRUM])
        among_rows, with_mean, squares, products = self._among_rows(order, chosen)
        with_model, among_model = self._with_model(order), self._among_model(order)
        shares = np.ones(1) if self.mixture is not None else shares_of(self.latents)
        found = {}
        for k in range(1, order + 1):
            inner, cross, among = among_rows[k - 1], with_model[k - 1], among_model[k - 1]
            row_weight, mean_weight = self._weights(k)
            towards_data = row_weight * inner + mean_weight * with_mean[k - 1]
            signed = np.append(np.full(len(self.rows), row_weight), mean_weight)
            square = signed @ towards_data - 2 * signed @ cross @ shares + shares @ among @ shares
            value = float(np.sqrt(max(float(square), 0.0)))
            slopes = (towards_data - cross @ shares)[:-1] / (value or 1.0)
            if self.frame.centred and k > 2 and not self.frame.standardized:
                slopes -= self._slopes_of_centring(k, among_rows[k - 2][:-1]) / (value or 1.0)
            batch_slopes = (among @ shares - signed @ cross) / (value or 1.0)
            n, n_batches = len(self.rows), len(among)
            mc_se = float(np.std(batch_slopes, ddof=1) * np.linalg.norm(shares)) if n_batches > 1 else 0.0
            se = float(np.hypot(mc_se, np.std(slopes, ddof=1) / np.sqrt(n)))
            trace = max(float(squares[k - 1].sum() - inner[:-1].mean()), 0.0) / max(n - 1, 1)
            if self.frame.standardized:  # what the estimated scale adds is a matter of single entries
                se = float("nan")
            if centred := self.frame.centred and k > 2:  # the rows' own mean takes part
                trace = np.trace(terms_kernel(products, k, centred=True)) / (len(chosen) - 1)
            floor = float(np.sqrt(trace / n + _batch_variance(among, shares)))
            drawn = spectrum_norms(products, k, floor, rng, centred=centred) if p_values else None
            found[k] = OrderGap(
                order=k,
                value=value,
                se=se,
                mc_se=mc_se,
                floor=floor,
                p_value=None if drawn is None else p_value(value, drawn),
                entries=None,
                noise_entries=None,
                largest=None,
                width=len(self.centre),
            )
        return found

    def _slopes_of_centring(self, order: int, inner: Array) -> Array:
        r"""What a row moves half of the squared norm by through the rows' own mean: (n,).

        .. math:: k \langle x_i \otimes M_{k-1}, M_k - E[y^{\otimes k}] \rangle
                  = k\, x_i' \bigl( \tfrac1n \textstyle\sum_j r(x_j)\, x_j - E[r(y)\, y] \bigr),
                  \qquad r(y) = \langle M_{k-1}, y^{\otimes (k-1)} \rangle

        with M the moments of the rows about their mean; `inner` are the sums of (x'x_j)^(k - 1) over the rows.
        """
        weight, _ = self._weights(order - 1)
        shares = np.ones(1) if self.mixture is not None else shares_of(self.latents)
        pull = np.zeros(len(self.centre))
        for rows, block in self._row_blocks():
            if rows.start == len(self.rows):  # their mean
                continue
            x = block.central[0]
            pull += inner[rows] @ x / len(self.rows)
            if self.mixture is not None:
                pull -= self.mixture.weighted_by_products(x, order)
                continue
            for share, latent in zip(shares, self.latents, strict=True):
                for part, draws in self._draw_blocks(latent, order):
                    pull -= share * part * _weighted_by_products(block, draws, order)
        return np.concatenate([block.central[0] @ (order * weight * pull) for _, block in self._row_blocks()][:-1])

    def _weights(self, order: int) -> tuple[float, float]:
        """Weight of each row, and of their mean as one more row: S with divisor n - 1 takes both."""
        n = len(self.rows)
        if order == 2 and self.frame.unbiased and n > 1:
            return 1 / (n - 1), -1 / (n - 1)
        return 1 / n, 0.0

    def _row_blocks(self, start: int = 0) -> Iterator[tuple[slice, Block]]:
        """All rows from the block that begins at `start` on, and after them their mean."""
        for rows in self.rows.slices(_CELLS_AT_ONCE):
            if rows.start >= start:
                yield rows, self._block(self.rows.block(rows))
        n = len(self.rows)
        yield slice(n, n + 1), self._block(self.centre[None])

    def _block(self, values: Array) -> Block:
        if np.isnan(values).any():
            column = int(np.argmax(np.isnan(values).any(axis=0)))
            raise ValueError(
                f"X: column {self.view.names[column]!r} has a missing cell; the Gram form needs complete rows. Impute "
                'them, or use form="tensor", which takes available cases'
            )
        groups = self.view.exclusive_groups
        return Block([self.frame.rows(values, self.centre)], [values[:, group] for group in groups])

    def _categories(self) -> list[Category]:
        if self.frame.centred and self.view.exclusive_groups:
            raise ValueError('centred=True with categorical columns needs form="tensor"')
        return [Category.of(group, self.frame.shift, self.frame.scale) for group in self.view.exclusive_groups]

    def _among_rows(self, order: int, chosen: NDArray[np.intp]) -> tuple[list[Array], list[Array], list[Array], Array]:
        """Sums over rows of (x'x)^k and values at the data's mean, for each row and the mean: (n + 1,) each.

        Third, (x'x)^k of each row with itself, (n,); last, x'x among the chosen rows.
        """
        n, categories = len(self.rows), self._categories()
        sums, at_mean = np.zeros((2, order, n + 1))
        squares, products = np.zeros((order, n)), np.zeros((len(chosen), len(chosen)))
        for i, a in self._row_blocks():
            rows = _within(chosen, i)
            for j, b in self._row_blocks(i.start):
                found = kernels(a, b, order, categories)
                columns = _within(chosen, j)
                some = found[0][np.ix_(chosen[rows] - i.start, chosen[columns] - j.start)]
                products[rows, columns], products[columns, rows] = some, some.T
                for k, kernel in enumerate(found):
                    if j.start < n and i.start < n:
                        sums[k, i] += kernel.sum(axis=1)
                    if i.start != j.start and j.start < n:
                        sums[k, j] += kernel.sum(axis=0)
                    if j.start == n:
                        at_mean[k, i] = kernel[:, 0]
                        if i.start < n:
                            sums[k, n] += kernel.sum()
                    if i.start == j.start and i.start < n:
                        squares[k, i] = np.diagonal(kernel)
        return list(sums), list(at_mean), list(squares), products

    def _with_model(self, order: int) -> list[Array]:
        """Mean of (x'y)^k over each batch of the model's draws, for each row and the mean: (n + 1, batches) each."""
        if self.mixture is not None:
            parts = [self.mixture.products_with(block.central[0], order) for _, block in self._row_blocks()]
            return [np.concatenate(one)[:, None] for one in zip(*parts, strict=True)]
        categories = self._categories()
        out = np.zeros((order, len(self.rows) + 1, len(self.latents)))
        for r, latent in enumerate(self.latents):
            for share, draws in self._draw_blocks(latent, order):
                for rows, block in self._row_blocks():
                    for k, kernel in enumerate(kernels(block, draws, order, categories)):
                        out[k, rows, r] += share * kernel.mean(axis=1)
        return list(out)

    def _among_model(self, order: int) -> list[Array]:
        """Mean of (y'y)^k over pairs of draws of two batches: (batches, batches) each."""
        if self.mixture is not None:
            return [np.array([[one]]) for one in self.mixture.products_with_itself(order)]
        categories = self._categories()
        out = np.zeros((order, len(self.latents), len(self.latents)))
        for r, latent in enumerate(self.latents):
            for share, a in self._draw_blocks(latent, order):
                for s in range(r, len(self.latents)):
                    for other, b in self._draw_blocks(self.latents[s], order):
                        for k, kernel in enumerate(kernels(a, b, order, categories)):
                            out[k, r, s] += share * other * kernel.mean()
        return [np.triu(one) + np.triu(one, 1).T for one in out]

    def _draw_blocks(self, latent: Any, order: int) -> Iterator[tuple[float, Block]]:
        """A batch of draws in parts that fit in memory, and their share in it."""
        step = max(1, _CELLS_AT_ONCE // (len(self.centre) * order))
        for start in range(0, len(latent), step):
            part = latent[start : start + step]
            yield len(part) / len(latent), self._drawn(part, order)

    def _drawn(self, latent: Any, order: int) -> Block:
        """A batch of draws known by their moments."""
        central = conditional(self.view, latent, order)
        mean = self.frame.rows(central[0], self.model_centre)
        rest = list(central[1:])
        if (self.frame.scale != 1.0).any():
            rest = [one / self.frame.scale**k for k, one in enumerate(rest, start=2)]
        return Block([mean, *rest], [central[0][:, group] for group in self.view.exclusive_groups])


def _within(chosen: NDArray[np.intp], rows: slice) -> slice:
    """Which of the chosen rows, in ascending order, are among these."""
    return slice(*np.searchsorted(chosen, (rows.start, rows.stop)))


def _batch_variance(among: Array, shares: Array) -> float:
    """Squared Monte-Carlo error of the model's moments: the mean within batches less that between, by their number."""
    n_batches = len(among)
    if n_batches == 1:
        return 0.0
    within = np.trace(among) / n_batches
    between = (among.sum() - np.trace(among)) / (n_batches * (n_batches - 1))
    return float(max(within - between, 0.0) * (shares @ shares))
