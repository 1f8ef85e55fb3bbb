"""Tagged JSON gives back what it was given: values, types and bits."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from underlie.estimators import tagged_json


def through_text(value: Any) -> Any:
    return tagged_json.decode(json.loads(json.dumps(tagged_json.encode(value), allow_nan=False)))


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return len(a) == len(b) and all(
            same(j, k) and same(v, w) for (j, v), (k, w) in zip(a.items(), b.items(), strict=True)
        )
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and same(a.ravel().tolist(), b.ravel().tolist())
    if isinstance(a, (float, np.floating)) and math.isnan(a):
        return math.isnan(b)
    return bool(a == b) and (not isinstance(a, float) or math.copysign(1, a) == math.copysign(1, b))


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("$")
keys = st.booleans() | st.integers() | st.text() | st.just("$") | st.tuples(st.integers(), st.text())
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(values)
def test_any_value_comes_back_the_same(value: Any) -> None:
    assert same(through_text(value), value)


@pytest.mark.parametrize(
    "value",
    [
        np.float64(0.1),
        np.float32(np.pi),
        np.float64(-np.inf),
        np.int8(-3),
        np.uint64(2**64 - 1),
        np.bool_(True),
        np.str_("é"),
        np.datetime64("2020-01-02"),
        np.array([[1.5, np.nan], [np.inf, -0.0]]),
        np.array([], dtype=np.int32),
        np.array(["a", "bc"]),
        np.array([1, "a", None, (2, 3), [4, 5]], dtype=object),
        np.array(["2020-01-02", "NaT"], dtype="datetime64[s]"),
        np.array([1.0, 2.0], dtype=">f8"),
        np.arange(6).reshape(2, 3).T,
    ],
)
def test_numpy_values_keep_type_shape_and_bits(value: Any) -> None:
    back = through_text(value)
    if isinstance(value, np.ndarray) and not value.dtype.isnative:
        value = value.astype(value.dtype.newbyteorder("="))
    assert same(back, value) or (value.dtype.kind == "M" and np.array_equal(back, value, equal_nan=True))


@pytest.mark.parametrize("value", [print, object(), {1, 2}, 1j, np.complex128(1), b"x", [1, {"a": print}]])
def test_what_cannot_be_stored_is_refused_by_name(value: Any) -> None:
    with pytest.raises(TypeError, match="The parameter hidden.*cannot be stored"):
        tagged_json.encode(value, "The parameter hidden")


@pytest.mark.parametrize(
    "value",
    [
        {"$": "unknown", "v": 1},
        {"$": "tuple", "v": 3},
        {"$": "float", "v": "1.0"},
        {"$": ["tuple"], "v": []},
        {"$": "numpy", "dtype": "V8", "shape": [1], "v": [1]},
        {"$": "numpy", "dtype": "<f8", "shape": [7], "v": [1.0]},
        {"$": "numpy", "dtype": "<f8", "shape": [1], "v": ["x"]},
    ],
)
def test_malformed_tags_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"malformed tag|not one that is stored|reshape|could not convert"):
        tagged_json.decode(value)
