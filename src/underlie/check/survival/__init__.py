"""Is a survival prediction right? Brier score, concordance and calibration of censored outcomes, with intervals."""

from __future__ import annotations

from underlie.check.survival.comparison import compare_survival
from underlie.check.survival.intervals import Estimate, EstimateCurve
from underlie.check.survival.metrics import SurvivalMetrics, survival_metrics

__all__ = ["Estimate", "EstimateCurve", "SurvivalMetrics", "compare_survival", "survival_metrics"]
