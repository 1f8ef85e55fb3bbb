"""Likelihood heads: what turns a network's raw output into a distribution of the columns.

A head is an ``nn.Module`` on ``width`` columns (`Likelihood` states what it offers). `likelihood_for` chooses the head
of a table from its schema.
"""

from __future__ import annotations

from underlie.distributions.base import Likelihood
from underlie.distributions.bernoulli import Bernoulli
from underlie.distributions.categorical import Categorical
from underlie.distributions.choose import DEFAULTS, KINDS, kinds_for, likelihood_for, settled
from underlie.distributions.continuous_bernoulli import ContinuousBernoulli
from underlie.distributions.counts import NegativeBinomial, Poisson
from underlie.distributions.events import (
    EVENT_TIMES,
    EventTime,
    LogLocationScale,
    LogLocationScaleMixture,
    PiecewiseExponential,
    conditional_log_survival,
    conditional_quantile,
    conditional_sample,
    event_time,
    hazard_cuts,
)
from underlie.distributions.latent import Gaussian, StandardNormal
from underlie.distributions.normal import Normal
from underlie.distributions.ordinal import Ordinal
from underlie.distributions.positive import Exponential, LogNormal
from underlie.distributions.product import Product
from underlie.distributions.student_t import StudentT

__all__ = [
    "Likelihood",
    "Normal",
    "StudentT",
    "LogNormal",
    "Exponential",
    "ContinuousBernoulli",
    "Bernoulli",
    "Categorical",
    "Ordinal",
    "Poisson",
    "NegativeBinomial",
    "Product",
    "EventTime",
    "LogLocationScale",
    "LogLocationScaleMixture",
    "PiecewiseExponential",
    "event_time",
    "EVENT_TIMES",
    "hazard_cuts",
    "conditional_log_survival",
    "conditional_quantile",
    "conditional_sample",
    "StandardNormal",
    "Gaussian",
    "likelihood_for",
    "kinds_for",
    "settled",
    "KINDS",
    "DEFAULTS",
]
