"""What a survival model says of one patient: curves, survival at the horizon, gains, and a recommendation."""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, final

import numpy as np
from numpy.typing import NDArray

from underlie.app.form.entry import row_of
from underlie.app.survival.question import Arm, has_doses
from underlie.estimators.survival_effects import band, chosen_by_gain, supported_by_data, with_interval
from underlie.estimators.survival_predictor import Patients
from underlie.report.document import Interval
from underlie.warnings import UnderlieWarning

Floats = NDArray[np.float64]

#: points of a drawn curve; quantiles are read off between them
_N_TIMES: Final = 201
#: patients whose curves are kept
_KEPT: Final = 64
QUANTILES: Final = (0.25, 0.5, 0.75)


@final
@dataclass(frozen=True, eq=False)
class Curve:
    """Survival of one patient under one treatment, with the ends of its pointwise 95 % interval, (n_times,) each."""

    arm: str
    times: Floats
    value: Floats
    lower: Floats
    upper: Floats

    def quantile(self, p: float) -> float:
        """Time by which a share p is expected to have had the event; infinite when it is later than the curve."""
        reached = self.value <= 1.0 - p
        if not reached.any():
            return float("inf")
        i = int(reached.argmax())
        if i == 0:
            return float(self.times[0])
        above, below = self.value[i - 1], self.value[i]
        share = (above - (1.0 - p)) / (above - below)
        return float(self.times[i - 1] + share * (self.times[i] - self.times[i - 1]))


@final
@dataclass(frozen=True)
class Outlook:
    """One treatment of one patient at the horizon; probabilities between 0 and 1.

    Attributes
    ----------
    arm : Arm or None
        None for a model without treatments.
    survival : Interval
    gain : Interval or None
        Over the control; None for the control itself.
    propensity : float or None
        Share of patients like this one who received it; None for a dose.
    supported : bool
        Whether the data hold enough of them.
    """

    arm: Arm | None
    survival: Interval
    gain: Interval | None = None
    propensity: float | None = None
    supported: bool = True


@final
@dataclass(frozen=True)
class Advice:
    """A recommendation, or why there is none.

    Attributes
    ----------
    kind : {"other", "control", "withheld", "impossible"}
        Another treatment than the control; the control; withheld for this patient; this model gives none to anybody.
    arm : str
        Name of what is recommended; empty where nothing is.
    """

    kind: Literal["other", "control", "withheld", "impossible"]
    arm: str = ""


@final
@dataclass(frozen=True, eq=False)
class _Known:
    """A patient under each treatment in a row of their own; survival by member, (R, arms), at the last horizon."""

    rows: Patients
    curves: tuple[Curve, ...]
    shares: Mapping[str, float]
    supported: NDArray[np.bool_]
    horizon: float
    at_horizon: Floats


@final
class Asker:
    """A survival model, asked about one patient at a time: what `treatment_effect` and `recommend` say, in one pass.

    Curves of the last patients are kept, so that moving the horizon costs one evaluation for each treatment.

    Parameters
    ----------
    model : SurvivalVAE
    arms : sequence of Arm
        What is compared; none for a model without treatments.
    """

    def __init__(self, model: Any, arms: Sequence[Arm]) -> None:
        self.model, self.arms = model, tuple(arms)
        self.has_intervals = model.n_replicates > 1
        self.has_doses = has_doses(model)
        self.times = np.linspace(0.0, model.follow_up_, _N_TIMES)
        self._kept: OrderedDict[tuple[Any, ...], _Known] = OrderedDict()
        self._lock = threading.Lock()

    def curves(self, patient: Mapping[str, Any]) -> tuple[Curve, ...]:
        """Survival under each treatment."""
        return self._known(patient, None).curves

    def outlooks(self, patient: Mapping[str, Any], horizon: float, control: str) -> tuple[Outlook, ...]:
        """Survival at the horizon under each treatment, and what each gains over the control."""
        known = self._known(patient, horizon)
        by_member = known.at_horizon
        survival = [Interval(*map(float, ends)) for ends in zip(*band(by_member, 0.95), strict=True)]
        if not self.arms:
            return (Outlook(None, survival[0]),)
        gains = with_interval("gain", by_member - by_member[:, [self._place(control)]], 0.95).to_numpy()
        return tuple(
            Outlook(
                arm=arm,
                survival=alive,
                gain=None if arm.name == control else Interval(*map(float, gain)),
                propensity=known.shares.get(arm.name),
                supported=bool(supported),
            )
            for arm, alive, gain, supported in zip(self.arms, survival, gains, known.supported, strict=True)
        )

    def advice(self, patient: Mapping[str, Any], horizon: float, control: str, min_gain: float) -> Advice:
        """What the model recommends, by the rule of `SurvivalVAE.recommend`."""
        if not self.arms or not self.has_intervals or self.has_doses:
            return Advice("impossible")
        known, at = self._known(patient, horizon), self._place(control)
        by_member = known.at_horizon
        gains = (by_member - by_member[:, [at]]).mean(0)
        chosen, confirmed = chosen_by_gain(gains[:, None], known.supported[:, None], at, min_gain)
        if not confirmed[0]:
            return Advice("withheld")
        return Advice("control" if chosen[0] == at else "other", self.arms[chosen[0]].name)

    # ---- parts ----
    def _known(self, patient: Mapping[str, Any], horizon: float | None) -> _Known:
        """What is kept of a patient, asked for at another horizon where that is another than last time."""
        key = tuple(patient.items())
        with self._lock:
            known = self._kept.pop(key, None)
            if known is None:
                known = self._look_at(patient, float(self.times[-1]) if horizon is None else horizon)
            elif horizon is not None and horizon != known.horizon:
                found = self.model._predictor.by_replicate(known.rows, np.array([horizon]))
                known = replace(known, horizon=horizon, at_horizon=found[..., 0])
            self._kept[key] = known
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return known

    def _look_at(self, patient: Mapping[str, Any], horizon: float) -> _Known:
        table = row_of(self.model.encoder_, [patient] * max(1, len(self.arms)))
        with _quiet():
            rows = self.model._asked(table, _together([arm.option for arm in self.arms]) if self.arms else None)
            by_member = self.model._predictor.by_replicate(rows, np.append(self.times, horizon))
            shares, supported = self._support(rows)
        value, lower, upper = band(by_member[..., :-1], 0.95)
        names = [arm.name for arm in self.arms] or [""]
        curves = tuple(Curve(name, self.times, value[i], lower[i], upper[i]) for i, name in enumerate(names))
        return _Known(rows, curves, shares, supported, horizon, by_member[..., -1])

    def _support(self, rows: Patients) -> tuple[dict[str, float], NDArray[np.bool_]]:
        """Share of patients like this one who received each treatment, but for doses; whether it is enough."""
        if not self.arms:
            return {}, np.ones(1, dtype=bool)
        supported = supported_by_data(self.model, [rows], [_together([arm.option for arm in self.arms])])[0]
        if any(column.levels is None for column in self.model._rows.treatment_encoder.schema):
            return {}, supported
        shares = np.exp(self.model._predictor.log_propensity(rows).sum(1))
        return {arm.name: float(share) for arm, share in zip(self.arms, shares, strict=True)}, supported

    def _place(self, control: str) -> int:
        return [arm.name for arm in self.arms].index(control)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings: what they say of odd cells, the form has said of the patient at hand."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnderlieWarning)
        yield


def _together(options: Sequence[Any]) -> Any:
    """Treatments for rows one by one, as the model's methods take them."""
    if isinstance(options[0], dict):
        return {name: [option[name] for option in options] for name in options[0]}
    return np.array(options, dtype=object)
