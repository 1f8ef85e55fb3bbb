"""Networks that carry a replicate axis."""

from underlie.nn.joined import Concatenated, Joined
from underlie.nn.layers import ACTIVATIONS, MLP, Affine
from underlie.nn.lenet import LeNet5
from underlie.nn.read import Read
from underlie.nn.regression import Outcome, Regression, treatment_terms
from underlie.nn.replicates import Foreign, fill, filled, stack, take, tensors

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "Affine",
    "Concatenated",
    "Foreign",
    "Joined",
    "LeNet5",
    "Outcome",
    "Read",
    "Regression",
    "fill",
    "filled",
    "stack",
    "take",
    "tensors",
    "treatment_terms",
]
