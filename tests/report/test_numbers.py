"""Numbers in tables: aligned, no more digits than their error supports, and never a wrong value."""

from __future__ import annotations

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from underlie.report.document import Column, Estimate, Interval
from underlie.report.numbers import best_rows, format_column, format_number

SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
numbers = st.floats(min_value=-1e12, max_value=1e12, allow_nan=False, allow_subnormal=False)


def read_back(text: str) -> float:
    plain = text.replace("−", "-").replace(",", "")
    mantissa, _, power = plain.partition(" × 10")
    return float(mantissa) * 10 ** int(power.translate(SUPERSCRIPTS)) if power else float(mantissa)


@given(numbers)
def test_format_number_keeps_four_significant_digits(value):
    assert math.isclose(read_back(format_number(value)), value, rel_tol=5.1e-4, abs_tol=0.0)


@given(st.lists(st.floats(-1e5, 1e5, allow_nan=False), min_size=1, max_size=8), st.floats(1e-3, 1e2))
def test_estimates_of_a_column_share_their_decimals_and_round_by_less_than_the_error(values, se):
    texts = format_column(Column("x", "estimate", decimals=None), [Estimate(v, se) for v in values])
    decimals = {len(text.split(" ± ")[0].partition(".")[2]) for text in texts}
    assert len(decimals) == 1
    for text, value in zip(texts, values, strict=True):
        assert abs(read_back(text.split(" ± ")[0]) - value) <= 0.06 * se


def test_two_digits_of_the_standard_error():
    assert format_column(Column("x", "estimate"), [Estimate(12.3456, 0.0234)]) == ["12.346 ± 0.023"]
    assert format_column(Column("x", "estimate"), [Estimate(1234.5, 234.0)]) == ["1,234 ± 234"]


def test_a_rounded_zero_has_no_sign():
    assert format_column(Column("x", "number", decimals=2), [-0.001, -1.0]) == ["0.00", "−1.00"]


def test_a_wide_range_is_written_in_powers_of_ten():
    small, large = format_column(Column("x", "number"), [1.5e-8, 2.0e3])
    assert small == "1.500 × 10⁻⁸"
    assert read_back(large) == 2000


def test_missing_cells_show_a_dash():
    for kind in ("text", "integer", "number", "percent", "estimate"):
        assert format_column(Column("x", kind), [None]) == ["–"]


def test_best_rows():
    cells = [Estimate(-2.0, 0.1), Estimate(-1.0, 0.1), None, Estimate(-1.0, 0.3)]
    assert best_rows(Column("x", "estimate", better="high"), cells) == {1, 3}
    assert best_rows(Column("x", "estimate", better="low"), cells) == {0}
    assert best_rows(Column("x", "estimate"), cells) == set()
    assert best_rows(Column("x", "estimate", better="high"), [Estimate(1.0)]) == set()  # one value beats nothing


@given(st.lists(st.floats(-1e5, 1e5, allow_nan=False), min_size=1, max_size=8), st.floats(1e-2, 1e2))
def test_intervals_show_their_ends_with_as_many_digits_as_their_width_supports(values, half):
    texts = format_column(Column("x", "interval"), [Interval(v, v - half, v + half) for v in values])
    decimals = set()
    for text, value in zip(texts, values, strict=True):
        middle, lower, upper = re.fullmatch(r"(.+) \((.+) to (.+)\)", text).groups()
        for shown, true in ((middle, value), (lower, value - half), (upper, value + half)):
            assert abs(read_back(shown) - true) < 0.1 * half
            decimals.add(len(shown.partition(".")[2]))
    assert len(decimals) == 1
