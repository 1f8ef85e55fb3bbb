"""A form gives back the rows that were put into it, and says what is odd about them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from underlie.app.form.entry import cells_of, pick, read_entry, row_of
from underlie.app.form.fields import MISSING, fields_of
from underlie.app.form.inputs import MOST_FIELDS, form, hidden_part
from underlie.data import Encoder

NASTY = ["<script>alert(1)</script>", "a b", "a  b", "Größe (cm)", "a_b", "'\"&"]


def mixed(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            NASTY[0]: rng.normal(60, 10, n),
            NASTY[1]: rng.poisson(3, n),
            NASTY[2]: rng.choice(["<b>", "", "Ä"], n),
            NASTY[3]: np.exp(rng.normal(size=n) * 2),
            NASTY[4]: rng.choice([True, False], n),
            NASTY[5]: pd.Categorical(rng.choice(["I", "II", "III"], n), ["I", "II", "III"], ordered=True),
        }
    )
    table.loc[::7, NASTY[0]] = np.nan
    table[NASTY[5]] = table[NASTY[5]].where(np.arange(n) % 5 > 0)
    return table


def as_library(table: pd.DataFrame, library: str) -> Any:
    if library == "pandas":
        return table
    if library == "array":
        return table[[NASTY[0], NASTY[3]]].to_numpy()
    pytest.importorskip(library)
    import polars as pl

    frame = pl.from_pandas(table)
    return frame if library == "polars" else frame.to_arrow()


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "array"])
def test_a_row_of_the_data_comes_back_from_the_form_as_it_was(library: str) -> None:
    rows = as_library(mixed(), library)
    encoder = Encoder.fit(rows)
    fields = fields_of(encoder.schema)
    for i in range(12):
        cells = cells_of(pick(rows, [i]), fields, 0)
        entered = {field.key: field.entered_of(cells[field.name]) for field in fields}
        entry = read_entry(fields, entered, encoder)
        again, own = encoder.encode(row_of(encoder, [entry.values])), encoder.encode(pick(rows, [i]))
        seen = np.ones_like(own.values, dtype=bool) if own.observed is None else own.observed
        np.testing.assert_array_equal(np.ones_like(seen) if again.observed is None else again.observed, seen)
        np.testing.assert_allclose(again.values[seen], own.values[seen])
        assert entry.remarks == ()


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "array"])
def test_a_form_that_was_left_empty_is_a_row_of_missing_cells(library: str) -> None:
    encoder = Encoder.fit(as_library(mixed(), library))
    fields = fields_of(encoder.schema)
    entry = read_entry(fields, {}, encoder)
    observed = encoder.encode(row_of(encoder, [entry.values])).observed
    assert observed is not None
    assert not observed.any()
    assert entry.n_missing == len(fields)


def test_what_is_outside_the_data_is_taken_and_said() -> None:
    table = pd.DataFrame({"age": np.linspace(20.0, 80.0, 50), "nodes": np.arange(50) % 9, "dose": 1.5 ** np.arange(50)})
    encoder = Encoder.fit(table)
    fields = fields_of(encoder.schema)
    assert encoder.schema.kinds == ["continuous", "count", "positive"]
    entry = read_entry(fields, {"field0": "95", "field1": "-3", "field2": "0"}, encoder)
    assert entry.values == {"age": 95.0, "nodes": 0.0, "dose": 1.0}
    about_age, about_nodes, about_dose = entry.remarks
    assert about_age == "age = 95 is outside the data (20 to 80): the model extrapolates."
    assert about_nodes.startswith("nodes cannot be −3: read as 0")
    assert about_dose.startswith("dose cannot be 0: read as 1")
    assert read_entry(fields, {"field1": "2.4"}, encoder).values["nodes"] == 2.0


@pytest.mark.parametrize("typed", ["?", "abc", "1e99", "nan"])
def test_what_is_no_number_counts_as_missing_and_is_said(typed: str) -> None:
    encoder = Encoder.fit(pd.DataFrame({"age": np.linspace(20.0, 80.0, 50)}))
    entry = read_entry(fields_of(encoder.schema), {"field0": typed}, encoder)
    assert entry.values == {"age": None}
    assert "age" in entry.remarks[0]


def test_keys_of_fields_do_not_depend_on_how_columns_are_called() -> None:
    fields = fields_of(Encoder.fit(mixed()).schema)
    assert [field.key for field in fields] == [f"field{j}" for j in range(6)]
    levels = next(field for field in fields if field.name == NASTY[2])
    assert list(levels.choices) == [MISSING, "0", "1", "2"]
    assert sorted(levels.choices.values()) == ["", "<b>", "missing", "Ä"]
    with pytest.raises(ValueError, match="none of its levels"):
        levels.value_of("7")


def test_of_very_many_columns_some_have_no_field_but_keep_their_cells() -> None:
    columns = pd.DataFrame(np.random.default_rng(0).normal(size=(20, MOST_FIELDS + 5)))
    encoder = Encoder.fit(columns.set_axis([f"c{j}" for j in range(MOST_FIELDS + 5)], axis=1))
    fields = fields_of(encoder.schema)
    html = str(form("f", fields, label="many"))
    assert html.count("data-key") == MOST_FIELDS
    assert f"The first {MOST_FIELDS} of {MOST_FIELDS + 5} columns" in html
    kept = hidden_part(fields, {field.name: 0.5 for field in fields})
    entry = read_entry(fields, kept | {"field0": "1"}, encoder)
    assert entry.values["c0"] == 1.0
    assert entry.values["c1"] is None
    assert entry.values[f"c{MOST_FIELDS + 4}"] == 0.5


def test_a_level_that_the_model_never_saw_is_missing_in_the_form() -> None:
    fields = fields_of(Encoder.fit(mixed()).schema)
    levels = next(field for field in fields if field.name == NASTY[2])
    assert levels.entered_of("Z") == MISSING
