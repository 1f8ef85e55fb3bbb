"""What is asked of a table of event times is understood, or refused before anything is fitted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from underlie.cli.errors import BadInput
from underlie.cli.survival_input import Question, make_study
from underlie.cli.survival_time import horizon_option, unit_option


def make(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(n)],
            "age": rng.normal(60, 10, n).round(1),
            "arm": rng.choice(["new", "old"], n),
            "dose": rng.choice([0.0, 1.0, 2.0], n),
            "chemo": rng.integers(2, size=n),
            "days": rng.uniform(10, 2000, n).round(),
            "status": rng.choice(["alive", "dead"], n),
            "died": rng.integers(2, size=n),
        }
    )


def study(question: Question, table: pd.DataFrame | None = None, **more):
    return make_study(make() if table is None else table, "t.csv", question, **more)


# ---------------------------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("unit", "said", "expected"),
    [
        ("days", "4y", 4 * 365.25),
        ("days", "1461", 1461),
        ("days", "18 months", 18 * 30.4375),
        ("months", "2 Years", 24),
        ("year", "26w", 26 * 7 / 365.25),
        ("d", ".5y", 182.625),
        (None, "12.5", 12.5),
    ],
)
def test_horizons_are_turned_into_the_unit_of_the_table(unit, said, expected):
    assert horizon_option(said, unit_option(unit, 10000.0)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("unit", "said", "message"),
    [
        (None, "4y", "--time-unit days"),
        ("days", "4 decades", "'decades' is no unit"),
        ("days", "-4", "a number above 0"),
        ("days", "0", "a number above 0"),
        ("days", "soon", "a number above 0"),
    ],
)
def test_horizons_that_are_none_are_refused(unit, said, message):
    with pytest.raises(BadInput, match=message):
        horizon_option(said, unit_option(unit, 10000.0))


def test_long_times_are_shown_in_years_and_short_ones_in_their_own_unit():
    days = unit_option("days", 3000.0)
    assert (days.shown, days.text(1461), days.both(1461), days.text(100)) == (
        "years",
        "4 years",
        "4 years (1,461 days)",
        "100 days",
    )
    assert unit_option("days", 200.0).shown == "months"
    assert unit_option("days", 20.0).text(4.0) == "4 days"
    assert unit_option("years", 20.0).both(4.0) == "4 years"
    assert unit_option(None, 20.0).text(4.0) == "time 4"
    with pytest.raises(BadInput, match="--time-unit eons"):
        unit_option("eons", 1.0)


# --------------------------------------------------------------------------------------------------------------- tables


def test_columns_take_their_roles():
    found = study(Question("days", "status=dead", ("arm",), identifier="id"), drop=["died"])
    table = make()
    assert list(found.X) == ["age", "arm", "dose", "chemo"]
    assert found.patients == list(table["id"])
    np.testing.assert_array_equal(found.y["event"], table["status"] == "dead")
    np.testing.assert_array_equal(found.y["time"], table["days"])
    assert found.event == "status = dead"
    assert found.options == ("new", "old")
    assert found.received == list(table["arm"])
    assert found.horizon == np.median(table["days"][table["status"] == "dead"])
    assert found.label("old") == "arm = old"


def test_the_event_may_be_a_number_among_others():
    table = make().assign(code=lambda t: t["died"] + 1)
    np.testing.assert_array_equal(study(Question("days", "code=2"), table).y["event"], table["died"] == 1)
    np.testing.assert_array_equal(study(Question("days", "died"), table).y["event"], table["died"] == 1)


def test_patients_without_names_are_counted_from_one():
    assert study(Question("days", "died")).patients[:2] == ["1", "2"]
    table = make().set_index("id")
    assert study(Question("days", "died"), table).patients[:2] == ["p0", "p1"]


def test_codes_of_three_arms_are_levels_and_not_a_dose():
    found = study(Question("days", "died", ("dose",), control="1"))
    assert found.kinds == {"dose": "categorical"}
    assert found.options == ("1", "0", "2")
    assert found.received[0] == str(int(make()["dose"][0]))


def test_several_treatments_are_combinations_and_the_control_is_one_of_them():
    found = study(Question("days", "died", ("arm", "chemo"), control="arm=old, chemo=0"))
    assert found.options[0] == "arm=old, chemo=0"
    assert set(found.options) == {f"arm={a}, chemo={c}" for a in ("new", "old") for c in (0, 1)}
    assert found.label(found.options[1]) == found.options[1]


@pytest.mark.parametrize(
    ("question", "change", "message"),
    [
        (Question("day", "died"), {}, "--time day: t.csv has no such column; it has 'id'"),
        (Question("days", "death"), {}, "--event death: t.csv has no such column"),
        (Question("days", "dea=1"), {}, "no column 'dea'"),
        (Question("days", "status"), {}, "--event status=VALUE"),
        (Question("days", "status=gone"), {}, "no row has this value; there are '(dead|alive)'"),
        (Question("days", "days"), {}, "already given as --time"),
        (Question("days", "died", ("died",)), {}, "already given as --event"),
        (Question("days", "died", ("arm", "arm")), {}, "already given as --treatment"),
        (Question("days", "died", ("drug",)), {}, "--treatment drug: t.csv has no such column"),
        (Question("days", "died", ("age",)), {}, "group them into levels"),
        (Question("days", "died", ("arm",)), {"arm": "new"}, "in all rows; there is nothing to compare"),
        (Question("days", "died", ("arm",)), {"arm": [None] + ["new", "old"] * 29 + ["new"]}, "the cell of row 1 is"),
        (Question("days", "died", ("arm",), control="none"), {}, "the treatments are 'new', 'old'"),
        (Question("days", "died", control="old"), {}, "name the treatment column"),
        (Question("days", "died", ("arm", "chemo")), {"chemo": lambda t: (t["arm"] == "new") * 1}, "no row received"),
        (Question("days", "died", identifier="name"), {}, "--id name"),
        (Question("days", "died", min_gain=7), {}, "such as 0.07 for 7 points"),
        (Question("days", "died", horizon="9000"), {}, "follow-up ends at"),
        (Question("days", "died", horizon="4"), {}, "the first event is at .* 4 years are --horizon 4y"),
        (Question("days", "died"), {"died": 0}, "censored"),
        (Question("days", "died"), {"died": 3}, "--event died: event is 3"),
        (Question("days", "died"), {"days": lambda t: t["days"].where(t.index != 4)}, "time is missing in row 4"),
        (Question("days", "died"), {"days": lambda t: -t["days"]}, "time is negative in row 0"),
        (Question("days", "died"), {"days": "long"}, "give numbers"),
    ],
)
def test_bad_questions_are_refused(question, change, message):
    with pytest.raises(BadInput, match=message):
        study(question, make().assign(**change))


def test_an_arm_that_nobody_followed_to_the_horizon_is_refused():
    table = make()
    table.loc[table["arm"] == "new", "days"] = table["days"].clip(upper=50)
    table.loc[table["arm"] == "new", "died"] = 0
    with pytest.raises(BadInput, match="nobody with treatment 'new' was followed beyond 50"):
        study(Question("days", "died", ("arm",), horizon="500"), table)


@pytest.mark.parametrize(
    ("drop", "kinds", "message"),
    [
        (["arm"], (), "asked for by another option"),
        (["nothing"], (), "--drop nothing: t.csv has no such column"),
        ((), ["arm=count"], "--kinds arm=count: treatments are compared level by level"),
    ],
)
def test_bad_options_are_refused(drop, kinds, message):
    with pytest.raises(BadInput, match=message):
        study(Question("days", "died", ("arm",)), drop=drop, kinds=kinds)
