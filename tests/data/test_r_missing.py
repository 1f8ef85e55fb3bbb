"""R's code for a missing whole number is missing, in tables and arrays, at fit and later; else it is a number."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import underlie as ul
from underlie.data import Encoder
from underlie.data.r_missing import R_MISSING
from underlie.warnings import DataWarning

HOLES = (3, 17)


def table(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    nodes = rng.poisson(5, n).astype("int32")
    nodes[list(HOLES)] = R_MISSING
    return pd.DataFrame({"age": rng.normal(60, 10, n), "nodes": nodes, "visits": rng.poisson(9, n)})


def known(X: pd.DataFrame) -> pd.DataFrame:
    """The same with the cells said to be missing."""
    return X.assign(nodes=X["nodes"].where(X["nodes"] != R_MISSING))


def as_pandas(X: pd.DataFrame) -> pd.DataFrame:
    return X


def as_polars(X: pd.DataFrame):
    return pytest.importorskip("polars").from_pandas(X)


def as_arrow(X: pd.DataFrame):
    return pytest.importorskip("pyarrow").Table.from_pandas(X, preserve_index=False)


def as_floats(X: pd.DataFrame) -> pd.DataFrame:
    return X.astype(float)


@pytest.mark.parametrize("form", [as_pandas, as_polars, as_arrow, as_floats])
def test_a_table_is_read_as_if_its_cells_were_missing(form):
    X = table()
    with pytest.warns(DataWarning, match=r"'nodes' of X holds -2147483648 in 2 rows, the first of them row 3"):
        encoder = Encoder.fit(form(X))
    expected = Encoder.fit(known(X))
    assert encoder.schema["nodes"].kind == expected.schema["nodes"].kind == "count"
    assert encoder.schema["nodes"].low == known(X)["nodes"].min()
    with pytest.warns(DataWarning, match="R's code"):
        encoded = encoder.encode(form(X))
    np.testing.assert_array_equal(encoded.values, expected.encode(known(X)).values)
    assert [tuple(cell) for cell in np.argwhere(~encoded.observed)] == [(row, 1) for row in HOLES]


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_an_array_is_read_as_if_its_cells_were_missing(dtype):
    X = table()[["nodes", "visits"]].to_numpy().astype(dtype)
    floats = np.where(X == R_MISSING, np.nan, X)
    with pytest.warns(DataWarning, match="'x0' of X holds -2147483648 in 2 rows"):
        model = ul.ProbabilisticPCA(1).fit(X)
    expected = ul.ProbabilisticPCA(1).fit(floats)
    with pytest.warns(DataWarning, match="R's code"):
        assert model.score(X) == pytest.approx(expected.score(floats))
    with pytest.warns(DataWarning, match="R's code"):
        completed = model.impute(X)
    assert completed.min() > R_MISSING / 2
    np.testing.assert_array_equal(completed[X != R_MISSING], X[X != R_MISSING])


def test_imputation_fills_these_cells_and_keeps_the_others():
    X = table()
    with pytest.warns(DataWarning, match="R's code"):
        model = ul.ProbabilisticPCA(1).fit(X)
    with pytest.warns(DataWarning, match="R's code"):
        completed = model.impute(X)
    pd.testing.assert_frame_equal(completed, model.impute(known(X)), check_dtype=False)
    assert (completed["nodes"] >= 0).all()


def test_new_rows_are_read_like_the_rows_of_the_fit():
    X = known(table()).dropna()
    model = ul.ProbabilisticPCA(1).fit(X)
    new = X.iloc[:1].assign(nodes=R_MISSING)
    with pytest.warns(DataWarning, match="in row 0:"):
        assert model.score(new) == pytest.approx(model.score(X.iloc[:1].assign(nodes=np.nan)))


@pytest.mark.parametrize(
    "column",
    [
        np.array([R_MISSING, 0.5, 1.25, 3.0] * 10),
        np.random.default_rng(0).integers(R_MISSING, 2**31, 40),
        np.array([R_MISSING, R_MISSING + 1, 5, 6] * 10),
        np.array([R_MISSING + 1, 4, 5, 6] * 10),
        np.array([2**31 - 1, 4, 5, 6] * 10),
    ],
)
def test_what_can_be_a_number_stays_one(column):
    column = np.append(column, np.float64(R_MISSING) if column.dtype.kind == "f" else column.min())
    X = pd.DataFrame({"a": column, "b": np.arange(len(column)) * 0.1})
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        encoder = Encoder.fit(X)
        assert encoder.encode(X).observed is None
    assert encoder.schema["a"].low == column.min()


def test_one_warning_tells_of_all_columns():
    X = table()
    X["visits"] = X["nodes"]
    X["again"] = X["nodes"]
    with pytest.warns(DataWarning, match="row 3, and 2 more columns in others") as caught:
        Encoder.fit(X)
    assert len(caught) == 1
