"""Sets of quasi-random normal draws, independent of each other: their spread tells the error of their mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

__all__ = ["quasi_normal_batches"]

Floats = NDArray[np.float64]
_BITS = 30


def quasi_normal_batches(n_batches: int, n: int, width: int, rng: np.random.Generator) -> Floats:
    """Independent sets of n standard normal draws, each of scrambled Sobol points: (n_batches, n, width).

    The points are made once. In every set each axis has a random lower triangular matrix over the two-element field
    applied to its binary digits, and then a random digital shift, so that one set is as good as another, and every
    point is uniform (Matoušek 1998). Beyond 21,201 axes the draws are independent.

    Parameters
    ----------
    n_batches, n, width : int
        n serves best as a power of two.
    rng : numpy Generator

    References
    ----------
    Matoušek, J. (1998). On the L2-discrepancy for anchored boxes. Journal of Complexity 14, 527-556.

    Examples
    --------
    >>> draws = quasi_normal_batches(3, 64, 2, np.random.default_rng(0))
    >>> draws.shape, bool(np.abs(draws.mean(axis=1)).max() < 0.05)
    ((3, 64, 2), True)
    """
    if width > qmc.Sobol.MAXDIM:
        return rng.standard_normal((n_batches, n, width))
    n_digits = max(0, (n - 1).bit_length())
    points = qmc.Sobol(width, scramble=False).random_base2(n_digits)[:n].T
    digits = (points * 2.0**n_digits).astype(np.int64)
    scrambled = np.repeat(rng.integers(1 << _BITS, size=(n_batches, width, 1)), n, axis=2)
    for digit in range(n_digits):
        # a column of the matrix: one on the diagonal, anything below it
        place = 1 << (_BITS - 1 - digit)
        column = place + rng.integers(place, size=(n_batches, width, 1))
        scrambled ^= (digits >> (n_digits - 1 - digit) & 1) * column
    draws: Floats = ndtri((scrambled + 0.5) / (1 << _BITS))
    return draws.transpose(0, 2, 1)
