"""Terms of an additive regression: standardised, linear where they say so, 0 where a cell is missing, stored as is."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from underlie.data import Encoded, Encoder
from underlie.models.additive import AdditiveBasis

N = 200


def table(n: int = N) -> pd.DataFrame:
    """Columns of every kind, some with missing cells, one constant, one with rare levels."""
    rng = np.random.default_rng(0)
    found = pd.DataFrame(
        {
            "age": rng.normal(60, 10, n),
            "marker": np.exp(rng.normal(0, 1.5, n)),
            "nodes": rng.poisson(2.0, n),
            "sex": rng.choice(["f", "m"], n),
            "site": rng.choice(["a", "b", "c"], n),
            "constant": np.full(n, 3.0),
            "stage": pd.Categorical(rng.choice(["I", "II", "III"], n), ordered=True),
        }
    )
    found.loc[:9, "age"] = np.nan
    found.loc[5:30, "site"] = None
    found.loc[[40, 41], "site"] = "rare"
    return found


def encoded(X: pd.DataFrame) -> tuple[Encoder, Encoded]:
    encoder = Encoder.fit(X)
    return encoder, encoder.encode(X)


@pytest.fixture(scope="module")
def made() -> tuple[AdditiveBasis, Encoded, Encoder]:
    encoder, rows = encoded(table())
    return AdditiveBasis.of(encoder.schema, rows), rows, encoder


def blocks(basis: AdditiveBasis) -> list[tuple[int, slice]]:
    """The encoded column of each block of terms, and its place, missingness included."""
    places, at = [], 0
    for c in basis.columns:
        width = len(c.groups) + (c.missing is not None)
        places.append((c.column, slice(at, at + width)))
        at += width
    return places


def test_terms_have_mean_0_and_variance_1_over_observed_rows(made: tuple[AdditiveBasis, Encoded, Encoder]) -> None:
    basis, rows, _ = made
    terms = basis(rows)
    assert terms.shape == (N, len(basis))
    assert rows.observed is not None
    for (column, place), c in zip(blocks(basis), basis.columns, strict=True):
        seen = rows.observed[:, column]
        own = terms[:, place][:, : len(c.groups)]
        np.testing.assert_allclose(own[seen].mean(0), 0, atol=1e-9)
        np.testing.assert_allclose(own[seen].std(0), 1, atol=1e-9)
        assert (own[~seen] == 0).all()
        if c.missing is not None:
            indicator = terms[:, place][:, -1]
            assert indicator.mean() == pytest.approx(0, abs=1e-9)
            assert indicator.std() == pytest.approx(1, abs=1e-9)
            assert (indicator[~seen] > 0).all()
            assert (indicator[seen] < 0).all()


def test_missingness_has_a_term_where_three_rows_tell_of_it() -> None:
    X = table()
    few, many = X.assign(age=X["age"].fillna(60.0)), X.assign(age=X["age"].fillna(60.0))
    few.loc[:1, "age"] = np.nan
    many.loc[:2, "age"] = np.nan
    for frame, expected in ((few, False), (many, True)):
        encoder, rows = encoded(frame)
        of_age = next(c for c in AdditiveBasis.of(encoder.schema, rows).columns if c.column == 0)
        assert (of_age.missing is not None) is expected


def test_lines_are_linear_inside_the_range_and_constant_outside(made: tuple[AdditiveBasis, Encoded, Encoder]) -> None:
    basis, rows, _ = made
    for column in (0, 1, 2):
        place = dict(blocks(basis))[column]
        low, high = rows.values[:, column].min(), rows.values[:, column].max()
        at = np.array([low - 5, low - 1e-3, low, low + 0.3 * (high - low), 0.5 * (low + high), high, high + 7.0])
        asked = np.tile(rows.values[:1], (len(at), 1))
        asked[:, column] = at
        terms = basis(Encoded(asked, np.ones(asked.shape, dtype=bool)))[:, place]
        inside = slice(2, 6)
        slope, offset = np.polyfit(at[inside], terms[inside, 0], 1)
        assert slope > 0
        np.testing.assert_allclose(terms[inside, 0], slope * at[inside] + offset, atol=1e-9)
        np.testing.assert_array_equal(terms[0], terms[2])
        np.testing.assert_array_equal(terms[1], terms[2])
        np.testing.assert_array_equal(terms[6], terms[5])


def test_a_skewed_column_also_enters_by_normal_scores(made: tuple[AdditiveBasis, Encoded, Encoder]) -> None:
    basis, rows, _ = made
    of = {c.column: c for c in basis.columns}
    assert of[0].groups.count("main") == 1
    assert of[1].groups.count("main") == 2
    scores = basis(rows)[:, dict(blocks(basis))[1]][:, 1]
    assert (np.diff(scores[np.argsort(rows.values[:, 1])]) >= 0).all()
    raw = rows.values[:, 1]
    assert abs(np.mean(scores**3)) < 0.2 < 1.0 < np.mean(((raw - raw.mean()) / raw.std()) ** 3)


def test_smooth_departures_are_uncorrelated_with_the_scores_and_each_other(
    made: tuple[AdditiveBasis, Encoded, Encoder],
) -> None:
    basis, rows, _ = made
    of_marker = next(c for c in basis.columns if c.column == 1)
    terms = basis(rows)[:, dict(blocks(basis))[1]]
    smooth = np.array([g == "smooth" for g in of_marker.groups])
    assert smooth.sum() >= 3
    both = np.column_stack([terms[:, 1], terms[:, smooth]])
    np.testing.assert_allclose(both.T @ both / N, np.eye(both.shape[1]), atol=1e-6)


def test_levels(made: tuple[AdditiveBasis, Encoded, Encoder]) -> None:
    basis, rows, encoder = made
    terms, of = basis(rows), dict(blocks(basis))
    assert rows.observed is not None
    # Two levels need one indicator; of several, each that three rows have gets its own.
    assert terms[:, of[3]].shape[1] == 1
    site = next(c for c in basis.columns if c.column == 4)
    levels = list(encoder.schema["site"].levels or ())
    assert [levels[int(code)] for code in site.knots] == ["a", "b", "c"]
    values = rows.values[:, 4]
    for k, code in enumerate(site.knots):
        own = terms[:, of[4]][:, k]
        assert len(np.unique(np.round(own[rows.observed[:, 4]], 12))) == 2  # "rare" is no level of its own
        assert (own[(values == code) & rows.observed[:, 4]] > 0).all()
    rare = (values == levels.index("rare")) & rows.observed[:, 4]
    assert rare.sum() == 2
    assert (terms[rare][:, of[4]] < 0).all()


@pytest.mark.parametrize("counts", [(199, 1), (198, 2), (198, 1, 1)])
def test_a_level_of_one_or_two_rows_gets_no_term(counts: tuple[int, ...]) -> None:
    labels = np.repeat(list("abc")[: len(counts)], counts)
    encoder, rows = encoded(pd.DataFrame({"level": labels, "age": np.arange(200.0)}))
    basis = AdditiveBasis.of(encoder.schema, rows)
    assert [c.column for c in basis.columns] == [1]


@pytest.mark.filterwarnings("ignore:column 'name'")
def test_an_identifier_gives_no_terms() -> None:
    encoder, rows = encoded(pd.DataFrame({"name": [f"p{i}" for i in range(60)], "age": np.arange(60.0)}))
    assert [c.column for c in AdditiveBasis.of(encoder.schema, rows).columns] == [1]


def test_constant_columns_give_no_terms_but_their_missingness_may() -> None:
    X = pd.DataFrame({"a": np.full(30, 2.0), "b": ["x"] * 30, "c": np.arange(30.0)})
    encoder, rows = encoded(X)
    assert [c.column for c in AdditiveBasis.of(encoder.schema, rows).columns] == [2]
    X.loc[:5, "a"], X.loc[10:15, "b"] = np.nan, None
    encoder, rows = encoded(X)
    basis = AdditiveBasis.of(encoder.schema, rows)
    terms = basis(rows)
    assert [c.column for c in basis.columns] == [0, 1, 2]
    assert terms.shape == (30, len(basis))
    np.testing.assert_allclose(terms[:, :2].mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(terms[:, :2].std(0), 1, atol=1e-9)


def test_a_column_that_is_missing_entirely_gives_no_terms() -> None:
    """As happens in one fold of many."""
    encoder, rows = encoded(table())
    assert rows.observed is not None
    hidden = rows.observed.copy()
    hidden[:, [0, 4]] = False
    basis = AdditiveBasis.of(encoder.schema, Encoded(rows.values, hidden))
    assert {c.column for c in basis.columns} == {1, 2, 3, 6}
    assert np.isfinite(basis(rows)).all()


def test_nothing_that_varies_gives_an_empty_design() -> None:
    encoder, rows = encoded(pd.DataFrame({"a": np.full(10, 2.0)}))
    basis = AdditiveBasis.of(encoder.schema, rows)
    assert len(basis) == 0
    assert basis(rows).shape == (10, 0)


def test_terms_of_a_row_depend_on_no_other_row(made: tuple[AdditiveBasis, Encoded, Encoder]) -> None:
    basis, rows, _ = made
    some = [3, 0, 77]
    assert rows.observed is not None
    np.testing.assert_array_equal(basis(rows)[some], basis(Encoded(rows.values[some], rows.observed[some])))


def test_json_gives_the_same_basis(made: tuple[AdditiveBasis, Encoded, Encoder]) -> None:
    basis, rows, _ = made
    again = AdditiveBasis.from_json(json.loads(json.dumps(basis.to_json())))
    assert again == basis
    assert again.groups == basis.groups
    np.testing.assert_array_equal(again(rows), basis(rows))


def test_far_from_zero_and_tiny_spread() -> None:
    """A column at 1e9 that moves by 1e-3 is standardised before it comes here."""
    rng = np.random.default_rng(1)
    encoder, rows = encoded(pd.DataFrame({"a": 1e6 + 1e-2 * rng.normal(size=100), "b": 1e-12 * rng.normal(size=100)}))
    terms = AdditiveBasis.of(encoder.schema, rows)(rows)
    np.testing.assert_allclose(terms.std(0), 1, atol=1e-6)
