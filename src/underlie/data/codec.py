"""Numbers of a table to encoded values and back, all columns of one kind at a time.

Three matrices describe the same rows. *Raw*: (n, C) numbers as they are in the table, codes for labels. *Encoded*:
(n, C) on the scale that training likes. *Numeric*: (n, P) in the user's units, indicators for categorical columns.
NaN is missing in the raw and in the numeric matrix.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final, NoReturn, final

import numpy as np
from numpy.typing import NDArray

from underlie.data.build import dtype_limits, is_coded
from underlie.data.columns import KINDS, ColumnArrays
from underlie.data.schema import abridge
from underlie.data.statistics import row_blocks

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Positions = NDArray[np.intp] | slice

#: encoded values beyond this overflow when squared in single precision
_LARGEST_ENCODED: Final = 1e18
#: the same of values that are divided by a standard deviation before, which is 0.01 at least, and summed over columns
_FARTHEST: Final = 1e15
#: what stands in an encoded cell that is missing: a harmless valid value
FILL: Final = {"positive": 1.0, "proportion": 0.5}


@final
class Codec:
    """Encodes and decodes the columns that ``arrays`` describes.

    Parameters
    ----------
    arrays : ColumnArrays
    """

    def __init__(self, arrays: ColumnArrays) -> None:
        self.arrays = arrays
        self._encoders = {
            "continuous": self._encode_continuous,
            "positive": self._encode_positive,
            "proportion": self._encode_proportion,
            "count": self._encode_count,
            "binary": self._encode_binary,
            "categorical": self._encode_levels,
            "ordinal": self._encode_levels,
        }
        self._decoders = {
            "continuous": self._decode_continuous,
            "positive": self._decode_positive,
            "proportion": self._decode_proportion,
            "count": self._decode_count,
            "binary": self._decode_binary,
            "categorical": self._decode_levels,
            "ordinal": self._decode_levels,
        }
        self.groups: list[tuple[str, Positions]] = []
        for kind in KINDS:
            positions = arrays.where(kind)
            if len(positions):
                self.groups.append((kind, slice(None) if len(positions) == len(arrays) else positions))

    # ------------------------------------------------------------------------------------------------ raw -> encoded

    def encode(self, raw: NDArray[Any], missing: Mask | None) -> Floats:
        """Encoded values of a raw matrix; missing cells hold a valid value.

        Raises
        ------
        ValueError
            If a cell cannot occur in a column of its kind.
        """
        if missing is None and len(self.groups) == 1:  # nothing to put together
            [(kind, at)] = self.groups
            return np.ascontiguousarray(self._encoders[kind](raw, None, at))
        values = np.empty(raw.shape, dtype=np.float64)
        for kind, at in self.groups:
            block = raw[:, at]
            absent = None if missing is None else missing[:, at]
            encoded = self._encoders[kind](block, absent, at)
            if absent is not None:
                encoded[absent] = FILL.get(kind, 0.0)
            values[:, at] = encoded
        return values

    def _encode_continuous(self, block: NDArray[Any], absent: Mask | None, at: Positions) -> Floats:
        loc, scale = self.arrays.loc[at], self.arrays.scale[at]
        with np.errstate(over="ignore", invalid="ignore"):
            encoded: Floats = np.subtract(block, loc, dtype=np.float64)
            encoded /= scale
            if len(encoded) and not self._moderate(encoded):
                # the difference may overflow where the quotient does not
                halves = (block * 0.5 - loc * 0.5) / (scale * 0.5)
                encoded = np.where(np.isfinite(encoded), encoded, halves)
        self._check(np.abs(encoded) <= _FARTHEST, block, absent, at, self._too_far)
        return encoded

    def _encode_positive(self, block: NDArray[Any], absent: Mask | None, at: Positions) -> Floats:
        self._check(block > 0, block, absent, at, "is positive (> 0) since fit")
        with np.errstate(over="ignore"):
            encoded: Floats = np.divide(block, self.arrays.scale[at], dtype=np.float64)
        self._check((encoded <= _LARGEST_ENCODED) & (encoded > 0), block, absent, at, self._too_far)
        return encoded

    def _encode_proportion(self, block: NDArray[Any], absent: Mask | None, at: Positions) -> Floats:
        scale = self.arrays.scale[at]
        if block.dtype != np.uint8 or scale.min() < 255:
            top = f"{float(scale.min()):.6g}" if scale.min() == scale.max() else "its maximum at fit"
            inside = (block >= 0) & (block <= scale)
            message = (
                f"is a proportion between 0 and {top}. Divide by a fixed largest possible value before fit, or clip"
            )
            self._check(inside, block, absent, at, message)
        encoded: Floats = np.divide(block, scale, dtype=np.float64)
        return encoded

    def _encode_count(self, block: NDArray[Any], absent: Mask | None, at: Positions) -> Floats:
        encoded: Floats = np.array(block, dtype=np.float64)
        whole = np.rint(encoded) == encoded
        self._check((encoded >= 0) & whole, block, absent, at, "holds counts (whole numbers >= 0) since fit")
        self._check(encoded <= _LARGEST_ENCODED, block, absent, at, self._too_far)
        return encoded

    def _encode_binary(self, block: NDArray[Any], absent: Mask | None, at: Positions) -> Floats:
        low, high = self._binary_levels[:, at]
        upper = block == high
        self._check(upper | (block == low), block, absent, at, "has two levels since fit")
        return np.asarray(upper, dtype=np.float64)

    def _encode_levels(self, block: NDArray[Any], absent: Mask | None, at: Positions) -> Floats:
        encoded = np.zeros(block.shape, dtype=np.float64)
        for k, j in enumerate(self._indices(at)):
            values = self.raw_levels[j]
            order = np.argsort(values, kind="stable")
            place = np.minimum(np.searchsorted(values, block[:, k], sorter=order), len(values) - 1)
            encoded[:, k] = order[place]
            known = values[order[place]] == block[:, k]
            self._check(known[:, None], block[:, [k]], None if absent is None else absent[:, [k]], slice(j, j + 1), "")
        return encoded

    @staticmethod
    def _moderate(encoded: Floats) -> bool:
        return bool(np.isfinite(encoded).all())

    def _check(
        self, valid: Mask, block: NDArray[Any], absent: Mask | None, at: Positions, complaint: str | Any
    ) -> None:
        if absent is not None:
            valid |= absent
        if not valid.all():
            row, k = (int(i) for i in np.unravel_index(int(np.argmin(valid)), valid.shape))
            self._refuse(row, int(self._indices(at)[k]), block[row, k], complaint)

    def _too_far(self, name: str, row: int, value: float, j: int) -> str:
        a = self.arrays
        most = _FARTHEST if a.kinds[j] == "continuous" else _LARGEST_ENCODED
        return (
            f"column {name!r} of X, row {row}, holds {value:.6g}, more than {most:.0e} times as far out as the values "
            f"seen at fit (location {a.loc[j]:.4g}, scale {a.scale[j]:.4g}). Check its units."
        )

    def _refuse(self, row: int, j: int, value: Any, complaint: str | Any) -> NoReturn:
        name, levels = self.arrays.names[j], self.arrays.levels[j]
        if callable(complaint):
            raise ValueError(complaint(name, row, float(value), j))
        if levels is not None:
            raise ValueError(unseen_level(name, row, value.item() if isinstance(value, np.generic) else value, levels))
        raise ValueError(
            f"column {name!r} of X, row {row}, holds {float(value):.6g}, but the column {complaint}; or refit with "
            f'another kind, such as kinds={{"{name}": "continuous"}}.'
        )

    # ------------------------------------------------------------------------------------------------ encoded -> raw

    def decode(self, values: Floats) -> Floats:
        """Raw matrix of encoded values, each rounded or clipped to the nearest that the column can hold; NaN stays."""
        raw = np.empty(values.shape, dtype=np.float64)
        for kind, at in self.groups:
            raw[:, at] = self._decoders[kind](np.asarray(values[:, at], dtype=np.float64), at)
        return raw

    def _decode_continuous(self, block: Floats, at: Positions) -> Floats:
        with np.errstate(over="ignore"):
            return self._into_dtype(block * self.arrays.scale[at] + self.arrays.loc[at], at)

    def _decode_positive(self, block: Floats, at: Positions) -> Floats:
        with np.errstate(over="ignore"):
            raw = self._into_dtype(block * self.arrays.scale[at], at)
        low = self.arrays.low[at]
        least = np.where(np.isnan(low), self.arrays.scale[at], low)
        return np.where(raw <= 0, least, raw)

    def _decode_proportion(self, block: Floats, at: Positions) -> Floats:
        return self._into_dtype(np.clip(block, 0.0, 1.0) * self.arrays.scale[at], at)

    def _decode_count(self, block: Floats, at: Positions) -> Floats:
        return self._into_dtype(np.rint(np.maximum(block, 0.0)), at)

    def _decode_binary(self, block: Floats, at: Positions) -> Floats:
        low, high = self._binary_levels[:, at]
        return np.where(np.isnan(block), np.nan, np.where(block >= 0.5, high, low))

    def _decode_levels(self, block: Floats, at: Positions) -> Floats:
        raw = np.full(block.shape, np.nan)
        for k, j in enumerate(self._indices(at)):
            present = ~np.isnan(block[:, k])
            levels = self.raw_levels[j]
            codes = np.clip(np.rint(block[present, k]), 0, len(levels) - 1).astype(np.intp)
            raw[present, k] = levels[codes]
        return raw

    def _into_dtype(self, raw: Floats, at: Positions) -> Floats:
        low, high, whole = self._limits
        if whole[at].any():
            raw = np.where(whole[at], np.rint(raw), raw)
        return np.clip(raw, low[at], high[at])

    # ------------------------------------------------------------------------------------------------------- numeric

    @cached_property
    def offsets(self) -> NDArray[np.intp]:
        """Column j is columns offsets[j] to offsets[j + 1] of the numeric matrix."""
        widths = np.ones(len(self.arrays), dtype=np.intp)
        for j in self.arrays.where("categorical"):
            widths[j] = len(self.arrays.levels[j])
        return np.concatenate([[0], np.cumsum(widths)])

    @cached_property
    def numeric_affine(self) -> tuple[Floats, Floats]:
        """(loc, scale), each (P,): numeric = loc + scale * coordinate."""
        loc, scale = np.zeros(self.offsets[-1]), np.ones(self.offsets[-1])
        first = self.offsets[:-1]
        loc[first], scale[first] = self.arrays.loc, self.arrays.scale
        binary = self.arrays.where("binary")
        low, high = self._binary_levels[:, binary]
        loc[first[binary]], scale[first[binary]] = low, high - low
        for j in self.arrays.where("ordinal"):
            steps = np.diff(self.raw_levels[j])
            if len(steps) and steps[0] > 0 and np.allclose(steps, steps[0]):
                loc[first[j]], scale[first[j]] = self.raw_levels[j][0], steps[0]
        return loc, scale

    def numeric(self, raw: NDArray[Any], missing: Mask | None) -> Floats:
        """Numeric matrix of a raw matrix."""
        if [kind for kind, _ in self.groups] == ["continuous"]:
            return np.asarray(raw, dtype=np.float64)
        return self.numeric_from_encoded(self.encode(raw, missing), missing, raw)

    def numeric_from_encoded(self, values: Floats, missing: Mask | None, raw: NDArray[Any]) -> Floats:
        """Numeric matrix; what is numeric in the raw matrix is taken from there, so that it stays exact."""
        loc, scale = self.numeric_affine
        first = self.offsets[:-1]
        numeric = np.zeros((len(values), int(self.offsets[-1])))
        for kind, at in self.groups:
            if kind == "categorical":
                for j in self._indices(at):
                    self._write_indicators(numeric, values, missing, int(j), int(first[j]))
                continue
            to: Positions = at if isinstance(at, slice) else first[at]  # all columns at once cost less as a slice
            exact = kind in ("continuous", "positive", "proportion", "count")
            block = raw[:, at].astype(np.float64) if exact else values[:, at] * scale[to] + loc[to]
            if missing is not None:
                block[missing[:, at]] = np.nan
            numeric[:, to] = block
        return numeric

    def _write_indicators(self, numeric: Floats, values: Floats, missing: Mask | None, j: int, start: int) -> None:
        rows = np.arange(len(values))
        numeric[rows, start + values[:, j].astype(np.intp)] = 1.0
        if missing is not None:
            numeric[missing[:, j], start : int(self.offsets[j + 1])] = np.nan

    def encoded_from_numeric(self, numeric: Floats) -> Floats:
        """Nearest valid encoded values of a numeric matrix; NaN where it is NaN."""
        loc, scale = self.numeric_affine
        first = self.offsets[:-1]
        encoded: Floats = np.empty((len(numeric), len(self.arrays)))
        for kind, at in self.groups:
            where = self._indices(at)
            if kind == "categorical":
                for j in where:
                    encoded[:, j] = _argmax(numeric[:, self.offsets[j] : self.offsets[j + 1]])
                continue
            to = first[where]
            block = (numeric[:, to] - loc[to]) / scale[to]
            encoded[:, at] = self._nearest_valid(kind, block, at)
        return encoded

    def _nearest_valid(self, kind: str, block: Floats, at: Positions) -> Floats:
        if kind == "positive":
            low = self.arrays.low[at] / self.arrays.scale[at]
            return np.where(block <= 0, np.where(np.isnan(low), 1.0, low), block)
        if kind == "proportion":
            return np.clip(block, 0.0, 1.0)
        if kind == "count":
            return np.rint(np.maximum(block, 0.0))
        if kind == "binary":
            return np.where(np.isnan(block), np.nan, (block >= 0.5).astype(np.float64))
        if kind == "ordinal":
            top = np.array([len(self.arrays.levels[j]) - 1 for j in self._indices(at)])
            return np.clip(np.rint(block), 0, top)
        return block

    def log_abs_det(self, observed: Mask | None, n: int) -> Floats:
        """Sum of -log scale over the observed cells of each row whose kind has a density, shape (n,)."""
        weights = np.zeros(len(self.arrays))
        for kind, at in self.groups:
            if kind in ("continuous", "positive", "proportion"):
                weights[at] = -np.log(self.arrays.scale[at])
        if observed is None:
            return np.full(n, weights.sum())
        total = np.empty(n)
        for rows in row_blocks(n, len(self.arrays)):
            total[rows] = observed[rows].astype(np.float64) @ weights
        return total

    # --------------------------------------------------------------------------------------------------------- levels

    @cached_property
    def coded(self) -> Mask:
        """Whether the raw numbers of a column are codes of its levels."""
        a = self.arrays
        if not any(kind in ("binary", "categorical", "ordinal") for kind, _ in self.groups):
            return np.zeros(len(a), dtype=bool)
        return np.fromiter(
            (is_coded(d, lv) for d, lv in zip(a.dtypes, a.levels, strict=True)), dtype=bool, count=len(a)
        )

    @cached_property
    def raw_levels(self) -> dict[int, Floats]:
        """Raw numbers of the levels of every categorical and ordinal column."""
        return {int(j): self._raw_levels(int(j)) for j in self.arrays.where("categorical", "ordinal")}

    def _raw_levels(self, j: int) -> Floats:
        levels = self.arrays.levels[j]
        return np.arange(len(levels), dtype=np.float64) if self.coded[j] else np.array(levels, dtype=np.float64)

    @cached_property
    def _binary_levels(self) -> Floats:
        """(2, C): raw numbers of the two levels of the binary columns, NaN elsewhere."""
        pairs = np.full((2, len(self.arrays)), np.nan)
        for j in self.arrays.where("binary"):
            pairs[:, j] = (0.0, 1.0) if self.coded[j] else self.arrays.levels[j]
        return pairs

    @cached_property
    def _limits(self) -> tuple[Floats, Floats, Mask]:
        known: dict[str, tuple[float, float, bool]] = {d: dtype_limits(d) for d in set(self.arrays.dtypes)}
        low, high, whole = (np.array(v) for v in zip(*(known[d] for d in self.arrays.dtypes), strict=True))
        return low, high, whole.astype(bool)

    def _indices(self, at: Positions) -> NDArray[np.intp]:
        return np.arange(len(self.arrays), dtype=np.intp)[at]


def unseen_level(name: str, row: int, value: Any, levels: tuple[Any, ...]) -> str:
    """The complaint about a value that a discrete column did not have at fit."""
    shown = abridge([repr(v) for v in levels])
    return (
        f"column {name!r} of X, row {row}, holds {value!r}, which was not there at fit (levels: {shown}). Correct "
        "the cell, set it to missing, or fit again with all levels declared, as the categories of a pandas "
        "Categorical. (more: underlie explain unseen-level)"
    )


def _argmax(block: Floats) -> Floats:
    """Position of the largest entry of each row, NaN where the row has missing entries."""
    missing = np.isnan(block).any(axis=1)
    best: Floats = np.argmax(np.nan_to_num(block), axis=1).astype(np.float64)
    best[missing] = np.nan
    return best
