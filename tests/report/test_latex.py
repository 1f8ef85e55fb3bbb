"""LaTeX of tables: names are printed as they are, and no table is wider than the line.

What pdfLaTeX makes of it was looked at by hand; these are the laws that it was mended by.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

from underlie.report import Column, Section, render_latex, table
from underlie.report.latex import escape
from underlie.report.latex_columns import layout_of

#: what pdfLaTeX without further packages prints: ASCII, and letters of Western languages
PRINTED = re.compile(r"[\x20-\x7e¡-ÿŒœŠšŽžŸ“”‘’]*")
#: one printed character, or a command with its braces
TOKEN = re.compile(r"\\[a-zA-Z]+(\{\})?|\\[#$%&_{}]|\$[^$]*\$|\{[\[*]\}|\{\}|[^\\{}$&#%_^~]")
HOSTILE = 'Größe_in % a&b<c> #1 $x^2$ ~tilde\\back {brace}|"q" *α→β₂ [naïve–dash…] é -- ß ≤ µ² „q“ «r» ‚s‘ − ± × 10⁻⁵'


@pytest.mark.parametrize(
    "text", [HOSTILE, "[0, 5)", "*", "\\", "{", "\\\\[1cm]", "%", "--- &", "a\u200bb\x07c", "½ °C"]
)
def test_text_is_nothing_but_printed_characters_and_whole_commands(text):
    made = escape(text)
    assert PRINTED.fullmatch(made), made
    end = 0
    for token in TOKEN.finditer(made):
        assert token.start() == end, made[end : token.start() + 5]
        end = token.end()
    assert end == len(made)


@pytest.mark.parametrize("first", ["[0, 5)", "*", "- [x]"])
def test_a_cell_is_never_taken_for_an_argument_of_the_row_before(first):
    made = render_latex([Section("S", (table("T", (Column("a"), Column("n", "integer")), [(first, 1), (first, 2)]),))])
    assert not re.search(r"(\\\\|\\tabularnewline|\\midrule|\\toprule)\s*[\[*]", made)


def test_tables_stay_within_the_line():
    """Over tables of all shapes: columns and gaps together are no wider than the line, or set as small as can be."""
    rng = np.random.default_rng(0)
    words = ["a", "treatment", "survival with it, %", "called digit_7 & 50 %", "log-likelihood, nats", "x" * 30]
    smallest = 0
    for _ in range(300):
        n = int(rng.integers(1, 9))
        headers = [str(rng.choice(words)) for _ in range(n)]
        is_text = [True, *(bool(rng.random() < 0.3) for _ in range(n - 1))]
        lengths = [int(rng.integers(1, 120)) if text else int(rng.integers(1, 10)) for text in is_text]
        made = layout_of(headers, [["x" * length] for length in lengths], is_text)
        used = 0.0
        for width, lines, length in zip(made.widths, made.headers, lengths, strict=True):
            natural = max(length, *map(len, lines))
            used += natural if width is None else width * made.type.line
        fits = used + made.type.gap * n <= made.type.line + 1e-9
        smallest += not fits
        assert fits or "scriptsize" in made.type.command
        assert [" ".join(lines).replace(" ", "") for lines in made.headers] == [h.replace(" ", "") for h in headers]
    assert smallest < 30


def test_a_small_table_is_left_as_it_is():
    made = layout_of(["model", "nats"], [["pPCA"], ["1.5"]], [True, False])
    assert (made.type.command, made.widths, made.headers) == ("", (None, None), (("model",), ("nats",)))
