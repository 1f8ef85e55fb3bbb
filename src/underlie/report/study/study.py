"""A survival study: patients, what became of them, what they received, and the time that is asked about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import pandas as pd

from underlie.report.time_unit import TimeUnit


@final
@dataclass(frozen=True)
class Study:
    """A survival study that can be fitted.

    Attributes
    ----------
    name : str
        Of the table.
    X : DataFrame (n, columns)
        Covariates and treatments.
    y : structured array (n,)
    patients : list of n str
        How they are called.
    event : str
        What the event is, in words of the table.
    treatments : tuple of str
    options : tuple of str
        Names of the treatments that can be compared, control first.
    received : list of n str
        Name of the treatment of each row; empty without treatments.
    horizon : float
        In the unit of y.
    """

    name: str
    X: pd.DataFrame
    y: Any
    patients: list[str]
    event: str
    treatments: tuple[str, ...]
    options: tuple[str, ...]
    received: list[str]
    horizon: float
    unit: TimeUnit
    min_gain: float
    randomised: bool
    kinds: dict[str | int, Any] = field(default_factory=dict)

    @property
    def at(self) -> str:
        """The horizon in words."""
        return self.unit.text(self.horizon)

    @property
    def control(self) -> str:
        """Name of the control."""
        return self.options[0]

    def label(self, option: str) -> str:
        """A treatment as it reads outside of a table: "horTh = yes"; combinations say their columns themselves."""
        return f"{self.treatments[0]} = {option}" if len(self.treatments) == 1 else option
