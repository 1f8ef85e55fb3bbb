"""Groups of rows compared, empty fields guessed, new rows written: without a browser."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import underlie as ul
from underlie.app.form.entry import row_of
from underlie.app.form.fields import fields_of
from underlie.app.opened import Opened
from underlie.app.table import screens
from underlie.app.table.cells import cells_of_rows
from underlie.app.table.differences import differences
from underlie.app.table.imputation import guess, nothing_known
from underlie.app.table.new_rows_screen import csv_of
from underlie.app.table.page import difference_table
from underlie.app.table.rows import colours_of, rows_of
from underlie.app.table.strips import guess_list, text_of
from underlie.data import Encoder

HOSTILE = "<script>alert(1)</script>"


def table(n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    height = rng.normal(170, 10, n)
    frame = pd.DataFrame(
        {
            "Größe (cm)": height,
            "a b": height * 0.5 + rng.normal(0, 2, n),
            "a  b": rng.poisson(3, n),
            HOSTILE: np.where(height + rng.normal(0, 5, n) > 170, "<b>tall</b>", "short"),
            "group": rng.choice(list("abcdefg"), n),
        }
    )
    frame.loc[::9, "a b"] = np.nan
    return frame


@pytest.fixture(scope="module")
def vae() -> Any:
    return ul.VAE(n_latent=2, hidden=(16,), max_epochs=40, random_state=0, verbose=False).fit(table())


@pytest.fixture(scope="module")
def ppca() -> Any:
    return ul.ProbabilisticPCA(2, standardize=True).fit(table()[["Größe (cm)", "a b", "a  b"]])


def opened(model: Any, rows: Any = None, **more: Any) -> Opened:
    return Opened("m", Path("m.safetensors"), "table", model, rows=rows, **more)


# -------------------------------------------------------------------------------------------------------- differences


def split(frame: pd.DataFrame, inside: np.ndarray) -> tuple[Encoder, Any, Any]:
    encoder = Encoder.fit(frame)
    cells = cells_of_rows(encoder, frame)
    return encoder, {k: v[inside] for k, v in cells.items()}, {k: v[~inside] for k, v in cells.items()}


def test_differences_are_those_of_the_textbook() -> None:
    frame = table()
    inside = (np.arange(len(frame)) % 3 == 0) | (frame["Größe (cm)"] > 175).to_numpy()
    encoder, first, second = split(frame, inside)
    found = {(one.column, one.level): one for one in differences(encoder.schema, first, second)}
    for name in ("Größe (cm)", "a b", "a  b"):
        one, two = frame.loc[inside, name], frame.loc[~inside, name]
        own = found[name, None]
        assert own.first.mean == pytest.approx(one.mean())
        assert own.second.median == pytest.approx(two.median())
        assert own.first.missing == pytest.approx(one.isna().mean())
        assert own.standardised == pytest.approx((one.mean() - two.mean()) / np.sqrt((one.var() + two.var()) / 2))
    one, two = ((frame.loc[rows, HOSTILE] == "short").mean() for rows in (inside, ~inside))
    expected = (one - two) / np.sqrt((one * (1 - one) + two * (1 - two)) / 2)
    assert found[HOSTILE, "short"].standardised == pytest.approx(expected)
    assert sum(name == "group" for name, _ in found) == 5  # of seven levels those that differ most


def test_differences_change_sign_with_the_groups_and_vanish_between_equals() -> None:
    encoder, first, second = split(table(), np.arange(200) % 2 == 0)
    forth, back = differences(encoder.schema, first, second), differences(encoder.schema, second, first)
    turned = {(one.column, one.level): -one.standardised for one in back}
    assert {(one.column, one.level): one.standardised for one in forth} == pytest.approx(turned)
    assert all(one.standardised == 0.0 for one in differences(encoder.schema, first, first))
    sizes = [max(one.size for one in forth if one.column == name) for name in dict.fromkeys(o.column for o in forth)]
    assert sizes == sorted(sizes, reverse=True)


def test_a_single_row_and_columns_that_do_not_vary_are_no_trouble() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "same": [5.0] * 4, "level": list("abab")})
    encoder, first, second = split(frame, np.array([True, False, False, False]))
    found = {(one.column, one.level): one for one in differences(encoder.schema, first, second)}
    assert found["x", None].standardised == pytest.approx((1 - 3) / np.std([2, 3, 4], ddof=1))
    assert found["same", None].standardised == 0.0
    html = str(difference_table(tuple(found.values()), "chosen", "rest"))
    assert "nan" not in html
    with pytest.raises(ValueError, match="no rows"):
        differences(encoder.schema, {k: v[:0] for k, v in first.items()}, second)


# --------------------------------------------------------------------------------------------------------- imputation


def test_guesses_of_probabilistic_pca_are_the_exact_conditional_normal(ppca: Any) -> None:
    known = {"Größe (cm)": 190.0, "a b": None, "a  b": None}
    found = guess(ppca, known, n_draws=20_000).by_column
    assert list(found) == ["a b", "a  b"]
    mean, covariance = ppca.exact_moments()[0], ppca.get_covariance()
    centre = mean[1] + covariance[1, 0] / covariance[0, 0] * (190.0 - mean[0])
    sd = np.sqrt(covariance[1, 1] - covariance[1, 0] ** 2 / covariance[0, 0])
    spread = found["a b"].number
    assert spread is not None
    # Five standard errors of quantiles of 20,000 draws.
    assert (spread.median - centre) / sd == pytest.approx(0.0, abs=0.045)
    assert (spread.low - centre) / sd == pytest.approx(-1.96, abs=0.095)
    assert (spread.high - centre) / sd == pytest.approx(1.96, abs=0.095)


def test_guesses_of_a_vae_follow_what_is_known(vae: Any) -> None:
    nothing = nothing_known(vae.schema_.columns)
    at = {height: guess(vae, nothing | {"Größe (cm)": height}).by_column for height in (150.0, 190.0)}
    assert at[190.0]["a b"].number.median > at[150.0]["a b"].number.median + 10
    levels = at[190.0][HOSTILE].column.levels
    tall = levels.index("<b>tall</b>")
    assert at[190.0][HOSTILE].shares[tall] > at[150.0][HOSTILE].shares[tall] + 0.4
    for one in at[190.0].values():
        if one.number is None:
            assert sum(one.shares) == pytest.approx(1.0)
        else:
            own = one.number
            assert own.low <= own.quarter <= own.median <= own.three_quarters <= own.high
    best = vae.impute(row_of(vae.encoder_, [nothing | {"Größe (cm)": 190.0}])).iloc[0]
    assert at[190.0]["a b"].number.median == pytest.approx(best["a b"], abs=2.0)


def test_a_row_unlike_the_data_is_said_not_to_be_dependable(vae: Any, ppca: Any) -> None:
    nothing = nothing_known(vae.schema_.columns)
    assert guess(vae, nothing).dependable
    assert not guess(vae, nothing | {"Größe (cm)": 400.0, "a b": 1.0}).dependable
    assert guess(ppca, {"Größe (cm)": 400.0, "a b": 1.0, "a  b": None}).dependable  # exact


def test_draws_of_whole_numbers_are_whole(vae: Any) -> None:
    number = guess(vae, nothing_known(vae.schema_.columns)).by_column["a  b"].number
    for value in (number.low, number.quarter, number.median, number.three_quarters, number.high):
        assert value == round(value)


def test_what_is_shown_of_guesses_is_well_formed_and_harmless(vae: Any) -> None:
    fields = fields_of(vae.schema_)
    values = nothing_known(vae.schema_.columns) | {HOSTILE: "<b>tall</b>"}
    found, before = guess(vae, values), guess(vae, nothing_known(vae.schema_.columns))
    tree = ET.fromstring(str(guess_list(fields, values, found, before)))
    assert not tree.findall(".//script")
    assert [dt.text for dt in tree.findall("dt")] == [field.name for field in fields]
    assert text_of(found.by_column["a  b"]).endswith(")")


def test_of_very_many_columns_those_that_moved_most_are_shown() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(80, 1))
    columns = {f"c{j}": z[:, 0] * (j < 10) + 0.3 * rng.normal(size=80) for j in range(100)}
    model = ul.ProbabilisticPCA(1).fit(pd.DataFrame(columns))
    fields = fields_of(model.schema_)
    nothing = nothing_known(model.schema_.columns)
    found, before = guess(model, nothing | {"c0": 2.0}), guess(model, nothing)
    html = str(guess_list(fields, nothing | {"c0": 2.0}, found, before))
    shown = set(re.findall(r"<dt>(\w+)</dt>", html))
    assert len(shown) == 60
    assert {f"c{j}" for j in range(1, 10)} <= shown
    assert "c0" not in shown
    assert "Of 99 empty columns these 60" in html


# --------------------------------------------------------------------------------------------------------------- rows


def test_without_data_the_map_shows_rows_that_the_model_drew(vae: Any) -> None:
    rows = rows_of(opened(vae))
    assert rows.drawn
    assert len(rows) == rows.whole == 1000
    assert rows.means.shape == (1000, 2)
    assert set(colours_of(opened(vae), rows)) == set(table().columns)


def test_of_very_many_rows_some_are_shown_with_their_numbers(ppca: Any) -> None:
    many = pd.concat([table()[["Größe (cm)", "a b", "a  b"]]] * 25, ignore_index=True)
    rows = rows_of(opened(ppca, many))
    assert (len(rows), rows.whole, rows.drawn) == (4000, 5000, False)
    np.testing.assert_allclose(rows.means, ppca.transform(many.iloc[rows.numbers]))


def test_points_can_be_coloured_by_columns_that_the_model_did_not_see(ppca: Any) -> None:
    whole = table().assign(name=[f"patient {i}" for i in range(200)], seen=True)
    here = opened(ppca, whole[["Größe (cm)", "a b", "a  b"]], table=whole, labels=np.arange(200) % 3)
    found = colours_of(here, rows_of(here))
    assert list(found) == ["label", "Größe (cm)", "a b", "a  b", HOSTILE, "group", "seen"]  # names tell no groups apart
    assert set(found["seen"]) == {"True"}


def test_new_rows_as_a_file_are_the_rows_of_the_model(vae: Any) -> None:
    drawn = vae.sample(30, random_state=3)
    again = pd.read_csv(io.StringIO(csv_of(opened(vae), drawn)))
    pd.testing.assert_frame_equal(again, drawn.reset_index(drop=True), check_dtype=False)
    array = ul.ProbabilisticPCA(1).fit(np.random.default_rng(0).normal(size=(30, 3)))
    named = pd.read_csv(io.StringIO(csv_of(opened(array), array.sample(5, random_state=0))))
    assert list(named) == array.schema_.names


def test_a_model_that_only_classifies_has_no_screens_of_rows() -> None:
    rng = np.random.default_rng(0)
    model = ul.NeuralClassifier(hidden=(4,), max_epochs=1, random_state=0, verbose=False)
    model.fit(rng.normal(size=(40, 3)), np.arange(40) % 2)
    assert screens(opened(model)) == ()
