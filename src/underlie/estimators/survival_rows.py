"""The rows of a survival table, parted into covariates and treatments, checked and encoded."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, final

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from underlie.data import Encoded, Encoder
from underlie.data.columns import Column
from underlie.data.rules import Kinds
from underlie.data.schema import abridge
from underlie.data.surv import as_surv
from underlie.data.surv_encoding import check_fittable, without_zero_times
from underlie.data.tables import library_of
from underlie.estimators.admissible import admissible, is_missing, plain
from underlie.warnings import ExtrapolationWarning, warn

Floats = NDArray[np.float64]

#: From so many rows on, a column that divides them as the event does is no coincidence.
_MANY = 20


@final
@dataclass(frozen=True)
class SurvivalRows:
    """Reads a table as covariates and treatments.

    Attributes
    ----------
    names : tuple of str or int
        All columns of X, as they were at fit; positions for an array.
    treatments : tuple of str or int
        Those among them that are treatments.
    covariate_encoder : Encoder
    treatment_encoder : Encoder or None
    """

    names: tuple[str | int, ...]
    treatments: tuple[str | int, ...]
    covariate_encoder: Encoder
    treatment_encoder: Encoder | None

    @classmethod
    def fit(cls, X: Any, treatments: Sequence[str | int], kinds: Kinds) -> Self:
        """Look at X and learn how to encode it; refuses treatments that cannot be learned from."""
        names = column_names(X)
        treatments = [_as_named(t, names) for t in treatments]
        for t in treatments:
            if t not in names:
                raise ValueError(f"treatments names {t!r}, but X has the columns {abridge(names)}.")
        if len(set(treatments)) < len(treatments):
            raise ValueError(f"treatments names a column twice: {list(treatments)}.")
        covariates = [n for n in names if n not in treatments]
        if not covariates:
            raise ValueError("X has no column beside the treatments: there is nothing to predict from.")
        own = {_as_named(k, names): v for k, v in kinds.items()} if isinstance(kinds, Mapping) else {}
        if unknown := [k for k in own if k not in names]:
            raise ValueError(f"kinds names the column(s) {abridge(unknown)}, but X has {abridge(names)}.")
        of_covariates: Kinds = {k: v for k, v in own.items() if k not in treatments} if own else kinds
        covariate_encoder = Encoder.fit(_select(X, covariates, names), _at_positions(of_covariates, covariates, X))
        treatment_encoder = None
        if treatments:
            table = _seen_levels_only(_select(X, treatments, names))
            _check_treatments(table, treatments)
            of_treatments = {k: v for k, v in own.items() if k in treatments}
            treatment_encoder = Encoder.fit(table, _at_positions(of_treatments, treatments, X) or None)
        return cls(tuple(names), tuple(treatments), covariate_encoder, treatment_encoder)

    @property
    def covariates(self) -> list[str | int]:
        """Columns that are no treatments."""
        return [n for n in self.names if n not in self.treatments]

    def covariate_table(self, X: Any) -> Any:
        """The covariates of X, in a container like X."""
        return _select(X, self.covariates, self._names_in(X))

    def encode_covariates(self, X: Any) -> Encoded:
        """Encoded covariates; a level that was not there at fit counts as missing, with a warning."""
        names = self._names_in(X)
        absent = [n for n in self.covariates if n not in names]
        if absent:
            raise ValueError(
                f"X lacks the column(s) {abridge(absent)} that were there at fit (it has {abridge(names)}). "
                "(more: underlie explain columns-differ)"
            )
        if unexpected := [n for n in names if n not in self.names]:
            raise ValueError(
                f"X has the column(s) {abridge(unexpected)} that were not there at fit. "
                "(more: underlie explain columns-differ)"
            )
        return self.covariate_encoder.encode(admissible(_select(X, self.covariates, names), self.covariate_encoder))

    def encode_treatments(self, X: Any, treatment: Any = None) -> Encoded | None:
        """Encoded treatments: those of X, or the ones asked for, the same for all rows or one per row."""
        if self.treatment_encoder is None:
            if treatment is not None:
                raise ValueError("treatment was given, but the model was fitted without treatments=.")
            return None
        if treatment is None:
            names = self._names_in(X)
            absent = [t for t in self.treatments if t not in names]
            if absent:
                raise ValueError(f"X lacks the treatment column(s) {abridge(absent)}; give treatment= instead.")
            table = _select(X, self.treatments, names)
            _refuse_missing(table, self.treatments)
            return self.treatment_encoder.encode(table)
        asked = self.levels_asked(treatment, n_rows(X))
        for name, column in zip(self.treatments, self.treatment_encoder.schema, strict=True):
            asked[name] = _given_before(asked[name], column, name)
        return self.treatment_encoder.encode(_like_table(X, asked))

    def any_treatment(self, n: int) -> Encoded | None:
        """Some valid treatment for n rows, for questions whose answer does not depend on it."""
        if self.treatment_encoder is None:
            return None
        return Encoded(np.tile(np.array([[_some_value(c)] for c in self.treatment_encoder.schema]).T, (n, 1)), None)

    def treatment_levels(self, X: Any) -> dict[str | int, list[Any]]:
        """Levels of each treatment column, in the order of the schema; the distinct values of a dose."""
        found: dict[str | int, list[Any]] = {}
        if self.treatment_encoder is None:
            return found
        for name, column in zip(self.treatments, self.treatment_encoder.schema, strict=True):
            values = column_values(X, name)
            levels = column.levels if column.levels is not None else np.unique(values.astype(float)).tolist()
            found[name] = [plain(v) for v in levels]
        return found

    def levels_asked(self, treatment: Any, n: int) -> dict[str | int, list[Any]]:
        """A treatment as a user writes it, as one level per row and column."""
        if isinstance(treatment, Mapping):
            treatment = {_as_named(k, self.treatments): v for k, v in treatment.items()}
            unknown = [k for k in treatment if k not in self.treatments]
            missing = [t for t in self.treatments if t not in treatment]
            if unknown or missing:
                raise ValueError(
                    f"treatment must name each of {list(self.treatments)}; "
                    + (f"it has {unknown} beside" if unknown else f"it lacks {missing}")
                    + "."
                )
            return {t: _per_row(treatment[t], n, f"treatment[{t!r}]") for t in self.treatments}
        if len(self.treatments) > 1:
            example = "{" + ", ".join(f"{t!r}: ..." for t in self.treatments) + "}"
            raise ValueError(f"there are {len(self.treatments)} treatment columns: give treatment={example}.")
        return {self.treatments[0]: _per_row(treatment, n, "treatment")}

    def _names_in(self, X: Any) -> list[str | int]:
        """Names of the columns of later rows; an array may have all columns, or the covariates alone."""
        names, known = column_names(X), self.names
        if library_of(X) is not None:
            if isinstance(known[0], int):
                raise ValueError("X is a table, but the model was fitted to an array: give X.to_numpy().")
            return names
        if isinstance(known[0], str):
            raise ValueError(
                f"X is an array, but the model was fitted to a table: give one with the columns {abridge(known)}."
            )
        for expected in (list(known), self.covariates):
            if len(names) == len(expected):
                return expected
        without = f", or {len(self.covariates)} without the treatments" if self.treatments else ""
        raise ValueError(f"X has {len(names)} columns, but had {len(known)} at fit{without}.")


def _some_value(column: Column) -> float:
    """An encoded value that the column can hold."""
    return 1.0 if column.kind == "positive" else 0.0


def column_names(X: Any) -> list[str | int]:
    """Names of the columns of a table as text, positions for an array; refuses a name that occurs twice."""
    library = library_of(X)
    if library is not None:
        names = [str(n) for n in (X.column_names if library == "pyarrow" else X.columns)]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"X has the column(s) {abridge(twice)} twice; rename or drop one of them.")
        return list(names)
    shape = np.shape(X)
    if len(shape) != 2:
        raise ValueError(f"X must be a table, or an array of shape (n, columns), got shape {shape}.")
    return list(range(shape[1]))


def n_rows(X: Any) -> int:
    """Number of rows of a table or an array."""
    return len(X) if hasattr(X, "__len__") else nw.from_native(X, eager_only=True).shape[0]


def refuse_leaks(X: Any, y: NDArray[np.void]) -> None:
    """Refuse an outcome among the covariates.

    Raises
    ------
    ValueError
        If a column of X is the time in every row, in any unit, or the event, in any coding.
    """
    for name in column_names(X):
        values = column_values(X, name)
        if len(values) != len(y):
            continue
        field = "time" if _tells_time(values, y["time"]) else "event" if _tells_event(values, y["event"]) else None
        if field:
            raise ValueError(
                f"column {name!r} of X is the {field} of y in every row: the outcome must not be among the "
                "covariates. Drop the column."
            )


def _tells_time(values: NDArray[Any], time: Floats) -> bool:
    """Whether a column is the time, times a constant."""
    if values.dtype.kind not in "iuf" or (time == time[0]).all() or not (time > 0).any():
        return False
    scaled = values.astype(float)
    at = int(np.argmax(time))
    unit = scaled[at] / time[at]
    return bool(np.isfinite(unit) and unit > 0 and np.allclose(scaled, unit * time, rtol=1e-6, atol=0.0))


def _tells_event(values: NDArray[Any], event: NDArray[np.bool_]) -> bool:
    """Whether a column has two levels, one where the event was seen and the other where it was not."""
    if event.all() or not event.any():
        return False
    if values.dtype.kind in "biuf" and np.array_equal(values.astype(float), event.astype(float)):
        return True
    seen = {plain(v) for v in values[event].tolist()}
    unseen = {plain(v) for v in values[~event].tolist()}
    # In few rows two levels fall together with the event by chance.
    return len(event) >= _MANY and len(seen) == len(unseen) == 1 and seen != unseen


def column_values(X: Any, name: str | int) -> NDArray[Any]:
    """One column as an array."""
    if library_of(X) is None:
        return np.asarray(X)[:, name]  # type: ignore[index]
    return np.asarray(_frame(X)[str(name)].to_numpy())


def _frame(X: Any) -> nw.DataFrame[Any]:
    """A table whose columns are named by text."""
    if library_of(X) == "pandas" and not all(isinstance(c, str) for c in X.columns):
        X = X.set_axis([str(c) for c in X.columns], axis=1)
    return nw.from_native(X, eager_only=True)


def _as_named(name: Any, names: Sequence[str | int]) -> Any:
    """A column as the names spell it: those of tables are text, even where pandas has whole numbers."""
    return str(name) if isinstance(name, (int, np.integer)) and name not in names and str(name) in names else name


def _select(X: Any, chosen: Sequence[str | int], names: Sequence[str | int]) -> Any:
    if library_of(X) is not None:
        return _frame(X).select([str(c) for c in chosen]).to_native()
    return np.asarray(X)[:, [names.index(c) for c in chosen]]


def _at_positions(kinds: Kinds, chosen: Sequence[str | int], X: Any) -> Kinds:
    """Kinds by position in the parted array, where X is an array."""
    if library_of(X) is not None or not isinstance(kinds, Mapping):
        return kinds
    return {chosen.index(k): v for k, v in kinds.items()}


def _seen_levels_only(table: Any) -> Any:
    """The table without declared categories that no row has: nothing is known of such a treatment."""
    if library_of(table) == "pandas":
        unused = {c: s.cat.remove_unused_categories() for c, s in table.items() if s.dtype.name == "category"}
        return table.assign(**unused)
    if library_of(table) == "polars":
        frame = nw.from_native(table, eager_only=True)
        for name, dtype in frame.schema.items():
            if isinstance(dtype, nw.Enum):
                present = set(frame[name].to_list())
                seen = nw.Enum([level for level in dtype.categories if level in present])
                frame = frame.with_columns(nw.col(name).cast(nw.String).cast(seen))
        return frame.to_native()
    return table


def _given_before(asked: list[Any], column: Column, name: str | int) -> list[Any]:
    """Treatments asked for as the schema spells them; refuses levels that nobody was given."""
    if absent := [i for i, v in enumerate(asked) if is_missing(v)]:
        raise ValueError(f"treatment asked for in {name!r} is missing for row(s) {abridge(absent)}.")
    if column.levels is not None:
        wrong = [i for i, v in enumerate(asked) if v not in column.levels]
        if wrong:
            raise ValueError(
                f"treatment {asked[wrong[0]]!r}, asked for in row(s) {abridge(wrong)}, was never given in column "
                f"{name!r} at fit: choose one of {abridge([repr(v) for v in column.levels])}."
            )
        return [column.levels[column.levels.index(v)] for v in asked]
    for i, v in enumerate(asked):
        if not isinstance(v, numbers.Real) or not np.isfinite(float(v)):
            raise ValueError(f"treatment {v!r}, asked for in row {i}, is no finite number, but {name!r} is a dose.")
    low, high = column.low, column.high
    if low is not None and high is not None:
        beyond = [i for i, v in enumerate(asked) if not low <= v <= high]
        if beyond:
            warn(
                f"the dose {asked[beyond[0]]:g}, asked for in row(s) {abridge(beyond)}, is outside those given in "
                f"{name!r} at fit, {low:g} to {high:g}: the prediction extrapolates.",
                ExtrapolationWarning,
            )
    return asked


def _check_treatments(table: Any, treatments: Sequence[str | int]) -> None:
    _refuse_missing(table, treatments)
    for j, name in enumerate(treatments):
        values = column_values(table, name if library_of(table) is not None else j)
        levels = sorted({repr(plain(v)) for v in values.tolist()})
        if len(levels) < 2:
            raise ValueError(
                f"treatment {name!r} is {levels[0]} in all rows: there is nothing to compare it with. Leave it out of "
                "treatments and drop the column. (more: underlie explain one-treatment)"
            )


def _refuse_missing(table: Any, treatments: Sequence[str | int]) -> None:
    for j, name in enumerate(treatments):
        values = column_values(table, name if library_of(table) is not None else j)
        rows = [i for i, v in enumerate(values.tolist()) if is_missing(v)]
        if rows:
            raise ValueError(
                f"treatment {name!r} is missing in row(s) {abridge(rows)}: drop these rows, or make 'unknown' a level."
            )


def _per_row(value: Any, n: int, name: str) -> list[Any]:
    if isinstance(value, (str, bytes)) or np.ndim(value) == 0:
        return [value.item() if isinstance(value, np.ndarray) else plain(value)] * n
    values = [plain(v) for v in np.asarray(value, dtype=object).tolist()]
    if len(values) != n:
        raise ValueError(f"{name} must be one level, or one per row of X ({n}), got {len(values)}.")
    return values


def _like_table(X: Any, columns: Mapping[str | int, list[Any]]) -> Any:
    """The columns in a container like X."""
    if library_of(X) is None:
        return np.column_stack([np.asarray(v) for v in columns.values()])
    backend = nw.from_native(X, eager_only=True).implementation
    return nw.from_dict({str(k): v for k, v in columns.items()}, backend=backend).to_native()


def checked_outcome(X: Any, y: Any, instead_of_zero: float | None = None) -> NDArray[np.void]:
    """y as a structured array of the length of X, without zero times; checked for fitting where none is given."""
    outcome = as_surv(y)
    if len(outcome) != n_rows(X):
        raise ValueError(f"X has {n_rows(X)} rows, but y has {len(outcome)} outcomes: give one for each row.")
    if instead_of_zero is None:
        check_fittable(outcome)
        refuse_leaks(X, outcome)
    return without_zero_times(outcome, instead_of_zero)
