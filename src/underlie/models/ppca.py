"""Probabilistic PCA: the model, and its fits by eigendecomposition, EM, and variational Bayes.

    z ~ N(0, I_M)        x | z ~ N(W z + mean, s2 I_D)

Numerical core in float64; the scikit-learn face is `underlie.ProbabilisticPCA`.
"""

from __future__ import annotations

from underlie.models.linear_gaussian import LinearConditional, LinearGaussian
from underlie.models.ppca_ard import ARDResult, fit_ard
from underlie.models.ppca_closed_form import fit_closed_form, noise_floor
from underlie.models.ppca_em import EMResult, fit_em
from underlie.models.ppca_rank import RankSelection, bic, n_parameters, select_rank

__all__ = [
    "ARDResult",
    "EMResult",
    "LinearConditional",
    "LinearGaussian",
    "RankSelection",
    "bic",
    "fit_ard",
    "fit_closed_form",
    "fit_em",
    "n_parameters",
    "noise_floor",
    "select_rank",
]
