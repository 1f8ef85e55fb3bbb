"""Which columns of a table are a model's, and what the others are: one answer for the page and for every command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from underlie.app.beside import Note

#: so many names are listed in a sentence
_MOST = 8


def own_columns(table: Any, model: Any, name: str) -> Any:
    """The columns that a model was fitted to, in their order; all of them where it was fitted to an array.

    Parameters
    ----------
    table : DataFrame
    model : fitted estimator
    name : str
        What messages call the table.

    Raises
    ------
    ValueError
        If some are not there; the message names them, and what they may be called here.
    """
    fitted = getattr(model, "feature_names_in_", None)
    if fitted is None:
        return table
    absent = [column for column in fitted if column not in table.columns]
    if not absent:
        return table[list(fitted)]
    names = _listed([repr(column) for column in absent])
    lacks = f"the column {names}" if len(absent) == 1 else f"{len(absent)} columns, {names}"
    raise ValueError(
        f"{name} lacks {lacks}, which the model was fitted to{_misspelt(absent, table)}; rename, or add a column with "
        "empty cells where nothing was measured. (more: underlie explain columns-differ)"
    )


def left_out(table: Any, model: Any, note: Note | None) -> str:
    """The columns that neither the model nor its note has a use for, in words; empty where there are none.

    Examples
    --------
    >>> import pandas as pd, underlie as ul
    >>> from underlie.app.beside import Note
    >>> table = pd.DataFrame({"id": ["a", "b", "c"], "x": [1.5, 2.0, 4.1], "y": [0.2, 0.1, 0.9], "ward": [1, 1, 2]})
    >>> model = ul.ProbabilisticPCA(1).fit(table[["x", "y"]])
    >>> left_out(table, model, Note("table.csv", dropped=("id",)))
    'columns left out: id (as in the fit), ward'
    """
    fitted = getattr(model, "feature_names_in_", None)
    if fitted is None:
        return ""
    used = {*fitted, *_columns_with_a_role(note)}
    dropped = () if note is None else note.dropped
    others = [f"{name} (as in the fit)" if name in dropped else str(name) for name in table.columns if name not in used]
    return f"columns left out: {_listed(others)}" if others else ""


def _columns_with_a_role(note: Note | None) -> Iterator[str]:
    if note is None:
        return
    yield from note.labels
    for said in (note.time, note.event, note.identifier):
        if said is not None:
            yield said
            yield said.rpartition("=")[0]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")


def _misspelt(absent: Sequence[str], table: Any) -> str:
    """What the first absent column may be called in the table, such as Age for age."""
    here = {str(name).strip().casefold(): str(name) for name in table.columns}
    close = get_close_matches(str(absent[0]).strip().casefold(), list(here), n=1, cutoff=0.75)
    return f" (is it {here[close[0]]!r}?)" if close else ""
