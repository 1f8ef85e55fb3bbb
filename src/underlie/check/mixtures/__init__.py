"""Gaussian mixtures over numbers of components and covariance structures, and the choice among them."""

from __future__ import annotations

from underlie.check.mixtures.bootstrap import BootstrapTest
from underlie.check.mixtures.grid import fit_mixtures
from underlie.check.mixtures.result import MixtureSelection

__all__ = ["BootstrapTest", "MixtureSelection", "fit_mixtures"]
