"""Is a survival prediction right? Brier score, concordance and calibration of censored outcomes, with intervals."""

from __future__ import annotations

from underlie.check.survival.baselines import CoxRegression, KaplanMeier, WeibullRegression
from underlie.check.survival.comparison import compare_survival
from underlie.check.survival.cross_validation import compare_survival_models
from underlie.check.survival.intervals import Estimate, EstimateCurve
from underlie.check.survival.metrics import SurvivalMetrics, survival_metrics
from underlie.check.survival.model_comparison import SurvivalModelComparison

__all__ = [
    "CoxRegression",
    "Estimate",
    "EstimateCurve",
    "KaplanMeier",
    "SurvivalMetrics",
    "SurvivalModelComparison",
    "WeibullRegression",
    "compare_survival",
    "compare_survival_models",
    "survival_metrics",
]
