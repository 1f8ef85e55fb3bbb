"""underlie: latent-variable models that a statistician can fit in one line and trust.

Every public name is reached from here (``import underlie as ul``). Names are imported
on first use, so that importing the package stays fast and pulls in no plotting code.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0.dev0"

#: public name -> module that defines it
_PUBLIC = {
    "ProbabilisticPCA": "underlie.estimators.ppca",
    "PPCAClassifier": "underlie.estimators.ppca_classifier",
    "NeuralClassifier": "underlie.estimators.neural_classifier",
    "VAE": "underlie.estimators.vae",
    "SemiSupervisedVAE": "underlie.estimators.semi_supervised_vae",
    "SurvivalVAE": "underlie.estimators.survival_vae",
    "load": "underlie.estimators.persistence",
    "Checkpoint": "underlie.engine.checkpoint",
    "Schema": "underlie.data.schema",
    "Surv": "underlie.data.surv",
    "mega": "underlie.check.mega",
    "MomentSums": "underlie.check.gaps.sums",
    "compare": "underlie.check.compare",
    "mmd": "underlie.check.mmd",
    "fit_mixtures": "underlie.check.mixtures",
    "selection_path": "underlie.check.selection",
    "alpha_path": "underlie.check.alpha_path",
    "survival_metrics": "underlie.check.survival",
    "compare_survival_models": "underlie.check.survival",
    "policy_value": "underlie.check.decisions",
    "evaluate_policy": "underlie.check.decisions",
    "benefit_calibration": "underlie.check.decisions",
    "decision_curve": "underlie.check.decisions",
    "query": "underlie.graph.query",
    "export": "underlie.exchange.export",
    "to_inference_data": "underlie.exchange.inference_data",
    "Report": "underlie.report.report",
}
_SUBPACKAGES = (
    "datasets",
    "plot",
    "report",
    "check",
    "graph",
    "distributions",
    "data",
    "nn",
    "engine",
    "callbacks",
    "exchange",
    "models",
    "sheets",
)

__all__ = ["__version__", *_PUBLIC, "datasets", "plot"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(_PUBLIC[name]), name)
        globals()[name] = value
        return value
    if name in _SUBPACKAGES:
        return importlib.import_module(f"underlie.{name}")
    raise AttributeError(f"module 'underlie' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
