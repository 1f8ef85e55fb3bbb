"""The scores of one fitted model on the test rows of one split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from underlie.check.survival.auc import auc_at
from underlie.check.survival.bench import Bench
from underlie.check.survival.brier import brier_losses, integrate
from underlie.check.survival.calibration import observed_by_kaplan_meier, observed_by_weights
from underlie.check.survival.concordance import concordance_by_curve, concordance_by_risk
from underlie.check.survival.curves import Curves, read_curves
from underlie.check.survival.d_calibration import d_calibration
from underlie.check.survival.metrics import N_BINS
from underlie.check.survival.outcomes import Outcome

Array = NDArray[np.float64]
ALPHA = 0.05


@final
class Judged:
    """Predictions of one model on a bench, and what follows from them."""

    def __init__(self, bench: Bench, survival: Array | None, risk: Array | None, name: str) -> None:
        self.bench = bench
        self.setting = bench.setting
        n = len(self.setting.test)
        self._curves = None if survival is None else read_curves(survival, self.setting.times, n, f"survival of {name}")
        self._risk = risk

    @property
    def has_curves(self) -> bool:
        """Whether the model predicts survival, or only ranks rows."""
        return self._curves is not None

    @property
    def test(self) -> Outcome:
        """Outcomes of the test rows."""
        return self.setting.test

    @property
    def curves(self) -> Curves:
        """Predicted survival."""
        if self._curves is None:
            raise AssertionError("the model has no survival curves")
        return self._curves

    @cached_property
    def risk(self) -> Array:
        """What is ranked: minus the restricted mean up to the end of the grid, so that models answer one question."""
        if self._curves is not None:
            return -self._curves.restricted_mean(float(self.bench.grid[-1]))
        risk = np.asarray(self._risk, dtype=np.float64)
        if risk.shape != (len(self.test),) or not np.isfinite(risk).all():
            raise ValueError(f"predict must give one finite number per row, ({len(self.test)},); it gave {risk.shape}")
        return risk

    @cached_property
    def event_probability(self) -> Array:
        """Predicted probability of an event by the horizon."""
        return 1 - self.curves.at(np.array([self.setting.horizon]))[0]

    @cached_property
    def concordance(self) -> tuple[float, float]:
        """Harrell's and Uno's C."""
        s = self.setting
        truncation = float(np.nextafter(s.end, np.inf))
        harrell, uno = concordance_by_risk(s.pairs, s.test, self.risk, s.weights, truncation)
        return float(harrell[0]), float(uno[0])

    @cached_property
    def d_calibration_p(self) -> float:
        """p-value of the test of D-calibration."""
        return d_calibration(self.curves, self.test, self.setting.counts, N_BINS, 0.95).p_value

    def brier(self, times: Array) -> float:
        """Brier score, integrated where there are several times."""
        losses = brier_losses(self.curves, self.test, self.setting.weights, times)
        return float((losses[:, 0] if len(times) == 1 else integrate(losses, times)).mean())

    def calibration(self) -> float:
        """Mean predicted risk at the horizon minus 1 - Kaplan-Meier."""
        observed = observed_by_kaplan_meier(self.test, self.setting.horizon, self.setting.counts)[0]
        return float(self.event_probability.mean() - observed)

    def weighted_calibration(self) -> float:
        """The same with the observed share from censoring weights."""
        s = self.setting
        return float(self.event_probability.mean() - observed_by_weights(s.test, s.weights, s.horizon, s.counts)[0])


@final
@dataclass(frozen=True)
class Metric:
    """A number by which models are compared.

    Attributes
    ----------
    label : str
        What it is called on figures.
    better : "lower", "higher" or None
        Which way is better; None where neither is (0 is right, or it is a p-value).
    of : function of Judged -> float
    curves : bool
        Whether it needs survival curves.
    """

    label: str
    better: Literal["lower", "higher"] | None
    of: Callable[[Judged], float]
    curves: bool = True


def _integrated(judged: Judged) -> float:
    return judged.brier(judged.bench.grid) if len(judged.bench.grid) > 1 else np.nan


def _antolini(judged: Judged) -> float:
    return float(concordance_by_curve(judged.setting.pairs, judged.test, judged.curves)[0])


def _auc(judged: Judged) -> float:
    s = judged.setting
    return float(auc_at(judged.event_probability, s.test, s.weights, s.horizon, s.counts)[0])


METRICS: dict[str, Metric] = {
    "integrated_brier": Metric("integrated Brier score", "lower", _integrated),
    "brier_at_horizon": Metric(
        "Brier score at the horizon", "lower", lambda judged: judged.brier(np.array([judged.setting.horizon]))
    ),
    "antolini": Metric("Antolini's time-dependent C", "higher", _antolini),
    "harrell": Metric("Harrell's C", "higher", lambda judged: judged.concordance[0], curves=False),
    "uno": Metric("Uno's C", "higher", lambda judged: judged.concordance[1], curves=False),
    "auc_at_horizon": Metric("AUC at the horizon", "higher", _auc),
    "calibration_in_the_large": Metric("predicted − observed risk at the horizon", None, Judged.calibration),
    "absolute_calibration_in_the_large": Metric(
        "|predicted − observed risk| at the horizon", "lower", lambda judged: abs(judged.calibration())
    ),
    "weighted_calibration_in_the_large": Metric(
        "predicted − observed risk (weighted) at the horizon", None, Judged.weighted_calibration
    ),
    "d_calibration_p": Metric("p-value of D-calibration", None, lambda judged: judged.d_calibration_p),
    "d_calibration_rejected": Metric(
        "D-calibration rejected at 5 %", "lower", lambda judged: float(judged.d_calibration_p < ALPHA)
    ),
}


def scores(judged: Judged, metrics: tuple[str, ...]) -> dict[str, float]:
    """Those of the metrics that the model's predictions allow."""
    return {name: METRICS[name].of(judged) for name in metrics if judged.has_curves or not METRICS[name].curves}
