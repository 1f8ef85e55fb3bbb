"""Schatten norms of a gap, unfolded to a matrix, and their gradients for the delta method."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Norm = Literal["fro", "op", "nuc"] | float
_SCHATTEN = {"fro": 2.0, "nuc": 1.0, "op": np.inf}


def schatten_exponent(norm: Norm) -> float:
    """Exponent q of the Schatten norm that `norm` names: "nuc" is 1, "fro" is 2, "op" is infinity.

    Raises
    ------
    ValueError
        When `norm` is neither one of the three names nor a number of at least 1.
    """
    if isinstance(norm, str) or norm is None:
        if norm not in _SCHATTEN:
            raise ValueError(f"norm={norm!r} is not known; use 'fro', 'op', 'nuc' or a Schatten exponent of at least 1")
        return _SCHATTEN[norm]
    exponent = float(norm)
    if not exponent >= 1.0:
        raise ValueError(f"norm={norm!r}: a Schatten exponent must be at least 1, below that it is not a norm")
    return exponent


def schatten_norm(matrix: Array, norm: Norm) -> float:
    """(sum_i s_i^q)^(1/q) over the singular values of a matrix; "fro" needs none of them."""
    exponent = schatten_exponent(norm)
    if exponent == 2.0 or matrix.shape[1] == 1:
        return float(np.linalg.norm(matrix))
    return float(np.linalg.norm(np.linalg.svd(matrix, compute_uv=False), ord=exponent))


def norm_gradient(matrix: Array, norm: Norm) -> Array:
    """Gradient of `schatten_norm`; zeros where the matrix is zero.

    With the singular value decomposition U diag(s) V' it is U diag(s^(q-1)) V' / norm^(q-1); for the operator norm,
    the outer product of the leading singular vectors.
    """
    exponent = schatten_exponent(norm)
    size = schatten_norm(matrix, norm)
    if size == 0.0:
        return np.zeros_like(matrix)
    if exponent == 2.0 or matrix.shape[1] == 1:
        return matrix / size
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    if np.isinf(exponent):
        return np.outer(left[:, 0], right[0])
    return np.asarray((left * (values / size) ** (exponent - 1.0)) @ right)
