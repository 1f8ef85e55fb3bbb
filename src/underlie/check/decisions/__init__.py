"""Are treatment decisions right? Value of rules, calibration of predicted benefit, net benefit of acting on a risk."""

from __future__ import annotations

from underlie.check.decisions.benefit import BenefitCalibration, benefit_calibration
from underlie.check.decisions.crossfit import PolicyEvaluation, evaluate_policy
from underlie.check.decisions.net_benefit import DecisionCurve, decision_curve
from underlie.check.decisions.policy import PolicyValue, policy_value

__all__ = [
    "BenefitCalibration",
    "DecisionCurve",
    "PolicyEvaluation",
    "PolicyValue",
    "benefit_calibration",
    "decision_curve",
    "evaluate_policy",
    "policy_value",
]
