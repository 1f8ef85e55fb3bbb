"""Which head a table gets, and which requests are refused."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from underlie.data import Column, Encoder, Schema
from underlie.distributions import (
    DEFAULTS,
    KINDS,
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    NegativeBinomial,
    Normal,
    Product,
    StudentT,
    kinds_for,
    likelihood_for,
)


def _schema(**kinds: str) -> Schema:
    levels = {"binary": (0, 1), "categorical": ("a", "b", "c"), "ordinal": (1, 2, 3, 4)}
    return Schema(
        [
            Column(name=n, kind=k, levels=levels.get(k), loc=0.0, scale=1.0, dtype="", missing=False)
            for n, k in kinds.items()
        ]
    )


def test_every_kind_has_a_default_that_can_describe_it() -> None:
    assert all(kind in KINDS[name] for kind, name in DEFAULTS.items())


def test_columns_of_one_kind_share_one_head() -> None:
    assert isinstance(likelihood_for(_schema(a="continuous", b="continuous")), Normal)
    head = likelihood_for(_schema(a="categorical", b="categorical"))
    assert isinstance(head, Categorical)
    assert head.levels == (3, 3)


def test_a_mixed_table_gets_a_product_in_its_own_order() -> None:
    schema = _schema(
        sex="binary", age="continuous", stage="ordinal", nodes="count", size="continuous", site="categorical"
    )
    head = likelihood_for(schema)
    assert isinstance(head, Product)
    assert head.columns == ((0,), (1, 4), (2,), (3,), (5,))
    assert head.coordinates_per_column == (1, 1, 1, 1, 1, 3)
    assert isinstance(likelihood_for(schema, "mixed"), Product)


def test_a_mapping_overrides_single_columns() -> None:
    head = likelihood_for(_schema(a="continuous", b="continuous"), {"b": "student_t"})
    assert isinstance(head, Product)
    assert isinstance(head.heads[1], StudentT)
    assert isinstance(likelihood_for(_schema(a="continuous"), {0: "student_t"}), StudentT)


def test_the_scale_of_normal_columns_can_be_chosen() -> None:
    assert likelihood_for(_schema(a="continuous"), scale="network").n_raw == 2


@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        ("poisson", "'poisson' cannot describe column 'a', which is encoded as 'continuous'.*'normal' or 'student_t'"),
        ("gamma", "'gamma' is unknown"),
        ({"c": "normal"}, "column 'c'"),
        ({7: "normal"}, "column 7"),
    ],
)
def test_impossible_requests_are_refused(likelihood: str | dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        likelihood_for(_schema(a="continuous", b="count"), likelihood)


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"categorical", "ordinal"}))
def test_kinds_for_lets_the_encoder_serve_the_likelihood(name: str) -> None:
    X = pd.DataFrame({"a": [0, 1, 1, 0, 1], "b": [1, 0, 0, 1, 0]})
    X = X + 1 if name in ("lognormal", "exponential") else X
    encoder = Encoder.fit(X, kinds=kinds_for(name))
    assert likelihood_for(encoder.schema, name).width == 2


def test_kinds_for_keeps_what_already_fits() -> None:
    schema = _schema(a="binary", b="count", c="ordinal")
    assert kinds_for("auto", schema) is None
    assert kinds_for("bernoulli", schema) == {"a": "binary", "b": "proportion", "c": "proportion"}
    assert kinds_for("categorical", schema) == {"a": "binary", "b": "categorical", "c": "ordinal"}
    assert kinds_for("normal", schema) == "continuous"
    assert kinds_for({"a": "categorical", "b": "normal", "c": "auto"}, schema) == {"a": "binary", "b": "continuous"}
    with pytest.raises(ValueError, match="'gamma' is unknown"):
        kinds_for("gamma")


def test_images_as_intensities() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4)).astype(np.uint8)
    assert isinstance(likelihood_for(Encoder.fit(images).schema), ContinuousBernoulli)
    kinds = kinds_for("bernoulli", Schema.infer(images))
    assert isinstance(likelihood_for(Encoder.fit(images, kinds=kinds).schema, "bernoulli"), Bernoulli)


def test_a_hundred_thousand_columns_are_quick() -> None:
    schema = Schema([Column(f"x{j}", "count", None, 0.0, 1.0, "int64", False) for j in range(100_000)])
    before = time.process_time()
    head = likelihood_for(schema)
    assert time.process_time() - before < 1.0
    assert isinstance(head, NegativeBinomial)
    mixed = Schema(
        [Column(f"x{j}", ("binary", "ordinal")[j % 2], (0, 1), 0.0, 1.0, "int64", False) for j in range(100_000)]
    )
    before = time.process_time()
    assert likelihood_for(mixed).width == 100_000
    assert time.process_time() - before < 1.0
