"""The rules that find the kind of a column, the kinds that a user states, and the schema as text and as JSON."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from underlie.data import Column, Schema
from underlie.data.columns import GridNames
from underlie.warnings import DataWarning

RNG = np.random.default_rng(20240501)


def kind_of(values: object, **kwargs: object) -> str:
    return Schema.infer(pd.DataFrame({"v": values}), **kwargs).kinds[0]


@pytest.mark.parametrize(
    ("values", "kind", "levels"),
    [
        ([True, False, True], "binary", (False, True)),
        ([True, None, True], "binary", (False, True)),
        (pd.array([True, None, False], dtype="boolean"), "binary", (False, True)),
        (["yes", "no", "yes"], "binary", ("no", "yes")),
        (["yes", None, "no"], "binary", ("no", "yes")),
        ([1, 2, 1, 2], "binary", (1, 2)),
        ([0.0, 1.0, np.nan, 1.0], "binary", (0.0, 1.0)),
        (["b", "c", "a"], "categorical", ("a", "b", "c")),
        (["a", "a", "a"], "categorical", ("a",)),
        (
            pd.Categorical(["low", "high", "mid"], ["low", "mid", "high"], ordered=True),
            "ordinal",
            ("low", "mid", "high"),
        ),
        (pd.Categorical(["b", "a", "b"], ["b", "a", "unused"]), "categorical", ("b", "a", "unused")),
        (pd.Categorical([3, 1, 2]), "categorical", (1, 2, 3)),
        (pd.Categorical(["m", "f", "f"], ["m", "f"], ordered=True), "binary", ("m", "f")),
        ([0, 0, 1, 9, 2], "count", None),
        ([0.0, np.nan, 1.0, 9.0, 2.0], "count", None),
        ([160, 171, 182, 175], "continuous", None),
        ([-1, 0, 1, 9, 2], "continuous", None),
        ([0.5, 1.5, -2.0], "continuous", None),
        ([5, 5, 5], "continuous", None),
        ([1.0, 2.0], "continuous", None),
    ],
)
@pytest.mark.filterwarnings("ignore:.*no observed cell:underlie.warnings.DataWarning")
def test_kind_and_levels(values: object, kind: str, levels: tuple[object, ...] | None) -> None:
    column = Schema.infer(pd.DataFrame({"v": values}))[0]
    assert column.kind == kind
    assert column.levels == levels
    assert levels is None or [type(v) for v in column.levels or ()] == [type(v) for v in levels]


def test_lognormal_is_positive_and_normal_is_not() -> None:
    assert kind_of(np.exp(RNG.normal(size=500))) == "positive"
    assert kind_of(10 + RNG.normal(size=500)) == "continuous"
    # skewed, but the logarithm is more skewed still
    assert kind_of(np.concatenate([np.full(100, 1e-9), 1 + RNG.exponential(0.5, 900)])) != "positive"


def test_positive_scale_is_the_geometric_mean() -> None:
    x = np.exp(RNG.normal(1.0, 1.0, size=400))
    column = Schema.infer(pd.DataFrame({"v": x}))["v"]
    assert column.loc == 0
    assert column.scale == pytest.approx(np.exp(np.log(x).mean()), rel=1e-12)


def test_numpy_floats_are_continuous_except_zero_one() -> None:
    X = np.column_stack(
        [np.exp(RNG.normal(size=50)), RNG.integers(0, 2, 50), RNG.integers(1, 3, 50), RNG.poisson(1, 50)]
    )
    assert Schema.infer(X).kinds == ["continuous", "binary", "continuous", "continuous"]
    assert Schema.infer(X)[1].levels == (0.0, 1.0)


def test_numpy_integers_follow_the_table_rules_and_bits_are_binary_throughout() -> None:
    X = np.column_stack([RNG.poisson(1, 50), RNG.integers(1, 3, 50), 170 + RNG.integers(-5, 5, 50)])
    assert Schema.infer(X).kinds == ["count", "binary", "continuous"]
    bits = np.array([[0, 1, 0], [0, 0, 1], [0, 1, 1]])
    assert Schema.infer(bits).kinds == ["binary"] * 3
    assert Schema.infer(bits.astype(float)).kinds == ["binary"] * 3
    assert Schema.infer(bits.astype(bool)).columns[0].levels == (False, True)


@pytest.mark.parametrize(
    ("images", "kind", "scale"),
    [
        (RNG.integers(0, 256, (5, 4, 3)).astype(np.uint8), "proportion", 255.0),
        (RNG.uniform(size=(5, 4, 3)).astype(np.float32), "proportion", 1.0),
        (np.arange(60.0).reshape(5, 4, 3), "proportion", 59.0),
        (np.zeros((5, 4, 3)), "proportion", 1.0),
        (RNG.integers(0, 2, (5, 4, 3)).astype(np.uint8), "binary", 1.0),
        (255 * RNG.integers(0, 2, (5, 4, 3, 2)).astype(np.uint8), "binary", 1.0),
        (RNG.integers(0, 2, (5, 4, 3)).astype(bool), "binary", 1.0),
        (RNG.normal(size=(5, 4, 3)), "continuous", None),
    ],
)
def test_images_have_one_kind(images: np.ndarray, kind: str, scale: float | None) -> None:
    schema = Schema.infer(images)
    assert len(schema) == images[0].size
    assert set(schema.kinds) == {kind}
    assert scale is None or {c.scale for c in schema} == {scale}
    assert schema.names[0].startswith("pixel_0_0")
    assert schema.names[-1] == "pixel_" + "_".join(str(s - 1) for s in images.shape[1:])


def test_polars_and_arrow_agree_with_pandas() -> None:
    table = pd.DataFrame(
        {
            "age": [50.5, 61.25, np.nan, 44.0],
            "sex": ["m", "f", "f", None],
            "nodes": [0, 9, 1, 0],
            "stage": ["I", "II", "III", "I"],
            "alive": [True, False, True, True],
        }
    )
    expected = Schema.infer(table)
    for other in (pl.from_pandas(table), pa.Table.from_pandas(table, preserve_index=False)):
        schema = Schema.infer(other)
        assert schema.kinds == expected.kinds
        assert [c.levels for c in schema] == [c.levels for c in expected]
        assert [(c.loc, c.scale, c.missing) for c in schema] == [(c.loc, c.scale, c.missing) for c in expected]


def test_ordered_arrow_dictionary_is_ordinal_and_polars_enum_keeps_its_order() -> None:
    codes = pa.array([0, 2, 1, 0], pa.int8())
    grade = pa.DictionaryArray.from_arrays(codes, pa.array(["low", "mid", "high"]), ordered=True)
    column = Schema.infer(pa.table({"grade": grade}))[0]
    assert (column.kind, column.levels) == ("ordinal", ("low", "mid", "high"))
    enum = pl.Series("grade", ["low", "high", "mid"], dtype=pl.Enum(["low", "mid", "high"]))
    assert Schema.infer(pl.DataFrame(enum))[0].levels == ("low", "mid", "high")


# ------------------------------------------------------------------------------------------------------ stated kinds


def test_kinds_by_name_by_position_and_for_all() -> None:
    table = pd.DataFrame({"a": [1, 2, 3, 9], "b": [0.5, 1.5, 2.5, 0.25]})
    assert Schema.infer(table, {"a": "ordinal", 1: "positive"}).kinds == ["ordinal", "positive"]
    assert Schema.infer(table, {-1: "categorical"}).kinds == ["count", "categorical"]
    assert Schema.infer(table, "continuous").kinds == ["continuous"] * 2
    assert Schema.infer(table.to_numpy(), {"x0": "count"}).kinds == ["count", "continuous"]


def test_integer_labels_come_before_positions() -> None:
    table = pd.DataFrame([[1.5, 2.5], [2.5, 1.0], [0.5, 7.0]], columns=[1, 0])
    assert Schema.infer(table, {1: "positive"}).kinds == ["positive", "continuous"]


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ([1, -2, 3, 3], "count", "row 1 holds -2"),
        ([1.0, 2.5, 3.0, 3.0], "count", "row 1 holds 2.5"),
        ([1.0, 2.0, 0.0, 3.0], "positive", "row 2 holds 0"),
        ([1e-30, 1.0, 1e30], "positive", "orders of magnitude"),
        ([1, 2, 3, 4], "binary", "row 1 holds 2"),
        ([7, 7, 7], "binary", "only value is 7"),
        (["a", "b", "c"], "binary", "3 levels"),
        ([0.5, 1.5, 0.1], "proportion", "row 1 holds 1.5"),
        ([0.5, -0.5, 0.1], "proportion", "row 1 holds -0.5"),
        ([None, "1.5", "x"], "continuous", "row 1 holds text, '1.5'"),
        ([True, False, True], "count", "holds booleans"),
        ([1, 2, 3], "normal", "choose one of continuous"),
    ],
)
def test_stated_kind_that_the_data_contradict(values: list[object], kind: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schema.infer(pd.DataFrame({"v": values}), {"v": kind})


def test_unknown_column_in_kinds() -> None:
    with pytest.raises(ValueError, match="'b' that X does not have"):
        Schema.infer(pd.DataFrame({"a": [1.0, 2.0, 2.5]}), {"b": "count"})
    with pytest.raises(TypeError, match="kinds is a list"):
        Schema.infer(pd.DataFrame({"a": [1.0, 2.0, 2.5]}), ["count"])
    with pytest.raises(ValueError, match="one kind for all"):
        Schema.infer(np.zeros((3, 2, 2)), {0: "count"})


def test_flattened_pictures_share_one_scale() -> None:
    X = np.array([[0, 128], [3, 255], [0, 7]], dtype=np.uint8)
    assert {c.scale for c in Schema.infer(X, "proportion")} == {255.0}
    bits = np.array([[0.0, 5.0], [0.0, 0.0], [0.0, 5.0]])
    assert [c.levels for c in Schema.infer(bits, "binary")] == [(0.0, 5.0)] * 2
    with pytest.raises(ValueError, match="'x1' of X, row 1, holds -1"):
        Schema.infer(np.array([[0.0, 1.0], [2.0, -1.0]]), "proportion")


def test_alphabetical_ordinal_is_warned_of() -> None:
    with pytest.warns(DataWarning, match="alphabetical order, high, low, mid"):
        assert kind_of(["low", "high", "mid"], kinds={"v": "ordinal"}) == "ordinal"


# -------------------------------------------------------------------------------------------------------- text, JSON


@pytest.fixture
def mixed() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": [50.5, 61.25, np.nan, 44.0],
            "nodes": [0, 9, 1, 0],
            "stage": pd.Categorical(["I", "II", "III", "I"], ordered=True),
            "code": [1, 2, 3, 2],
            "alive": [True, False, True, True],
        }
    )


def test_schema_survives_json_exactly(mixed: pd.DataFrame) -> None:
    for X in (mixed, np.zeros((3, 4, 5)), RNG.normal(size=(4, 3)), np.array([[0, 1], [1, 1], [1, 0]])):
        schema = Schema.infer(X, {"code": "categorical"} if X is mixed else None)
        again = Schema.from_json(json.loads(json.dumps(schema.to_json())))
        assert again == schema
        assert again.columns == schema.columns
        for a, b in zip(again, schema, strict=True):
            assert [type(v) for v in a.levels or ()] == [type(v) for v in b.levels or ()]


def test_levels_of_equal_value_and_other_type_stay_apart_in_json() -> None:
    columns = [
        Column("a", "binary", (0, 1), 0.0, 1.0, "int64", False),
        Column("b", "binary", (False, True), 0.0, 1.0, "bool", False),
        Column("c", "binary", (0.0, 1.0), 0.0, 1.0, "float64", False),
    ]
    again = Schema.from_json(json.loads(json.dumps(Schema(columns).to_json())))
    assert [type((c.levels or (None,))[0]) for c in again] == [int, bool, float]


@pytest.mark.parametrize("broken", [{}, {"n_columns": 2}, {"n_columns": 1, "names": ["a", "b"]}])
def test_broken_json_is_refused(broken: dict[str, object]) -> None:
    whole = Schema.infer(RNG.normal(size=(4, 1))).to_json()
    with pytest.raises(ValueError, match="this is no schema"):
        Schema.from_json({**whole, **broken} if broken else {})


def test_printed_schema_shows_every_column(mixed: pd.DataFrame) -> None:
    text = str(Schema.infer(mixed))
    assert text.splitlines()[0] == "5 columns: 1 continuous, 2 count, 1 binary, 1 ordinal"
    for name in mixed.columns:
        assert any(line.startswith(name) for line in text.splitlines())
    assert "I < II < III" in text


def test_long_schema_is_cut_and_html_is_escaped() -> None:
    assert "... and 724 more columns" in str(Schema.infer(np.zeros((2, 28, 28))))
    html = Schema.infer(pd.DataFrame({"<b>": [1.0, 2.0, 2.5]}))._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


def test_lookup_by_name_and_position(mixed: pd.DataFrame) -> None:
    schema = Schema.infer(mixed)
    assert schema["nodes"] == schema[1] == schema.columns[1]
    assert schema[-1].name == "alive"
    with pytest.raises(KeyError, match="no column is named 'weight'"):
        schema["weight"]
    with pytest.raises(IndexError):
        schema[5]


def test_grid_names() -> None:
    names = GridNames("pixel", (2, 3))
    assert list(names) == [f"pixel_{i}_{j}" for i in range(2) for j in range(3)]
    assert names[-1] == "pixel_1_2"
    assert names[1:3] == ("pixel_0_1", "pixel_0_2")
    with pytest.raises(IndexError):
        names[6]


@pytest.mark.parametrize(
    "column",
    [
        {"kind": "gaussian", "levels": None},
        {"kind": "binary", "levels": None},
        {"kind": "count", "levels": (0, 1)},
        {"kind": "continuous", "levels": None, "scale": 0.0},
        {"kind": "continuous", "levels": None, "loc": np.inf},
    ],
)
def test_impossible_columns(column: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="column 'v'"):
        Column(**{"name": "v", "loc": 0.0, "scale": 1.0, "dtype": "float64", "missing": False, **column})  # type: ignore[arg-type]
