"""Names of files that every system takes."""

from __future__ import annotations


def file_name(text: str) -> str:
    """A name made of letters, digits and hyphens.

    Examples
    --------
    >>> file_name("Ann / <b>"), file_name(" ")
    ('Ann----b', 'unnamed')
    """
    kept = "".join(letter if letter.isalnum() else "-" for letter in text[:80])
    return kept.strip("-") or "unnamed"
