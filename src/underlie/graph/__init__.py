"""The graph core: a model is two directed graphs, and objectives and queries are functions of them."""

from underlie.graph.batch import Batch
from underlie.graph.joint import Factor, Joint, LatentModel
from underlie.graph.labels import guide_log_prob, labelled_elbo
from underlie.graph.objectives import elbo, importance_bound, log_weights
from underlie.graph.prediction import hidden, predictive, predictive_elbo
from underlie.graph.query import Weighted, query

__all__ = [
    "Batch",
    "Factor",
    "Joint",
    "LatentModel",
    "Weighted",
    "elbo",
    "guide_log_prob",
    "hidden",
    "importance_bound",
    "labelled_elbo",
    "log_weights",
    "predictive",
    "predictive_elbo",
    "query",
]
