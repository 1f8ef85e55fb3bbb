"""What is refused before any work: requests that cannot be met, data that identify no moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, final

import numpy as np

from underlie.check.adapters import MomentModel
from underlie.check.gaps.monomials import monomials, n_monomials
from underlie.check.gaps.result import OrderGap
from underlie.check.gaps.sums import MomentSums
from underlie.check.norms import Norm, schatten_exponent

MOST_ENTRIES = 2 * 10**6
_MOST_ENTRIES_EVER = 5 * 10**7
_HIGHEST_ORDER = 4


@final
@dataclass(frozen=True, eq=False)
class Request:
    """What of the gaps is asked for, checked; see `underlie.mega`."""

    order: int
    norm: Norm
    n_draws: int
    n_bootstrap: int
    refit: bool
    rng: np.random.Generator


def check_request(order: Any, norm: Norm, form: str, n_draws: Any, n_bootstrap: Any) -> int:
    """The order as an int, when all of these can be met.

    Raises
    ------
    ValueError
        Naming the argument otherwise.
    """
    if not _whole(order) or not 1 <= order <= _HIGHEST_ORDER:
        raise ValueError(f"order={order!r} is not supported; use 1 (means), 2, 3 or 4: higher moments are mostly noise")
    if form not in ("auto", "tensor", "gram"):
        raise ValueError(f"form={form!r} is not known; use 'auto', 'tensor' or 'gram'")
    if not (isinstance(n_draws, str) and n_draws == "auto") and not (_whole(n_draws) and n_draws >= 2):
        raise ValueError(f"n_draws={n_draws!r}: give 'auto', or a number of latent draws of at least 2")
    if not _whole(n_bootstrap) or n_bootstrap < 0 or n_bootstrap == 1:
        raise ValueError(f"n_bootstrap={n_bootstrap!r}: give 0 for no p-value, or a number of at least 2, such as 199")
    schatten_exponent(norm)
    return int(order)


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_refit(view: MomentModel, n_bootstrap: int, function: Callable[..., Any] | None) -> None:
    """Refuse refit=True where there is nothing to fit.

    Raises
    ------
    ValueError
        Naming what stands in the way.
    """
    if not n_bootstrap:
        raise ValueError("refit=True needs n_bootstrap data sets to fit the model to; leave n_bootstrap at 199")
    if function is not None:
        raise ValueError("refit=True is not possible with function=...: the model is fitted to x, not to g(x)")
    if view.is_sample:
        raise ValueError("refit=True needs a model that can be fitted, but model is an array of draws; use refit=False")
    if not view.can_sample:
        raise ValueError("refit=True needs data sets drawn from the model, but it has no sample(n, random_state)")


def check_function(function: object) -> None:
    """Refuse what cannot be called.

    Raises
    ------
    TypeError
        When that is so.
    """
    if not callable(function):
        raise TypeError(f"function={function!r}: give a callable from rows (n, P) to (n, G), such as np.log")


def check_finite(found: Mapping[int, OrderGap]) -> None:
    """Refuse gaps that are too large for numbers.

    Raises
    ------
    ValueError
        Naming the order.
    """
    for order, one in found.items():
        if not np.isfinite(one.value):
            raise ValueError(
                f"the moments of order {order} are too large for numbers; use standardize=True, or a lower order"
            )


def check_gram(norm: Norm, refit: bool, n_entries: int) -> None:
    """Refuse what the Gram form cannot do.

    Raises
    ------
    ValueError
        Naming the argument and the remedy.
    """
    remedy = 'form="tensor"' if n_entries <= MOST_ENTRIES else f"a lower order (this one has {n_entries:.2g} entries)"
    if schatten_exponent(norm) != 2.0:
        raise ValueError(f'norm={norm!r} is not known from inner products (form="gram"); use norm="fro" or {remedy}')
    if refit:
        raise ValueError(f'refit=True is not possible with inner products (form="gram"); use refit=False or {remedy}')


def check_entries(width: int, order: int) -> None:
    """Refuse more entries than can be held.

    Raises
    ------
    ValueError
        Naming the remedy.
    """
    if (entries := n_monomials(width, order)) > _MOST_ENTRIES_EVER:
        raise ValueError(
            f"order={order} has {entries:.2g} distinct entries in {width:,} columns; use a lower order, or mega on the "
            'rows with form="gram"'
        )


def check_identified(data: MomentSums) -> None:
    """Refuse data with an entry that rests on fewer than two rows.

    Raises
    ------
    ValueError
        Naming the columns.
    """
    for order, counts in enumerate(data.counts, start=1):
        if (counts < 2).any():
            entry = int(np.argmin(counts))
            names = [repr(data.names[j]) for j in dict.fromkeys(monomials(len(data.names), order).columns[entry])]
            if len(names) == 1:
                raise ValueError(
                    f"X: column {names[0]} has {int(counts[entry])} value(s), at least 2 are needed; leave it out"
                )
            raise ValueError(
                f"X: columns {', '.join(names[:-1])} and {names[-1]} are seen together in {int(counts[entry])} row(s), "
                f"so their joint moment is not identified; leave one out, or use order={order - 1}"
            )
