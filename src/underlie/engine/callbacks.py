"""What a user may listen to while a model is trained: the numbers of each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray


@final
@dataclass(frozen=True, eq=False)
class Epoch:
    """What a callback of ``fit`` is given, once before the first step and after each pass over the data.

    Attributes
    ----------
    number : int
        Of the epoch; 0 is the start, judged before any step.
    max_epochs : int
        How many there are at most.
    values : dict of str to array (n_replicates,)
        As the columns of ``history_``: ``train`` and ``valid``, mean objective per row in nats, on the scale of the
        data, and what else the model monitors. NaN for a replicate that has stopped; ``train`` is NaN at the start.
    best_epoch : array (n_replicates,)
        Epoch whose weights each replicate would keep if training ended now.
    running : array (n_replicates,) of bool
        Which replicates go on.
    about : mapping of str to str
        The class of the model, and its parameters as text.
    """

    number: int
    max_epochs: int
    values: Mapping[str, NDArray[np.float64]]
    best_epoch: NDArray[np.int_]
    running: NDArray[np.bool_]
    about: Mapping[str, str]


#: Called with each epoch; what it returns is not looked at.
Callback: TypeAlias = Callable[[Epoch], object]


def checked_callbacks(given: Any) -> tuple[Callback, ...]:
    """The callbacks that a user gave to ``fit``.

    Raises
    ------
    TypeError
        If they are no sequence of callables.
    """
    if given is None:
        return ()
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise TypeError(f"callbacks must be a list of functions of one epoch, got a {type(given).__name__}.")
    for position, one in enumerate(given):
        if not callable(one):
            raise TypeError(f"callbacks[{position}] is a {type(one).__name__}, which cannot be called with an epoch.")
    return tuple(given)
