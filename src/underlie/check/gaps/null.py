r"""What a right model would score: the distribution of a gap if the data came from the model.

Where the model can be sampled, data sets are drawn from it and their gaps computed in the same way (a parametric
bootstrap). With the model as given, the observed gap and the drawn ones are exchangeable if the model is right, so the
p-value (1 + #{drawn >= observed}) / (1 + B) is valid at any n (Davison & Hinkley 1997, section 4.2). A model that was
fitted to these very rows fits them too well; then each drawn data set has the model fitted to it as well. Two samples
are compared by permutation, for which rows may come in parts. For data too large for that, the squared norm is a
weighted sum of chi-squares.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from underlie.check.adapters import MomentModel
from underlie.check.gaps.frame import Frame
from underlie.check.gaps.model_moments import ModelMoments, model_moments
from underlie.check.gaps.monomials import n_monomials
from underlie.check.gaps.raw_moments import available_means, row_sums
from underlie.check.gaps.rows import Rows, row_parts
from underlie.check.seeds import integer_seed

Array = NDArray[np.float64]
_MOST_ROWS = 5000
_MOST_KEPT = 6 * 10**7
_ENTRIES_AT_ONCE = 2**16
_SUMS_AT_ONCE = 2**23
#: rows whose kernel matrix stands for the covariance of the terms of all
ROWS_OF_SPECTRUM = 1000


@final
@dataclass(frozen=True, eq=False)
class NullGaps:
    """Gaps of B data sets drawn from the model, entry by entry."""

    draws: list[NDArray[np.float32]]
    """(B, p_k) for each degree."""

    def noise(self, order: int) -> Array:
        """Standard deviation of each entry, (p,)."""
        return np.asarray(self.draws[order - 1].std(axis=0, ddof=1), dtype=float)

    def largest(self, order: int) -> Array:
        """Largest ratio of an entry to its noise in each data set, (B,)."""
        draws = self.draws[order - 1]
        least = 1e-12 * float(np.abs(draws).max(initial=0.0))
        largest = np.zeros(len(draws))
        for start in range(0, draws.shape[1], _ENTRIES_AT_ONCE):
            np.maximum(largest, _largest_ratio(draws[:, start : start + _ENTRIES_AT_ONCE], least), out=largest)
        return largest


def _largest_ratio(draws: NDArray[np.float32], least: float) -> Array:
    """Largest ratio to the noise among some entries (B, q), those of more noise than `least`: (B,).

    The noise is that of the other data sets, as it is for the observed gap: else the drawn ratios would be tame.
    """
    draws, size = draws.astype(float), len(draws)
    noise = draws.std(axis=0, ddof=1)
    draws, noise = draws[:, noise > least], noise[noise > least]
    away = (draws - draws.mean(axis=0)) / noise
    others = (size - 1 - size / (size - 1) * away**2) / max(size - 2, 1)  # their variance, in units of noise^2
    return np.asarray(np.abs(draws / noise / np.sqrt(np.maximum(others, 1e-12))).max(axis=1, initial=0.0))


def drawn_gaps(
    view: MomentModel,
    model: ModelMoments,
    frame: Frame,
    n: int,
    missing: NDArray[np.bool_] | None,
    *,
    n_bootstrap: int,
    refit: bool,
    n_draws: int,
    rng: np.random.Generator,
) -> NullGaps:
    """Gaps of data sets of n rows drawn from the model, with the data's missing cells, or those of many of its rows.

    More than 5,000 rows are represented by 5,000, and the spread of their gaps is scaled to n rows.
    """
    order, size = len(model.batches), min(n, _MOST_ROWS)
    estimate, gaps = model.mean(), []
    for _ in range(n_bootstrap):
        values = view.sample(size, integer_seed(rng))
        if missing is not None:
            chosen: Any = slice(None)
            if len(missing) != size:
                chosen = rng.choice(len(missing), size, replace=len(missing) < size)
            values = np.where(missing[chosen], np.nan, values)
        if refit:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                again = _refitted(view, values, integer_seed(rng))
            estimate = model_moments(again, frame.reference, order, n_draws, rng).mean()
        own = frame
        if frame.standardized:
            own = _rescaled(frame, np.nanmean(values, axis=0), np.nanstd(values, axis=0, ddof=1))
        gaps.append(own.gap(*available_means(values - frame.reference, order), estimate))
    draws = [np.stack(parts).astype(np.float32) for parts in zip(*gaps, strict=True)]
    if size < n:
        centre = [np.zeros(d.shape[1]) if model.exact else d.mean(axis=0) for d in draws]
        shrink = np.sqrt(size / n)
        draws = [(c + shrink * (d - c)).astype(np.float32) for c, d in zip(centre, draws, strict=True)]
    return NullGaps(draws)


def _refitted(view: MomentModel, values: Array, seed: int) -> MomentModel:
    try:
        return view.refit(values, seed)
    except ValueError as error:
        cells = ", with the missing cells of X" if np.isnan(values).any() else ""
        raise ValueError(
            f"refit=True: the model cannot be fitted to a data set drawn from it{cells}; use refit=False, which is "
            f"conservative. It says: {error}"
        ) from error


def permuted_gaps(
    rows: Rows, draws: Array, frame: Frame, order: int, n_permutations: int, rng: np.random.Generator
) -> NullGaps:
    """Gaps between random halves of the pooled rows, of the sizes of data and draws.

    Rows are read some at a time, as often as sums of all permutations exceed what is held at once.
    """
    n_entries = sum(n_monomials(draws.shape[1], k) for k in range(1, order + 1))
    step = max(1, _SUMS_AT_ONCE // n_entries)
    gaps = []
    for start in range(0, n_permutations, step):
        halves = _RandomHalves(frame.reference, order, len(rows), len(draws), min(step, n_permutations - start))
        for block in chain(rows.blocks(), row_parts(draws)):
            halves.add(block, rng)
        gaps += [half.gap(frame) for half in halves.each()]
    return NullGaps([np.stack(parts).astype(np.float32) for parts in zip(*gaps, strict=True)])


class _RandomHalves:
    """Sums over random choices of n of n + m rows that come some at a time, one choice for each permutation.

    How many of the next k rows are chosen is hypergeometric, given how many were chosen before; which, is uniform. So
    all choices of n rows are equally probable, and nothing has to be kept of the rows.
    """

    def __init__(self, reference: Array, order: int, n: int, m: int, n_permutations: int) -> None:
        self._reference, self._order, self._n, self._m = reference, order, n, m
        self._wanted = np.full(n_permutations, n)
        self._to_come = n + m
        width = len(reference)
        self._total = [np.zeros(n_monomials(width, k)) for k in range(1, order + 1)]
        self._chosen = [np.zeros((n_permutations, len(one))) for one in self._total]
        self._squares = np.zeros((n_permutations, width))

    def add(self, block: Array, rng: np.random.Generator) -> None:
        """The next rows, (k, P)."""
        x, k = block - self._reference, len(block)
        counts = rng.hypergeometric(self._wanted, self._to_come - self._wanted, k)
        self._wanted, self._to_come = self._wanted - counts, self._to_come - k
        for total, one in zip(self._total, row_sums(x, self._order), strict=True):
            total += one
        for b, count in enumerate(counts):
            chosen = x[rng.choice(k, count, replace=False, shuffle=False)]
            for sums, one in zip(self._chosen, row_sums(chosen, self._order), strict=True):
                sums[b] += one
            self._squares[b] += np.einsum("ij,ij->j", chosen, chosen)

    def each(self) -> Iterator[_Halves]:
        """The two halves of each permutation."""
        for b in range(len(self._wanted)):
            first = [sums[b] / self._n for sums in self._chosen]
            second = [(total - sums[b]) / self._m for total, sums in zip(self._total, self._chosen, strict=True)]
            variance = (self._squares[b] / self._n - first[0] ** 2) * self._n / (self._n - 1)
            yield _Halves(first, second, np.sqrt(np.maximum(variance, 0.0)), self._n)


@final
@dataclass(frozen=True, eq=False)
class _Halves:
    """Moments of two random halves about the reference, (p_k,) for each degree; standard deviations of the first."""

    first: list[Array]
    second: list[Array]
    spread: Array
    n: int

    def gap(self, frame: Frame) -> list[Array]:
        counts = [np.full(len(one), float(self.n)) for one in self.first]
        own = _rescaled(frame, frame.reference + self.first[0], self.spread) if frame.standardized else frame
        return own.gap(self.first, counts, self.second)


def _rescaled(frame: Frame, mean: Array, spread: Array) -> Frame:
    """The frame of rows with these means and standard deviations: standardised by themselves, as the data are."""
    return Frame.of(mean, spread, frame.reference, standardize=True, centred=frame.centred, unbiased=frame.unbiased)


def p_value(observed: float, drawn: Array, rounding: float = 0.0) -> float:
    """(1 + #{drawn >= observed}) / (1 + B); ties within `rounding` count as reached, and within the digits kept."""
    return float((1 + np.sum(drawn >= observed * (1 - 1e-6) - rounding)) / (1 + len(drawn)))


def bootstrap_cost(n: int, width: int, order: int) -> float:
    """Multiplications of one data set's moments."""
    pairs = width * (width + 1) / 2
    return min(n, _MOST_ROWS) * (0.0, width, width**2, width * pairs, pairs**2)[order]


def bootstrap_fits(n_entries: int, n_bootstrap: int) -> bool:
    """Whether all entries of all gaps may be kept."""
    return n_entries * n_bootstrap <= _MOST_KEPT


def spectrum_norms(
    products: Array, order: int, floor: float, rng: np.random.Generator, *, centred: bool, size: int = 1999
) -> Array:
    r"""Draws of the norm that a right model would score, :math:`\sqrt{\sum_i \lambda_i \chi^2_{1,i}}`, (size,).

    The weights are the eigenvalues of the covariance of the terms that the data's moment is a mean of, those of the
    kernel matrix of some rows, scaled to the mean square `floor`^2 (Gretton et al. 2009, for the maximum mean
    discrepancy). So noise of the model's draws, which is in the floor too, is taken to have the shape of the data's.

    Parameters
    ----------
    products : array (k, k)
        Inner products of some rows, in the frame of the comparison.
    centred : bool
        Whether data and model are each taken about their own mean.
    """
    weights = np.linalg.eigvalsh(terms_kernel(products, order, centred=centred))
    weights = weights[weights > 1e-12 * weights.max(initial=0.0)]
    if not len(weights):
        return np.zeros(size)
    weights *= floor**2 / weights.sum()
    return np.sqrt(np.array([weights @ rng.standard_normal(len(weights)) ** 2 for _ in range(size)]))


def terms_kernel(products: Array, order: int, *, centred: bool) -> Array:
    r"""Inner products of the terms of the data's moment, less their mean, from those of the rows: (k, k).

    About a fixed point the terms are :math:`x^{\otimes k}`. About the rows' own mean they are
    :math:`x^{\otimes k} - k\, \mathrm{sym}(x \otimes M_{k-1})`, M the moment of one degree less, which is what taking
    the rows' own mean comes to.
    """
    kernel = products**order
    if centred and order > 2:
        lower = (products ** (order - 1)).mean(axis=0)
        crossed = products @ products ** (order - 2) @ products / len(products) ** 2
        kernel = kernel - order * products * (lower[:, None] + lower - lower.mean()) + order * (order - 1) * crossed
    return np.asarray(kernel - kernel.mean(axis=0) - kernel.mean(axis=1, keepdims=True) + kernel.mean())
