"""Networks that carry a replicate axis."""

from underlie.nn.layers import ACTIVATIONS, MLP, Affine
from underlie.nn.read import Read
from underlie.nn.replicates import Foreign, stack, take, tensors

__all__ = ["ACTIVATIONS", "MLP", "Affine", "Foreign", "Read", "stack", "take", "tensors"]
