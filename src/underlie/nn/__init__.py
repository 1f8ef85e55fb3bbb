"""Networks that carry a replicate axis."""

from underlie.nn.layers import ACTIVATIONS, MLP, Affine
from underlie.nn.read import Read
from underlie.nn.regression import Outcome, Regression, treatment_terms
from underlie.nn.replicates import Foreign, fill, stack, take, tensors

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "Affine",
    "Foreign",
    "Outcome",
    "Read",
    "Regression",
    "fill",
    "stack",
    "take",
    "tensors",
    "treatment_terms",
]
