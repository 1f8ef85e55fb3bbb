"""Networks that carry a replicate axis."""

from underlie.nn.layers import ACTIVATIONS, MLP, Affine
from underlie.nn.read import Read
from underlie.nn.replicates import Foreign, fill, stack, take, tensors

__all__ = ["ACTIVATIONS", "MLP", "Affine", "Foreign", "Read", "fill", "stack", "take", "tensors"]
