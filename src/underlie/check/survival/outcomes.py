"""Right-censored outcomes, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from underlie.data.surv import as_surv

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@final
@dataclass(frozen=True)
class Outcome:
    """Follow-up of n rows: `time` (n,), until the event where `event` (n,) is true, until censoring elsewhere."""

    event: Mask
    time: Array

    def __len__(self) -> int:
        return len(self.time)


def read_outcome(y: object, name: str) -> Outcome:
    """The event indicator and the time of an outcome in any form that `as_surv` reads; `name` is how errors call it.

    Raises
    ------
    TypeError
        When `y` is no outcome.
    ValueError
        When there is no row, a time is negative, infinite or missing, or rows are left-truncated or interval-censored,
        for which these metrics are not defined.
    """
    try:
        values = as_surv(y)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} cannot be read as an outcome: {error}") from error
    event, time = values["event"].astype(np.bool_), values["time"].astype(np.float64)
    names = values.dtype.names or ()
    if "entry" in names:
        _refuse(values["entry"] > 0, name, "left-truncated")
    if "upper" in names:
        _refuse(event & (values["upper"] > time), name, "interval-censored")
    return Outcome(event, time)


def _refuse(rows: Mask, name: str, what: str) -> None:
    if rows.any():
        raise ValueError(
            f"{name} has {int(rows.sum())} {what} row(s), the first row {int(np.flatnonzero(rows)[0])}: these metrics "
            "are for right-censored rows; leave these out, or compare models by their log-likelihood"
        )
