"""Figures: one function each, which returns matplotlib Axes, or a Figure where it draws several panels.

None of them shows a window; in a script call ``matplotlib.pyplot.show()`` or save ``ax.figure``.
"""

from __future__ import annotations

from underlie.plot.alpha import alpha_path
from underlie.plot.decisions import benefit_calibration, decision_curve, policy_values, predicted_benefit
from underlie.plot.errors import imputation
from underlie.plot.gaps import gap_heatmap
from underlie.plot.graphs import graph
from underlie.plot.images import image_grid, samples, samples_means_sds
from underlie.plot.label_and_style import interpolation, real_and_generated, restyled, styles, traversal
from underlie.plot.latent import decoded_grid, latent, latent_and_grid
from underlie.plot.probabilities import reliability
from underlie.plot.selection import mixture_criteria, selection_path
from underlie.plot.spectrum import scree
from underlie.plot.survival import survival_calibration, survival_curves
from underlie.plot.survival_scores import survival_boxplots
from underlie.plot.training import training_curves

__all__ = [
    "alpha_path",
    "benefit_calibration",
    "decision_curve",
    "decoded_grid",
    "gap_heatmap",
    "graph",
    "image_grid",
    "imputation",
    "interpolation",
    "latent",
    "latent_and_grid",
    "mixture_criteria",
    "policy_values",
    "predicted_benefit",
    "real_and_generated",
    "reliability",
    "restyled",
    "samples",
    "samples_means_sds",
    "scree",
    "selection_path",
    "styles",
    "survival_boxplots",
    "survival_calibration",
    "survival_curves",
    "training_curves",
    "traversal",
]
