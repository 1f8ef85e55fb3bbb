"""Round trips: what is encoded comes back with the same types, levels, order and labels, for random mixed tables."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal as assert_polars_equal

from underlie.data import Encoder
from underlie.warnings import DataWarning

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)
FLOATS = st.floats(-1e6, 1e6, allow_subnormal=False)


def with_missing(values: st.SearchStrategy[Any], n: int) -> st.SearchStrategy[list[Any]]:
    """n values, some of them None, at least one of them not."""
    return st.lists(st.one_of(values, values, values, st.none()), min_size=n, max_size=n).filter(
        lambda cells: any(c is not None for c in cells)
    )


def pandas_column(n: int) -> st.SearchStrategy[pd.Series[Any]]:
    """One column of n rows in any of the dtypes that pandas offers for it."""
    whole = st.lists(st.integers(-100, 100), min_size=n, max_size=n)
    small = with_missing(st.integers(0, 60), n)
    text = with_missing(TEXT, n)
    levels = st.lists(st.sampled_from(["a", "B", "c d", "é"]), min_size=1, unique=True)
    return st.one_of(
        st.sampled_from(["int64", "int8", "float32", "Int64"]).flatmap(
            lambda d: whole.map(lambda v: pd.Series(v, dtype=d))
        ),
        small.map(lambda v: pd.Series(v, dtype="Int64")),
        small.map(lambda v: pd.Series(v, dtype="UInt8")),
        small.map(lambda v: pd.Series(v, dtype="float64")),
        with_missing(FLOATS, n).map(lambda v: pd.Series(v, dtype="float64")),
        with_missing(st.floats(-1000, 1000, width=32, allow_subnormal=False), n).map(
            lambda v: pd.Series(v, dtype="Float32")
        ),
        with_missing(FLOATS, n).map(lambda v: pd.Series(v, dtype=pd.ArrowDtype(pa.float64()))),
        with_missing(st.booleans(), n).map(lambda v: pd.Series(v, dtype="boolean")),
        st.lists(st.booleans(), min_size=n, max_size=n).map(lambda v: pd.Series(v, dtype="bool")),
        text.map(lambda v: pd.Series([np.nan if c is None else c for c in v], dtype="object")),
        text.map(lambda v: pd.Series(v, dtype="string")),
        st.tuples(levels, st.booleans(), st.randoms()).map(
            lambda t: pd.Series(pd.Categorical([t[2].choice(t[0]) for _ in range(n)], t[0], ordered=t[1]))
        ),
        st.lists(st.integers(1, 4), min_size=n, max_size=n).map(lambda v: pd.Series(pd.Categorical(v))),
    )


@st.composite
def pandas_tables(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(1, 12))
    columns = draw(st.lists(pandas_column(n), min_size=1, max_size=5))
    labels = draw(
        st.lists(st.one_of(TEXT, st.integers(0, 99)), min_size=len(columns), max_size=len(columns), unique_by=str)
    )
    table = pd.concat(columns, axis=1)
    table.columns = pd.Index(labels, dtype=object)
    table.index = pd.Index(draw(st.permutations(range(100, 100 + n))), name="patient")
    return table


@SETTINGS
@given(pandas_tables())
@pytest.mark.filterwarnings("ignore::underlie.warnings.DataWarning")
def test_pandas_round_trip(table: pd.DataFrame) -> None:
    before = table.copy(deep=True)
    encoder = Encoder.fit(table)
    encoded = encoder.encode(table)
    assert np.isfinite(encoded.values).all()
    assert encoded.values.shape == table.shape
    if encoded.observed is None:
        assert not table.isna().any(axis=None)
    else:
        np.testing.assert_array_equal(encoded.observed, table.notna().to_numpy())
    back = encoder.decode(encoded.values, observed=encoded.observed, like=table)
    pd.testing.assert_frame_equal(back, table, rtol=1e-9, atol=1e-9, check_column_type=False)
    assert list(back.columns) == list(table.columns)
    pd.testing.assert_frame_equal(table, before)


@SETTINGS
@given(pandas_tables())
@pytest.mark.filterwarnings("ignore::underlie.warnings.DataWarning")
def test_numeric_view_goes_back_to_the_table(table: pd.DataFrame) -> None:
    encoder = Encoder.fit(table)
    numeric = encoder.numeric(table)
    assert numeric.shape == (len(table), encoder.n_numeric)
    assert len(encoder.numeric_names) == len(encoder.numeric_loc) == len(encoder.numeric_scale) == encoder.n_numeric
    back = encoder.from_numeric(numeric, like=table)
    pd.testing.assert_frame_equal(back, table, rtol=1e-9, atol=1e-9, check_column_type=False)
    encoded = encoder.encode(table)
    again = encoder.encoded_from_numeric(numeric)
    present = ~np.isnan(again)
    np.testing.assert_allclose(again[present], encoded.values[present], rtol=1e-9, atol=1e-9)


@SETTINGS
@given(pandas_tables())
@pytest.mark.filterwarnings("ignore::underlie.warnings.DataWarning")
def test_json_gives_the_same_encoder(table: pd.DataFrame) -> None:
    encoder = Encoder.fit(table)
    again = Encoder.from_json(json.loads(json.dumps(encoder.to_json())))
    assert again.schema == encoder.schema
    assert again.row_shape == encoder.row_shape
    a, b = encoder.encode(table), again.encode(table)
    np.testing.assert_array_equal(a.values, b.values)
    pd.testing.assert_frame_equal(encoder.decode(a.values), again.decode(b.values), check_column_type=False)


@SETTINGS
@given(pandas_tables(), st.integers(0, 2**32 - 1))
@pytest.mark.filterwarnings("ignore::underlie.warnings.DataWarning")
def test_decoding_anything_gives_values_that_can_be_encoded(table: pd.DataFrame, seed: int) -> None:
    """Whatever numbers a model produces, the decoded table is complete and valid."""
    encoder = Encoder.fit(table)
    rng = np.random.default_rng(seed)
    values = rng.normal(scale=10.0 ** rng.integers(-3, 7), size=(7, encoder.n_columns))
    decoded = encoder.decode(values)
    assert decoded.notna().all(axis=None)
    assert encoder.encode(decoded).observed is None
    coordinates = rng.normal(scale=100.0, size=(7, encoder.n_numeric))
    numeric = encoder.from_numeric(encoder.numeric_loc + encoder.numeric_scale * coordinates)
    assert encoder.encode(numeric).observed is None
    for name in table.columns:
        if encoder.schema[str(name)].missing is False:
            assert decoded[name].dtype == table[name].dtype


@SETTINGS
@given(pandas_tables())
@pytest.mark.filterwarnings("ignore::underlie.warnings.DataWarning")
def test_fill_changes_missing_cells_only(table: pd.DataFrame) -> None:
    encoder = Encoder.fit(table)
    encoded = encoder.encode(table)
    filled = encoder.fill(table, encoded.values)
    assert filled.notna().all(axis=None)
    assert filled.dtypes.tolist() == table.dtypes.tolist()
    assert filled.index.equals(table.index)
    for j in range(table.shape[1]):
        seen = table.iloc[:, j].notna().to_numpy()
        assert filled.iloc[seen, j].tolist() == table.iloc[seen, j].tolist()


# -------------------------------------------------------------------------------------------------- polars and Arrow


@st.composite
def polars_tables(draw: st.DrawFn) -> pl.DataFrame:
    n = draw(st.integers(1, 10))
    kinds = [
        (pl.Int16, with_missing(st.integers(-300, 300), n)),
        (pl.UInt32, with_missing(st.integers(0, 60), n)),
        (pl.Float64, with_missing(FLOATS, n)),
        (pl.Float32, with_missing(st.floats(-1000, 1000, width=32, allow_subnormal=False), n)),
        (pl.Boolean, with_missing(st.booleans(), n)),
        (pl.String, with_missing(TEXT, n)),
        (pl.Categorical, with_missing(st.sampled_from(["u", "v", "w"]), n)),
        (pl.Enum(["z", "y", "x"]), with_missing(st.sampled_from(["x", "y", "z"]), n)),
    ]
    picked = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=5))
    return pl.DataFrame([pl.Series(f"c{i}", draw(values), dtype=dtype) for i, (dtype, values) in enumerate(picked)])


@SETTINGS
@given(polars_tables())
@pytest.mark.filterwarnings("ignore::underlie.warnings.DataWarning")
def test_polars_round_trip(table: pl.DataFrame) -> None:
    encoder = Encoder.fit(table)
    encoded = encoder.encode(table)
    back = encoder.decode(encoded.values, observed=encoded.observed)
    assert back.schema == table.schema
    assert_polars_equal(back, table, abs_tol=1e-9, rel_tol=1e-9)
    filled = encoder.fill(table, encoded.values)
    assert filled.schema == table.schema
    assert filled.null_count().sum_horizontal().item() == 0
    for name in table.columns:
        seen = table[name].is_not_null()
        assert filled[name].filter(seen).to_list() == table[name].filter(seen).to_list()


@SETTINGS
@given(polars_tables())
@pytest.mark.filterwarnings("ignore::underlie.warnings.DataWarning")
def test_arrow_round_trip(table: pl.DataFrame) -> None:
    arrow = table.to_arrow()
    arrow = arrow.cast(
        pa.schema([(f.name, pa.string()) if "large" in str(f.type) else (f.name, f.type) for f in arrow.schema])
    )
    encoder = Encoder.fit(arrow)
    encoded = encoder.encode(arrow)
    back = encoder.decode(encoded.values, observed=encoded.observed)
    assert back.schema.names == arrow.schema.names
    assert [str(t) for t in back.schema.types] == [str(t) for t in arrow.schema.types]
    np.testing.assert_array_equal(encoder.encode(back).values.round(9), encoded.values.round(9))
    assert encoder.fill(arrow, encoded.values).schema.types == arrow.schema.types


def test_polars_nan_and_null_are_both_missing() -> None:
    table = pl.DataFrame({"a": [1.5, float("nan"), None, -2.0]})
    with pytest.warns(DataWarning, match="2 of the 4 rows"):
        encoder = Encoder.fit(table)
    assert encoder.encode(table).observed.tolist() == [[True], [False], [False], [True]]
    filled = encoder.fill(table, np.zeros((4, 1)))
    assert filled["a"].to_list() == [1.5, -0.25, -0.25, -2.0]


def test_chunks_of_an_arrow_column_may_number_their_categories_differently() -> None:
    first = pa.array(["b", "a"]).dictionary_encode()
    second = pa.array(["c", "b", "a"]).dictionary_encode()
    table = pa.table({"g": pa.chunked_array([first, second])})
    encoder = Encoder.fit(table)
    assert encoder.schema[0].levels == ("b", "a", "c")
    assert encoder.encode(table).values[:, 0].tolist() == [0, 1, 2, 0, 1]


# ------------------------------------------------------------------------------------------------------------ arrays


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "uint8", "uint16", "bool"])
@pytest.mark.parametrize("shape", [(6, 3), (6, 4, 3), (6, 2, 3, 2)])
def test_array_round_trip_keeps_dtype_and_shape(dtype: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    X = (rng.integers(0, 2, shape) if dtype == "bool" else rng.integers(0, 100, shape)).astype(dtype)
    encoder = Encoder.fit(X)
    encoded = encoder.encode(X)
    assert encoded.observed is None
    assert encoded.values.shape == (6, encoder.n_columns) == (6, int(np.prod(shape[1:])))
    assert encoder.row_shape == shape[1:]
    back = encoder.decode(encoded.values)
    assert back.dtype == X.dtype
    exact = X.dtype.kind != "f"
    np.testing.assert_allclose(back, X, rtol=0 if exact else 1e-14)
    np.testing.assert_allclose(encoder.from_numeric(encoder.numeric(X)), X, rtol=0 if exact else 1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(40, 3), (40, 3, 2)])
def test_array_with_missing_cells(dtype: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    X = rng.normal(size=shape).astype(dtype)
    X[rng.uniform(size=shape) < 0.3] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        encoder = Encoder.fit(X)
    encoded = encoder.encode(X)
    np.testing.assert_array_equal(encoded.observed, ~np.isnan(X).reshape(40, -1))
    np.testing.assert_allclose(encoder.decode(encoded.values, observed=encoded.observed), X, rtol=1e-6)
    filled = encoder.fill(X, np.zeros_like(encoded.values))
    assert filled.dtype == X.dtype
    np.testing.assert_array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])
    loc = encoder.schema.arrays.loc.reshape(shape[1:])
    np.testing.assert_allclose(filled[np.isnan(X)], np.broadcast_to(loc, shape)[np.isnan(X)], rtol=1e-6)


def test_lists_masked_arrays_and_object_arrays_of_numbers() -> None:
    rows = [[1.5, 2.0], [3.5, -4.0], [0.0, 1.0]]
    np.testing.assert_allclose(Encoder.fit(rows).decode(Encoder.fit(rows).encode(rows).values), rows)
    masked = np.ma.masked_equal(np.array([[1, 2], [3, 9], [5, 7]]), 9)
    assert Encoder.fit(masked).encode(masked).observed.tolist() == [[True, True], [True, False], [True, True]]
    assert Encoder.fit(np.array(rows, dtype=object)).decode(np.zeros((1, 2))).dtype == np.float64


def test_missing_cell_of_an_integer_array_becomes_a_float() -> None:
    encoder = Encoder.fit(np.array([[1, 30], [3, 40], [7, 50]]))
    back = encoder.decode(np.array([[np.nan, 0.0]]))
    assert back.dtype == np.float64
    assert np.isnan(back[0, 0])
    assert back[0, 1] == 40.0
