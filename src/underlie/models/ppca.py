"""Probabilistic PCA: the model, and its fits by eigendecomposition, EM, and variational Bayes.

    z ~ N(0, I_M)        x | z ~ N(W z + mean, s2 I_D)

Numerical core in float64; the scikit-learn face is `underlie.ProbabilisticPCA`.
"""

from __future__ import annotations

from underlie.models.linear_gaussian import LinearConditional, LinearGaussian
from underlie.models.ppca_closed_form import fit_closed_form, noise_floor
from underlie.models.ppca_em import EMResult, fit_em

__all__ = ["EMResult", "LinearConditional", "LinearGaussian", "fit_closed_form", "fit_em", "noise_floor"]
