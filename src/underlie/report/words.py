"""Numbers and names as they stand in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def p_said(p: float) -> str:
    """A p-value in a sentence.

    Examples
    --------
    >>> p_said(0.0312), p_said(0.0001)
    ('p = 0.031', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def p_as_share(p: float) -> str:
    """A p-value as a share of data sets.

    Examples
    --------
    >>> p_as_share(0.72), p_as_share(0.0001)
    ('72.0 %', 'less than 0.1 %')
    """
    return "less than 0.1 %" if p < 0.001 else f"{100 * p:.1f} %"


def percent(share: float | None) -> str:
    """A share in percent; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.1f} %"


def signed(value: float, decimals: int) -> str:
    """A number with its sign, a true minus.

    Examples
    --------
    >>> signed(-0.5, 1), signed(0.25, 2)
    ('−0.5', '+0.25')
    """
    return f"{value:+.{decimals}f}".replace("-", "−")


def listed(names: Sequence[str], last: str = "and", most: int = 5) -> str:
    """Names in a sentence, the first few of many.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b", "c"]), listed(list("abcdefg"), most=2)
    ('a', 'a, b and c', 'a, b and 5 more')
    """
    if len(names) > most:
        return ", ".join(names[:most]) + f" {last} {len(names) - most:,} more"
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" {last} {names[-1]}"
