"""Tables in and out: the same library, types, columns, order and index; what cannot be modelled is refused in words."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import underlie as ul

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.UnderlieWarning")

N = 60


def plain() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.normal(60, 10, N).round(1),
            "visits": rng.poisson(3, N),
            "arm": rng.choice(["a", "b", "c"], N),
            "ill": rng.random(N) < 0.4,
        }
    )


def holes() -> np.ndarray:
    return np.random.default_rng(1).random((N, 4)) < 0.1


def in_polars() -> pl.DataFrame:
    frame = pl.from_pandas(plain().mask(holes()).astype({"arm": object}))
    arm, visits = pl.col("arm"), pl.col("visits")
    return frame.with_columns(
        arm.cast(pl.Enum(["a", "b", "c"])).alias("enum"),
        arm.cast(pl.Categorical).alias("categorical"),
        visits.cast(pl.Int8),
        visits.cast(pl.UInt64).alias("unsigned"),
        pl.col("age").cast(pl.Float32),
    )


PANDAS = {
    "objects": lambda: plain().mask(holes()),
    "nullable": lambda: plain().convert_dtypes().mask(holes()),
    "arrow-backed": lambda: plain().convert_dtypes(dtype_backend="pyarrow").mask(holes()),
    "categories": lambda: plain().astype({"arm": "category"}).mask(holes()),
    "ordered": lambda: plain().astype({"arm": pd.CategoricalDtype(["c", "a", "b"], ordered=True)}).mask(holes()),
    "small numbers": lambda: plain().astype({"visits": "int8", "age": "float32"}),
    "labelled rows": lambda: plain().mask(holes()).set_index(pd.Index([f"p{i}" for i in range(N)], name="patient")),
    "two levels of rows": lambda: plain().mask(holes()).set_index([np.arange(N) // 2, np.arange(N)]),
    "rows that share a label": lambda: plain().mask(holes()).set_index(np.zeros(N, dtype=int)),
}


@pytest.mark.parametrize("make", PANDAS.values(), ids=PANDAS)
def test_pandas_comes_back_as_it_was(make):
    X = make()
    model = ul.ProbabilisticPCA(1, standardize=True).fit(X)
    complete = model.impute(X)
    assert complete.index.equals(X.index)
    assert complete.dtypes.equals(X.dtypes)
    assert not complete.isna().any().any()
    for name in X.columns:
        seen = X[name].notna().to_numpy()
        assert complete[name][seen].tolist() == X[name][seen].tolist()
    sample = model.sample(4, random_state=0)
    assert sample.dtypes.equals(X.dtypes)
    assert set(sample["arm"]) <= {"a", "b", "c"}
    assert model.set_output(transform="pandas").transform(X).index.equals(X.index)


def test_polars_comes_back_as_it_was():
    X = in_polars()
    model = ul.ProbabilisticPCA(1, standardize=True).fit(X)
    complete = model.impute(X)
    assert complete.schema == X.schema
    assert complete.null_count().sum_horizontal().item() == 0
    for name in X.columns:
        seen = X[name].is_not_null()
        assert complete[name].filter(seen).equals(X[name].filter(seen))
    assert model.sample(4, random_state=0).schema == X.schema


def test_pyarrow_comes_back_as_it_was():
    X = pa.Table.from_pandas(plain().astype({"arm": "category"}).mask(holes()), preserve_index=False)
    more = pa.array(plain()["arm"], type=pa.large_string())
    X = X.append_column("large", more).append_column("half", pa.array(np.arange(N).astype(np.float16)))
    model = ul.ProbabilisticPCA(1, standardize=True).fit(X)
    complete = model.impute(X)
    assert complete.schema.equals(X.schema)
    assert sum(column.null_count for column in complete.columns) == 0
    assert model.sample(4, random_state=0).schema.equals(X.schema)


def test_the_same_numbers_whatever_holds_them():
    X = plain().mask(holes())
    model = ul.ProbabilisticPCA(1, standardize=True).fit(X)
    expected = model.transform(X)
    for other in (pl.from_pandas(X), pa.Table.from_pandas(X, preserve_index=False), X.convert_dtypes()):
        np.testing.assert_allclose(ul.ProbabilisticPCA(1, standardize=True).fit(other).transform(other), expected)


def test_a_vae_keeps_containers_too():
    small = {"hidden": (8,), "max_epochs": 1, "random_state": 0}
    X = in_polars()
    assert ul.VAE(1, **small).fit(X).impute(X).schema == X.schema
    backed = PANDAS["arrow-backed"]()
    assert ul.VAE(1, **small).fit(backed).impute(backed).dtypes.equals(backed.dtypes)


DAYS = [dt.date(2020, 1, 1) + dt.timedelta(i) for i in range(N)]

REFUSED = {
    "pandas dates": (
        lambda: plain().assign(x=pd.to_datetime(DAYS)),
        r"'x' of X holds datetime.*days since a fixed day",
    ),
    "pandas objects that are dates": (lambda: plain().assign(x=DAYS), "'x' of X holds dates"),
    "pandas periods": (lambda: plain().assign(x=pd.period_range("2020", periods=N, freq="D")), "'x' of X holds period"),
    "pandas durations": (lambda: plain().assign(x=pd.to_timedelta(np.arange(N), "D")), r"\.dt\.total_seconds\(\)"),
    "pandas decimals": (lambda: plain().assign(x=[Decimal(i) for i in range(N)]), r'X\["x"\]\.astype\(float\)'),
    "pandas lists": (lambda: plain().assign(x=[[1]] * N), "'x' of X, row 0, holds a list"),
    "pandas intervals": (lambda: plain().assign(x=pd.cut(plain()["age"], 3)), "rename_categories"),
    "polars dates": (lambda: in_polars().with_columns(x=pl.Series(DAYS)), "'x' of X holds Date"),
    "polars decimals": (lambda: in_polars().with_columns(x=pl.lit(Decimal("1.5"))), "cast it, for example to Float64"),
    "polars lists": (lambda: in_polars().with_columns(x=pl.Series([[1]] * N)), r"holds List\(Int64\)"),
    "polars lazy": (lambda: in_polars().lazy(), r"X\.collect\(\)"),
    "pyarrow dates": (lambda: pa.table({"age": plain()["age"], "x": pa.array(DAYS)}), "'x' of X holds date32"),
    "pyarrow decimals": (
        lambda: pa.table({"age": plain()["age"], "x": pa.array([Decimal(i) for i in range(N)])}),
        "cast it, for example to Float64",
    ),
    "one column": (lambda: plain()["age"], r"X\.to_frame\(\)"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_modelled_is_refused_with_its_remedy(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ul.ProbabilisticPCA(1).fit(make())
