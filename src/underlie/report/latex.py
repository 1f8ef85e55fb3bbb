r"""Tables of a document as LaTeX with booktabs, for a paper: ``\usepackage{booktabs}`` is all they need."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from underlie.report.document import Section, Table
from underlie.report.latex_columns import layout_of
from underlie.report.numbers import best_rows, format_column

#: stands between two hyphens that would be joined to a dash
_APART: Final = "\0"
_GREEK: Final = {
    letter: name
    for letters, names in (
        ("αβγδεζηθικλμ", "alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu"),
        ("νξπρστυφχψω", "nu xi pi rho sigma tau upsilon varphi chi psi omega"),
        ("ΓΔΘΛΞΠΣΦΨΩ", "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"),
    )
    for letter, name in zip(letters, names.split(), strict=True)
}
_TEXT: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    '"': "''",
    # without a font that has them these would vanish or stop the run
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "²": "$^2$",
    "³": "$^3$",
    "–": "--",
    "…": r"\ldots{}",
    "„": ",,",
    "‚": ",",
    "«": r"$\ll$",
    "»": r"$\gg$",
    "→": r"$\to$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    **{raised: f"$^{{{plain}}}$" for raised, plain in zip("⁻⁰¹⁴⁵⁶⁷⁸⁹", "-01456789", strict=True)},
    **{lowered: f"$_{plain}$" for lowered, plain in zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)},
    **{letter: rf"$\{name}$" for letter, name in _GREEK.items()},
    # else taken as an argument of the command before: of the end of a row, of a rule
    "[": "{[}",
    "*": "{*}",
    _APART: "{}",
}
_MATHS_JOINED: Final = (("}$$^{", ""),)
#: after these a word may end on another line
_BREAKS: Final = re.compile(r"(\\_|[=,/;:)\]])(?=.)")


def render_latex(sections: Sequence[Section], *, label: str = "underlie") -> str:
    r"""Every table of some sections as a floating table with rules above and below.

    Parameters
    ----------
    sections : sequence of Section
    label : str
        Tables are labelled ``tab:LABEL-1``, ``tab:LABEL-2``, ...

    Returns
    -------
    str
        LaTeX that needs the package booktabs; names are escaped.

    Examples
    --------
    >>> from underlie.report import Column, Section, table
    >>> made = table("Fit", (Column("model_a"), Column("n", "integer")), [("50 %", 3)])
    >>> print(render_latex([Section("Results", (made,))]))
    % \usepackage{booktabs}
    <BLANKLINE>
    \begin{table}
    \centering
    \caption{Fit.}
    \label{tab:underlie-1}
    \medskip
    \begin{tabular}{lr}
    \toprule
    model\_a & n \\
    \midrule
    50 \% & 3 \\
    \bottomrule
    \end{tabular}
    \end{table}
    <BLANKLINE>
    """
    tables = [block for section in sections for block in section.blocks if isinstance(block, Table)]
    parts = [_table(table, f"tab:{label}-{i}") for i, table in enumerate(tables, start=1)]
    return "\n\n".join([r"% \usepackage{booktabs}", *parts]) + "\n"


def escape(text: str) -> str:
    """Text that LaTeX prints as it is, on one line.

    Letters beyond these need a compiler or font that has them, which pdfLaTeX has for those of Western languages.
    What cannot be printed is left out.

    Examples
    --------
    >>> print(escape("a_b & 50 % × 10⁻⁵"))
    a\\_b \\& 50 \\% $\\times$ 10$^{-5}$
    """
    plain = " ".join(text.split()).replace("--", f"-{_APART}-")
    made = "".join(
        _TEXT.get(character, character) for character in plain if character in _TEXT or character.isprintable()
    )
    for joint, nothing in _MATHS_JOINED:
        made = made.replace(joint, nothing)
    return made


def _table(table: Table, label: str) -> str:
    is_text = [column.kind == "text" for column in table.columns]
    given = [[row[j] for row in table.rows] for j in range(len(table.columns))]
    texts = [format_column(column, cells) for column, cells in zip(table.columns, given, strict=True)]
    layout = layout_of([column.header for column in table.columns], texts, is_text)
    columns = []
    for column, cells, shown, width in zip(table.columns, given, texts, layout.widths, strict=True):
        best = best_rows(column, cells)
        made = [escape(text) if width is None else _broken(text, width * layout.type.line) for text in shown]
        columns.append([rf"\textbf{{{text}}}" if i in best else text for i, text in enumerate(made)])
    end = r" \tabularnewline" if any(layout.widths) else r" \\"
    headers = [_header(lines, text) for lines, text in zip(layout.headers, is_text, strict=True)]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_sentence(table)}}}",
        rf"\label{{{label}}}",
        r"\medskip",
        *([layout.type.command] if layout.type.command else []),
        rf"\begin{{tabular}}{{{''.join(map(_alignment, is_text, layout.widths))}}}",
        r"\toprule",
        " & ".join(headers) + end,
        r"\midrule",
        *(" & ".join(row) + end for row in zip(*columns, strict=True)),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _alignment(is_text: bool, width: float | None) -> str:
    """Numbers to the right, text to the left, long text in a column that breaks lines."""
    if width is not None:
        return rf"p{{{width:.2f}\linewidth}}"
    return "l" if is_text else "r"


def _header(lines: Sequence[str], is_text: bool) -> str:
    if len(lines) == 1:
        return escape(lines[0])
    stacked = r" \\ ".join(map(escape, lines))
    return rf"\shortstack[{'l' if is_text else 'r'}]{{{stacked}}}"


def _broken(text: str, characters: float) -> str:
    """Text of a column of so many characters, in lines; those of a long word end after a mark within it."""
    if len(text) <= characters:
        return escape(text)
    long = characters / 2
    words = (_BREAKS.sub(r"\1\\allowbreak{}", made) if len(made) > long else made for made in map(escape, text.split()))
    return rf"\raggedright {' '.join(words)}"


def _sentence(table: Table) -> str:
    return " ".join(f"{escape(part.removesuffix('.'))}." for part in (table.caption, table.note) if part)
