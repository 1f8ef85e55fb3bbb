r"""Tables of a document as LaTeX with booktabs, for a paper: ``\usepackage{booktabs}`` is all they need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from underlie.report.document import Section, Table
from underlie.report.numbers import best_rows, format_column

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
    **{raised: f"$^{{{plain}}}$" for raised, plain in zip("⁻⁰¹⁴⁵⁶⁷⁸⁹", "-01456789", strict=True)},
}
_MATHS_JOINED: Final = (("}$$^{", ""),)
#: a column of text this wide (in characters) is broken into lines
_WIDE: Final = 46


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

    Examples
    --------
    >>> print(escape("a_b & 50 % × 10⁻⁵"))
    a\\_b \\& 50 \\% $\\times$ 10$^{-5}$
    """
    made = "".join(_TEXT.get(character, character) for character in " ".join(text.split()))
    for joint, nothing in _MATHS_JOINED:
        made = made.replace(joint, nothing)
    return made


def _table(table: Table, label: str) -> str:
    columns = []
    for j, column in enumerate(table.columns):
        cells = [row[j] for row in table.rows]
        best = best_rows(column, cells)
        texts = [escape(text) for text in format_column(column, cells)]
        columns.append([rf"\textbf{{{text}}}" if i in best else text for i, text in enumerate(texts)])
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_sentence(table)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{''.join(map(_alignment, range(len(columns)), [table] * len(columns)))}}}",
        r"\toprule",
        " & ".join(escape(column.header) for column in table.columns) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in zip(*columns, strict=True)),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _alignment(j: int, table: Table) -> str:
    """Numbers to the right, text to the left, long text in a column that breaks lines."""
    if table.columns[j].kind != "text":
        return "r"
    longest = max((len(str(row[j])) for row in table.rows), default=0)
    return r"p{0.55\linewidth}" if longest > _WIDE else "l"


def _sentence(table: Table) -> str:
    return " ".join(f"{escape(part.removesuffix('.'))}." for part in (table.caption, table.note) if part)
