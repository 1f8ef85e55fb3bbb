"""The rows of a survival table, parted into covariates and treatments, checked and encoded."""

from __future__ import annotations

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
from underlie.data.tables import library_of
from underlie.estimators.admissible import admissible, is_missing, plain

Floats = NDArray[np.float64]


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
        for t in treatments:
            if t not in names:
                raise ValueError(f"treatments names {t!r}, but X has the columns {abridge(names)}.")
        if len(set(treatments)) < len(treatments):
            raise ValueError(f"treatments names a column twice: {list(treatments)}.")
        covariates = [n for n in names if n not in treatments]
        if not covariates:
            raise ValueError("X has no column beside the treatments: there is nothing to predict from.")
        own = dict(kinds) if isinstance(kinds, Mapping) else {}
        of_covariates: Kinds = {k: v for k, v in own.items() if k not in treatments} if own else kinds
        covariate_encoder = Encoder.fit(_select(X, covariates, names), _at_positions(of_covariates, covariates, X))
        treatment_encoder = None
        if treatments:
            table = _select(X, list(treatments), names)
            _check_treatments(table, treatments)
            of_treatments = {k: v for k, v in own.items() if k in treatments}
            treatment_encoder = Encoder.fit(table, _at_positions(of_treatments, list(treatments), X) or None)
        return cls(tuple(names), tuple(treatments), covariate_encoder, treatment_encoder)

    @property
    def covariates(self) -> list[str | int]:
        """Columns that are no treatments."""
        return [n for n in self.names if n not in self.treatments]

    def covariate_table(self, X: Any) -> Any:
        """The covariates of X, in a container like X."""
        return _select(X, self.covariates, column_names(X))

    def encode_covariates(self, X: Any) -> Encoded:
        """Encoded covariates; a level that was not there at fit counts as missing, with a warning."""
        names = column_names(X)
        absent = [n for n in self.covariates if n not in names]
        if absent:
            raise ValueError(
                f"X lacks the column(s) {abridge(absent)} that were there at fit (it has {abridge(names)})."
            )
        if unexpected := [n for n in names if n not in self.names]:
            raise ValueError(f"X has the column(s) {abridge(unexpected)} that were not there at fit.")
        return self.covariate_encoder.encode(admissible(_select(X, self.covariates, names), self.covariate_encoder))

    def encode_treatments(self, X: Any, treatment: Any = None) -> Encoded | None:
        """Encoded treatments: those of X, or the ones asked for, the same for all rows or one per row."""
        if self.treatment_encoder is None:
            if treatment is not None:
                raise ValueError("treatment was given, but the model was fitted without treatments=.")
            return None
        names = column_names(X)
        if treatment is None:
            absent = [t for t in self.treatments if t not in names]
            if absent:
                raise ValueError(f"X lacks the treatment column(s) {abridge(absent)}; give treatment= instead.")
            table = _select(X, list(self.treatments), names)
            _refuse_missing(table, self.treatments)
            return self.treatment_encoder.encode(table)
        asked = self.levels_asked(treatment, n_rows(X))
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


def _some_value(column: Column) -> float:
    """An encoded value that the column can hold."""
    return 1.0 if column.kind == "positive" else 0.0


def column_names(X: Any) -> list[str | int]:
    """Names of the columns of a table, positions for an array; refuses a name that occurs twice."""
    if library_of(X) is not None:
        native = getattr(X, "columns", None)
        names = [str(n) for n in (native if native is not None else nw.from_native(X, eager_only=True).columns)]
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
        If a column of X is the time, or the event, in every row.
    """
    for name in column_names(X):
        values = column_values(X, name)
        if values.dtype.kind not in "biuf" or len(values) != len(y):
            continue
        for field in ("time", "event"):
            if np.array_equal(values.astype(float), y[field].astype(float)):
                raise ValueError(
                    f"column {name!r} of X is the {field} of y in every row: the outcome must not be among the "
                    "covariates. Drop the column."
                )


def column_values(X: Any, name: str | int) -> NDArray[Any]:
    """One column as an array."""
    if library_of(X) is None:
        return np.asarray(X)[:, name]  # type: ignore[index]
    return np.asarray(nw.from_native(X, eager_only=True)[str(name)].to_numpy())


def _select(X: Any, chosen: Sequence[str | int], names: Sequence[str | int]) -> Any:
    if library_of(X) is not None:
        return nw.from_native(X, eager_only=True).select([str(c) for c in chosen]).to_native()
    return np.asarray(X)[:, [names.index(c) for c in chosen]]


def _at_positions(kinds: Kinds, chosen: Sequence[str | int], X: Any) -> Kinds:
    """Kinds by position in the parted array, where X is an array."""
    if library_of(X) is not None or not isinstance(kinds, Mapping):
        return kinds
    return {chosen.index(k): v for k, v in kinds.items() if k in chosen}


def _check_treatments(table: Any, treatments: Sequence[str | int]) -> None:
    _refuse_missing(table, treatments)
    for j, name in enumerate(treatments):
        values = column_values(table, name if library_of(table) is not None else j)
        levels = sorted({repr(plain(v)) for v in values.tolist()})
        if len(levels) < 2:
            raise ValueError(
                f"treatment {name!r} is {levels[0]} in all rows: there is nothing to compare it with. Leave it out of "
                "treatments and drop the column."
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
        return [plain(value)] * n
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
