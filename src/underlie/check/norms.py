"""Norms of a symmetric gap matrix, and their gradients for the delta method."""

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
    if isinstance(norm, str):
        if norm not in _SCHATTEN:
            raise ValueError(f"norm={norm!r} is not known; use 'fro', 'op', 'nuc' or a Schatten exponent of at least 1")
        return _SCHATTEN[norm]
    exponent = float(norm)
    if not exponent >= 1.0:
        raise ValueError(f"norm={norm!r}: a Schatten exponent must be at least 1, below that it is not a norm")
    return exponent


def symmetric_norm(matrix: Array, norm: Norm) -> float:
    """Schatten norm (sum_i |lambda_i|^q)^(1/q) of a symmetric matrix (P, P); "fro" needs no eigenvalues."""
    exponent = schatten_exponent(norm)
    if exponent == 2.0:
        return float(np.linalg.norm(matrix))
    return float(np.linalg.norm(np.linalg.eigvalsh(matrix), ord=exponent))


def norm_gradient(matrix: Array, norm: Norm) -> Array:
    """Gradient of `symmetric_norm` at a symmetric matrix (P, P); zeros where the matrix is zero.

    With eigenvalues l and eigenvectors V it is V diag(sign(l) |l|^(q-1)) V' / norm^(q-1); for the operator norm, the
    outer product of the leading eigenvector times the sign of its eigenvalue.
    """
    exponent = schatten_exponent(norm)
    size = symmetric_norm(matrix, norm)
    if size == 0.0:
        return np.zeros_like(matrix)
    if exponent == 2.0:
        return matrix / size
    values, vectors = np.linalg.eigh(matrix)
    if np.isinf(exponent):
        top = int(np.argmax(np.abs(values)))
        return np.asarray(np.sign(values[top]) * np.outer(vectors[:, top], vectors[:, top]))
    weights = np.sign(values) * (np.abs(values) / size) ** (exponent - 1.0)
    return np.asarray((vectors * weights) @ vectors.T)
