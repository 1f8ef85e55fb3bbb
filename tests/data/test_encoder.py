"""What encoded and numeric values mean, and that bad input is refused with its place and a remedy."""

from __future__ import annotations

import copy
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse, stats

from underlie.data import Encoder
from underlie.warnings import DataWarning


@pytest.fixture
def patients() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 60
    table = pd.DataFrame(
        {
            "age": rng.normal(60, 10, n),
            "bilirubin": np.exp(rng.normal(0.5, 1.0, n)),
            "fraction": rng.uniform(size=n),
            "nodes": rng.negative_binomial(1, 0.3, n),
            "sex": rng.choice(["f", "m"], n),
            "status": rng.integers(1, 3, n),
            "site": rng.choice(["Oslo", "Rome", "Lyon"], n),
            "ecog": pd.Categorical(rng.integers(0, 4, n), [0, 1, 2, 3], ordered=True),
            "dose": rng.choice([10, 20, 50], n),
        }
    )
    table.loc[[2, 7], "age"] = np.nan
    table.loc[[2, 9], "site"] = None
    return table


KINDS: dict[str | int, Any] = {"fraction": "proportion", "dose": "ordinal"}


def test_encoded_values_have_the_stated_meaning(patients: pd.DataFrame) -> None:
    encoder = Encoder.fit(patients, KINDS)
    assert encoder.schema.kinds == [
        "continuous", "positive", "proportion", "count", "binary", "binary", "categorical", "ordinal", "ordinal",
    ]  # fmt: skip
    values = encoder.encode(patients).values
    age, seen = patients["age"], patients["age"].notna()
    np.testing.assert_allclose(values[seen, 0], ((age - age.mean()) / age.std(ddof=0))[seen])
    np.testing.assert_allclose(values[:, 1], patients["bilirubin"] / stats.gmean(patients["bilirubin"]))
    np.testing.assert_array_equal(values[:, 2], patients["fraction"])
    np.testing.assert_array_equal(values[:, 3], patients["nodes"])
    np.testing.assert_array_equal(values[:, 4], patients["sex"] == "m")
    np.testing.assert_array_equal(values[:, 5], patients["status"] == 2)
    for code, site in enumerate(["Lyon", "Oslo", "Rome"]):
        assert (values[patients["site"] == site, 6] == code).all()
    np.testing.assert_array_equal(values[:, 7], patients["ecog"].cat.codes)
    np.testing.assert_array_equal(values[:, 8], patients["dose"].map({10: 0, 20: 1, 50: 2}))


def test_numeric_view_is_in_the_users_units(patients: pd.DataFrame) -> None:
    encoder = Encoder.fit(patients, KINDS)
    numeric = pd.DataFrame(encoder.numeric(patients), columns=encoder.numeric_names)
    for name in ("age", "bilirubin", "fraction", "nodes", "status"):
        np.testing.assert_array_equal(numeric[name], patients[name])
    np.testing.assert_array_equal(numeric["sex"], patients["sex"] == "m")
    np.testing.assert_array_equal(numeric["ecog"], patients["ecog"].astype(int))
    # 10, 20, 50 are not equally spaced, so no line through codes gives them
    np.testing.assert_array_equal(numeric["dose"], patients["dose"].map({10: 0, 20: 1, 50: 2}))
    for site in ("Lyon", "Oslo", "Rome"):
        expected = (patients["site"] == site).astype(float).where(patients["site"].notna())
        np.testing.assert_array_equal(numeric[f"site={site}"], expected)


@pytest.mark.parametrize("most", [7, 10_000])
def test_some_rows_are_those_of_the_whole(patients: pd.DataFrame, most: int) -> None:
    encoder = Encoder.fit(patients, KINDS)
    whole = encoder.encode(patients)
    some, numeric, index = encoder.some(patients, most)
    assert len(index) == min(most, len(patients))
    assert np.array_equal(index, np.unique(index))
    assert np.array_equal(some.values, whole.values[index])
    assert some.observed is not None
    assert whole.observed is not None
    assert np.array_equal(some.observed, whole.observed[index])
    assert np.array_equal(numeric, encoder.numeric(patients)[index], equal_nan=True)


def test_numeric_is_affine_in_the_coordinates(patients: pd.DataFrame) -> None:
    encoder = Encoder.fit(patients, KINDS)
    numeric, values = encoder.numeric(patients), encoder.encode(patients).values
    coordinates = np.column_stack([values[:, :6], *[values[:, 6] == k for k in range(3)], values[:, 7:]])
    predicted = encoder.numeric_loc + encoder.numeric_scale * coordinates
    seen = ~np.isnan(numeric)
    np.testing.assert_allclose(predicted[seen], numeric[seen])
    mean, *central = encoder.numeric_moments(coordinates.mean(0), *stats.moment(coordinates, order=[2, 3, 4]))
    np.testing.assert_allclose(mean, predicted.mean(0))
    for got, expected in zip(central, stats.moment(predicted, order=[2, 3, 4]), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-12)


def test_log_abs_det_is_the_change_of_variables(patients: pd.DataFrame) -> None:
    encoder = Encoder.fit(patients, KINDS)
    encoded = encoder.encode(patients)
    jacobian = encoder.log_abs_det(encoded.observed, len(patients))
    age = encoder.schema["age"]
    seen = encoded.observed[:, 0]
    log_density = stats.norm.logpdf(patients["age"], age.loc, age.scale)
    scales = np.log([encoder.schema[c].scale for c in ("bilirubin", "fraction")])
    np.testing.assert_allclose(
        (jacobian + stats.norm.logpdf(encoded.values[:, 0]))[seen], (log_density - scales.sum())[seen]
    )
    complete = encoder.log_abs_det(None, 3)
    np.testing.assert_allclose(complete, np.full(3, -np.log(age.scale) - scales.sum()))


def test_decoded_values_are_the_nearest_valid_ones(patients: pd.DataFrame) -> None:
    encoder = Encoder.fit(patients, KINDS)
    low = np.array([[0.0, -1.0, -0.2, -3.0, 0.4, 0.4, -5.0, -5.0, 0.6]])
    high = np.array([[0.0, 2.0, 1.2, 3.6, 0.6, 0.6, 9.0, 9.0, 9.0]])
    down, up = encoder.decode(low).iloc[0], encoder.decode(high).iloc[0]
    assert down["bilirubin"] == patients["bilirubin"].min()
    assert (down["fraction"], up["fraction"]) == (0.0, 1.0)
    assert (down["nodes"], up["nodes"]) == (0, 4)
    assert (down["sex"], up["sex"]) == ("f", "m")
    assert (down["status"], up["status"]) == (1, 2)
    assert (down["site"], up["site"]) == ("Lyon", "Rome")
    assert (down["ecog"], up["ecog"]) == (0, 3)
    assert (down["dose"], up["dose"]) == (20, 50)


def test_numbers_beyond_a_dtype_are_clipped_to_it() -> None:
    encoder = Encoder.fit(np.array([[100, -100], [120, -120], [90, -3]], dtype=np.int8))
    assert encoder.decode(np.array([[50.0, -50.0]])).tolist() == [[127, -128]]
    encoder = Encoder.fit(np.array([[1e38], [-3e38]], dtype=np.float32))
    assert np.isfinite(encoder.decode(np.array([[50.0]]))).all()
    table = pd.DataFrame({"a": np.array([2**62, 2**61, 5], dtype=np.int64)})
    assert Encoder.fit(table).decode(np.array([[100.0]]))["a"][0] > 2**62


def test_extreme_scales_stay_finite() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 4)) * [1e12, 1e-12, 1e300, 1e-300]
    encoder = Encoder.fit(X)
    values = encoder.encode(X).values
    np.testing.assert_allclose(values.std(axis=0), 1.0)
    np.testing.assert_allclose(encoder.decode(values), X, rtol=1e-9)
    far = np.array([[1.7e308], [-1.7e308], [1.0]])
    np.testing.assert_allclose(Encoder.fit(far).encode(far).values[:2, 0], [1.22474487, -1.22474487])


def test_ten_thousand_levels_take_no_dense_matrix() -> None:
    n, k = 20_000, 10_000
    table = pd.DataFrame({"icd": [f"code {i % k}" for i in range(n)], "x": np.linspace(-1, 1, n)})
    tracemalloc.start()
    encoder = Encoder.fit(table)
    encoded = encoder.encode(table)
    encoder.decode(encoded.values)
    encoder.encoded_from_numeric(np.zeros((1, encoder.n_numeric)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert encoder.n_numeric == k + 1
    # an n x P matrix of float64 would take 1.6 GB
    assert peak < 60e6


# ------------------------------------------------------------------------------------------------------- bad input


def table(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (pd.DataFrame({"a": []}), ValueError, "0 sample"),
        (pd.DataFrame(index=[0, 1]), ValueError, "0 feature"),
        (pl.DataFrame(), ValueError, "0 sample"),
        (np.empty((0, 3)), ValueError, "0 sample"),
        (np.empty((3, 0)), ValueError, "0 feature"),
        (np.empty((3, 0, 2)), ValueError, "at least one pixel"),
        (np.arange(3.0), ValueError, "Reshape your data"),
        (pd.Series([1.0, 2.0]), ValueError, "Reshape your data"),
        (pl.Series([1.0, 2.0]), ValueError, "Reshape your data"),
        (np.zeros((2, 2, 2, 2, 2)), ValueError, "5 axes"),
        (np.array([[1j]]), ValueError, "Complex data not supported"),
        (table(a=[1j, 2.0]), ValueError, "Complex data not supported"),
        (sparse.csr_matrix(np.eye(3)), TypeError, "[Ss]parse"),
        (sparse.csr_array(np.eye(3)), TypeError, "[Ss]parse"),
        (np.array([[1.0, {"foo": "bar"}]], dtype=object), TypeError, "argument must be .* string.* number"),
        (np.array([["a", "b"]]), ValueError, "bytes/strings"),
        (np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]), TypeError, "structured array"),
        (np.array([[1.0, 2.0], [np.inf, 3.0]]), ValueError, "infinity.*'x0', row 1"),
        (table(a=[1.0, 2.0], b=[1.0, -np.inf]), ValueError, "infinity: column 'b', row 1"),
        (pa.table({"a": [1.0, float("inf")]}), ValueError, "infinity: column 'a', row 1"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), ValueError, "more than one column named 'a'"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["1", 1]), ValueError, "more than one column named '1'"),
        (pa.table([[1.0], [2.0]], names=["a", "a"]), ValueError, "more than one column named 'a'"),
        (pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])), TypeError, "Rename"),
        (table(a=[1.0, 2.0], b=[None, None]), ValueError, "every cell of column 'b' of X is missing"),
        (table(a=[1.0, 2.0], b=[np.nan, np.nan]), ValueError, "every cell of column 'b'"),
        (table(a=pd.Categorical([None, None], ["x"])), ValueError, "every cell of column 'a'"),
        (pl.DataFrame({"a": [1, 2], "b": [None, None]}), ValueError, "every cell of column 'b'"),
        (np.array([[1.0, np.nan], [2.0, np.nan]]), ValueError, "every cell of column 'x1'"),
        (
            table(age=[50, 61, "unknown", 44, 71]),
            ValueError,
            "'age' of X mixes numbers and text: row 2 holds text, 'unknown'",
        ),
        (table(code=["A", "B", 7, "C"]), ValueError, "row 2 holds a number, 7"),
        (table(day=pd.to_datetime(["2020-01-01", "2020-02-01"])), TypeError, "'day' of X holds datetime64.*days since"),
        (table(day=pd.to_datetime(["2020-01-01", "2020-02-01"]).date), TypeError, "'day' of X holds dates"),
        (table(wait=pd.to_timedelta([1, 2], "D")), TypeError, "durations"),
        (pl.DataFrame({"day": pd.to_datetime(["2020-01-01"])}), TypeError, "'day' of X holds Datetime"),
        (pl.DataFrame({"v": [[1, 2], [3]]}), TypeError, "'v' of X holds List"),
        (table(v=[{1}, {2}]), TypeError, "row 0, holds a set"),
        (table(band=pd.cut([1, 5, 9], [0, 4, 10])), TypeError, "categories of type Interval.*rename_categories"),
        (pl.LazyFrame({"a": [1]}), TypeError, "X.collect"),
    ],
)
def test_bad_input_at_fit(X: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Encoder.fit(X)


def test_one_row_and_one_column_are_fitted() -> None:
    for X in (np.array([[3.0, -1.0]]), np.array([[1.0], [2.0]]), table(a=[1.5], b=["x"])):
        encoder = Encoder.fit(X)
        assert np.isfinite(encoder.encode(X).values).all()


def test_empty_row_is_warned_of_and_encoded() -> None:
    X = table(a=[1.0, None, 3.0], b=["x", None, "y"])
    with pytest.warns(DataWarning, match="1 of the 3 rows of X have no observed cell .the first is row 1."):
        encoder = Encoder.fit(X)
    assert encoder.encode(X).observed.any(axis=1).tolist() == [True, False, True]


def test_identifier_and_numbers_as_text_are_warned_of() -> None:
    with pytest.warns(DataWarning, match="'id' of X has a different text in every row"):
        Encoder.fit(table(id=[f"patient {i:03d}" for i in range(60)]))
    with pytest.warns(DataWarning, match=r"'psa' of X is text, but its values look like numbers \(not '<0.1'\)"):
        Encoder.fit(table(psa=[*map(str, np.arange(30) / 7), "<0.1"]))


NEW_ROWS: list[tuple[dict[str, Any], str]] = [
    ({"site": ["Oslo", "Bonn", "Rome"]}, "column 'site' of X, row 1, holds 'Bonn'.*levels: 'Lyon', 'Oslo', 'Rome'"),
    ({"sex": ["f", "m", "x"]}, "column 'sex' of X, row 2, holds 'x'"),
    ({"status": [1, 2, 3]}, "column 'status' of X, row 2, holds 3"),
    ({"dose": [10, 15, 20]}, "column 'dose' of X, row 1, holds 15"),
    ({"ecog": [0, 5, 1]}, "column 'ecog' of X, row 1, holds 5"),
    ({"nodes": [1, -1, 2]}, "column 'nodes' of X, row 1, holds -1"),
    ({"nodes": [1.0, 0.5, 2.0]}, "column 'nodes' of X, row 1, holds 0.5"),
    ({"bilirubin": [1.0, 0.0, 2.0]}, "column 'bilirubin' of X, row 1, holds 0"),
    ({"fraction": [0.1, 0.2, 1.5]}, "column 'fraction' of X, row 2, holds 1.5"),
    ({"age": [50.0, np.inf, 60.0]}, "infinity: column 'age', row 1"),
    ({"age": [50.0, 1e300, 60.0]}, "column 'age' of X, row 1, holds 1e.300.*units"),
    ({"age": ["50", "old", "60"]}, "column 'age' of X, row 0, holds text, '50'"),
    ({"age": [50, "old", 60]}, "mixes numbers and text: row 1"),
    ({"sex": [True, False, True]}, "column 'sex' of X, row 0, holds True"),
    ({"site": [1, 2, 3]}, "column 'site' of X, row 0, holds 1"),
]


@pytest.mark.parametrize(("columns", "message"), NEW_ROWS)
def test_bad_cells_of_new_rows(patients: pd.DataFrame, columns: dict[str, Any], message: str) -> None:
    encoder = Encoder.fit(patients, KINDS)
    new = patients.iloc[[0, 1, 3]].reset_index(drop=True).assign(**columns)
    for method in (encoder.encode, encoder.numeric):
        with pytest.raises(ValueError, match=message):
            method(new)


def test_columns_of_new_rows_must_be_those_of_fit(patients: pd.DataFrame) -> None:
    encoder = Encoder.fit(patients)
    start = "The feature names should match those that were passed during fit.\n"
    with pytest.raises(ValueError, match=start + "Feature names unseen at fit time:\n- height\n"):
        encoder.encode(patients.assign(height=1.0))
    with pytest.raises(ValueError, match=start + "Feature names seen at fit time, yet now missing:\n- age\n"):
        encoder.encode(patients.drop(columns="age"))
    with pytest.raises(ValueError, match=start + "Feature names must be in the same order"):
        encoder.encode(patients[patients.columns[::-1]])


def test_shapes_of_new_arrays_must_be_those_of_fit() -> None:
    X = np.random.default_rng(0).uniform(size=(5, 4, 3))
    with pytest.raises(ValueError, match="X has 2 features, but Encoder is expecting 3 features as input"):
        Encoder.fit(X[:, 0]).encode(X[:, 0, :2])
    with pytest.raises(ValueError, match=r"expecting \(4, 3\). Use X.reshape\(len\(X\), 4, 3\)"):
        Encoder.fit(X).encode(X.reshape(5, 12))
    with pytest.raises(ValueError, match=r"one row of X has shape \(2, 3\)"):
        Encoder.fit(X).encode(X[:, :2])
    with pytest.raises(ValueError, match=r"values has shape \(5, 3\), but \(n, 12\) is expected"):
        Encoder.fit(X).decode(np.zeros((5, 3)))
    with pytest.raises(ValueError, match="values has 4 rows, but X has 5"):
        Encoder.fit(X).fill(X, np.zeros((4, 12)))


def test_new_pixels_above_the_scale_are_refused() -> None:
    X = np.arange(12.0).reshape(3, 2, 2)
    with pytest.raises(
        ValueError, match="'pixel_1_0' of X, row 0, holds 12, but the column is a proportion between 0 and 11"
    ):
        Encoder.fit(X).encode(np.array([[[0.0, 1.0], [12.0, 3.0]]]))


def test_array_for_a_table_and_table_for_an_array(patients: pd.DataFrame) -> None:
    with pytest.raises(TypeError, match="column 'sex' has labels"):
        Encoder.fit(patients[["age", "sex"]]).encode(np.zeros((2, 2)))
    numbers = patients[["age", "bilirubin"]]
    encoder = Encoder.fit(numbers)
    with pytest.warns(DataWarning, match="X does not have valid feature names"):
        from_array = encoder.encode(numbers.to_numpy())
    np.testing.assert_array_equal(from_array.values, encoder.encode(numbers).values)
    with pytest.warns(DataWarning, match="fitted without feature names"):
        Encoder.fit(numbers.to_numpy()).encode(numbers)


def test_a_table_of_another_library_is_read_alike(patients: pd.DataFrame) -> None:
    encoder = Encoder.fit(patients)
    other = patients.astype({"ecog": "int64"})
    for X in (pl.from_pandas(other), pa.Table.from_pandas(other, preserve_index=False)):
        np.testing.assert_array_equal(encoder.encode(X).values, encoder.encode(patients).values)


def test_category_with_other_declared_levels_is_filled(patients: pd.DataFrame) -> None:
    X = table(g=pd.Categorical(["a", None, "b", "c"], ["a", "b", "c"]))
    with pytest.warns(DataWarning, match="no observed cell"):
        encoder = Encoder.fit(X)
    new = table(g=pd.Categorical(["a", None], ["a"]))
    assert encoder.fill(new, np.array([[0.0], [2.0]]))["g"].tolist() == ["a", "c"]


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99},
        {"container": "spark"},
        {"row_shape": [2, 2]},
        {"labels": ["a"]},
        {"schema": {}},
        {"row_shape": None},
    ],
)
def test_altered_json_is_refused(patients: pd.DataFrame, change: dict[str, Any]) -> None:
    data = copy.deepcopy(Encoder.fit(patients).to_json())
    with pytest.raises(ValueError, match="this is no"):
        Encoder.from_json({**data, **change})
