"""Labels in every form that users bring them in."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from underlie.estimators.targets import Targets
from underlie.warnings import DataWarning

N = 12
GROUP = np.arange(N) % 2
TEXT = ["b" if k else "a" for k in GROUP]
#: The first six rows have a label.
KNOWN = np.arange(N) < 6


def some(values: Any, missing: Any) -> list[Any]:
    """The first six values, then what stands for a missing one."""
    return [v if known else missing for v, known in zip(values, KNOWN, strict=True)]


CODES = [int(k) for k in GROUP]
CASES: dict[str, tuple[Any, list[Any], str]] = {
    "int": (np.array(some(CODES, -1)), [0, 1], "i"),
    "int8": (np.array(some(CODES, -1), dtype=np.int8), [0, 1], "i"),
    "float nan": (np.array(some(CODES, np.nan), dtype=float), [0, 1], "i"),
    "float -1": (np.array(some(CODES, -1.0), dtype=float), [0, 1], "i"),
    "list none": (some(CODES, None), [0, 1], "i"),
    "list nan": (some(CODES, float("nan")), [0, 1], "i"),
    "bool none": (some([bool(k) for k in GROUP], None), [False, True], "b"),
    "text none": (some(TEXT, None), ["a", "b"], "U"),
    "text nan": (some(TEXT, float("nan")), ["a", "b"], "U"),
    "object nan": (np.array(some(TEXT, np.nan), dtype=object), ["a", "b"], "U"),
    "pandas Int64": (pd.Series(some(CODES, pd.NA), dtype="Int64"), [0, 1], "i"),
    "pandas boolean": (pd.Series(some([bool(k) for k in GROUP], pd.NA), dtype="boolean"), [False, True], "b"),
    "pandas string": (pd.Series(some(TEXT, None), dtype="string"), ["a", "b"], "U"),
    "pandas category": (pd.Series(some(TEXT, None), dtype="category"), ["a", "b"], "U"),
    "pandas category of numbers": (pd.Series(some(CODES, None), dtype="category"), [0, 1], "i"),
    "Categorical": (pd.Categorical(some(TEXT, None)), ["a", "b"], "U"),
    "polars text": (pl.Series(some(TEXT, None)), ["a", "b"], "U"),
    "polars int": (pl.Series(some(CODES, None)), [0, 1], "i"),
    "polars -1": (pl.Series(some(CODES, -1)), [0, 1], "i"),
    "polars categorical": (pl.Series(some(TEXT, None), dtype=pl.Categorical), ["a", "b"], "U"),
    "one column": (np.array(some(CODES, -1))[:, None], [0, 1], "i"),
    "table of one column": (pd.DataFrame({"u": some(TEXT, None)}), ["a", "b"], "U"),
    "dates": (np.array(some(["2020-01-01", "2021-01-01"] * 6, "NaT"), dtype="datetime64[D]"), None, "M"),
}


@pytest.mark.parametrize("case", CASES)
def test_classes_however_they_come(case: str) -> None:
    y, classes, kind = CASES[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        targets = Targets.fit(y, N)
        codes, seen = targets.encode(y, N)
    assert targets.single
    (target,) = targets.columns
    assert target.classes is not None
    assert target.classes.dtype.kind == kind
    if classes is not None:
        assert target.classes.tolist() == classes
    np.testing.assert_array_equal(seen[:, 0], KNOWN)
    np.testing.assert_array_equal(codes[KNOWN, 0], GROUP[KNOWN])
    decoded = targets.decode(GROUP[:, None].astype(float))
    assert decoded.dtype == target.classes.dtype
    np.testing.assert_array_equal(decoded, target.classes[GROUP])


def test_labels_all_there() -> None:
    for y in (GROUP, GROUP.astype(bool), TEXT, GROUP.astype(np.uint8)):
        assert Targets.fit(y, N).encode(y, N)[1].all()


def test_numbers_that_are_not_whole_are_a_continuous_label() -> None:
    y = np.array(some(np.linspace(-3.0, 4.5, N), np.nan))
    targets = Targets.fit(y, N)
    assert targets.columns[0].is_continuous
    values, seen = targets.encode(y, N)
    np.testing.assert_array_equal(seen[:, 0], KNOWN)
    np.testing.assert_allclose([values[KNOWN].mean(), values[KNOWN].std()], [0, 1], atol=1e-12)
    np.testing.assert_allclose(targets.decode(values)[KNOWN], y[KNOWN])
    # Of a number, -1 is a value like any other, also where all are whole.
    _, seen = targets.encode([-1.0, 2.0], 2)
    assert seen.all()


def test_columns_miss_labels_in_different_rows() -> None:
    table = pd.DataFrame(
        {"u": some(TEXT, None), "v": [x if i % 2 else np.nan for i, x in enumerate(np.sqrt(range(N)))]}
    )
    for y in (table, pl.from_pandas(table)):
        targets = Targets.fit(y, N)
        assert targets.names == ["u", "v"]
        assert [c.is_continuous for c in targets.columns] == [False, True]
        values, seen = targets.encode(y, N)
        np.testing.assert_array_equal(seen, np.column_stack([KNOWN, np.arange(N) % 2 == 1]))
        decoded = targets.decode(values)
        assert isinstance(decoded[0, 0], str)
        assert isinstance(decoded[1, 1], float)  # and not a text
        assert decoded[1, 1] == pytest.approx(1.0)
    array = np.column_stack([some(CODES, -1), CODES[::-1]])
    assert Targets.fit(array, N).decode(np.zeros((2, 2))).dtype.kind == "i"


def test_classes_without_a_labelled_row() -> None:
    targets = Targets.fit(some(CODES, None), N, classes=[2, 0, 1, 1])
    assert targets.columns[0].classes.tolist() == [0, 1, 2]
    nothing = Targets.fit(np.full(N, -1), N, classes=["x", "y"])
    assert not nothing.encode([None] * N, N)[1].any()


def test_what_is_kept_is_what_was_learned() -> None:
    for y in (some(TEXT, None), np.linspace(0, 1, N), np.column_stack([CODES, CODES])):
        targets = Targets.fit(y, N)
        again = Targets.from_state(targets.to_state())
        assert again.single == targets.single
        np.testing.assert_array_equal(again.encode(y, N)[0], targets.encode(y, N)[0])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "the target y is None"),
        (CODES[:-1], "y has 11 rows, X has 12"),
        (np.zeros((N, 2, 2)), r"must have shape \(n,\) or \(n, columns\)"),
        (3, "must have shape"),
        (pd.DataFrame(index=range(N)), "without columns"),
        (np.full(N, -1), "no row has a label in 'y'"),
        (np.full(N, np.nan), "no row has a label in 'y'"),
        (pd.DataFrame({"u": TEXT, "v": [None] * N}), "no row has a label in 'v'"),
        (some([0] * N, -1), "only one class, 0.*-1 marks rows without a label"),
        (np.where(GROUP == 0, -1, 1), "only one class, 1.*-1 marks rows without a label"),
        (["a"] * N, r"only one class, 'a': there is nothing to tell apart\. Give labels of at least two\.$"),
        (np.where(GROUP == 0, np.inf, 1.5), "label inf of 'y', row 0"),
        (np.where(GROUP == 0, np.inf, 1.0), "label inf of 'y', row 0"),
        (some(TEXT, -1), r"different types, 'a' and -1 \(row 6\)"),
    ],
)
def test_labels_that_cannot_be_used(y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Targets.fit(y, N)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "at least two"),
        ([1, 1], "at least two"),
        ("ab", "sequence"),
        (3, "sequence"),
        ([-1, 1], "marks rows without a label"),
        (["a", 1], "different types"),
    ],
)
def test_classes_that_cannot_be_used(classes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Targets.fit(some(CODES, -1), N, classes=classes)


def test_an_unknown_label_is_named() -> None:
    with pytest.raises(ValueError, match="label 'c' of 'y', row 1, is none of the classes"):
        Targets.fit(TEXT, N).encode(["a", "c"], 2)
    with pytest.raises(ValueError, match="names those of one column"):
        Targets.fit(np.column_stack([CODES, CODES]), N, classes=[0, 1])
    with pytest.raises(ValueError, match="2 columns of labels; at fit it had 1"):
        Targets.fit(TEXT, N).encode(np.column_stack([TEXT, TEXT]), N)


@pytest.mark.parametrize(("y", "text"), [(np.array(some(TEXT, np.nan)), "nan"), (np.array(some(TEXT, "-1")), "-1")])
def test_texts_that_were_probably_no_labels_are_warned_of(y: np.ndarray, text: str) -> None:
    with pytest.warns(DataWarning, match=f"the text '{text}' in 'y' is taken as a class"):
        Targets.fit(y, N)
