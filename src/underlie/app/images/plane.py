"""Two axes through a latent space: coordinates of their own, or principal axes of the encoded rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Axes:
    """All axes to choose from: principal axes of the encodings first, then the coordinates.

    A place z has on axis j the position :math:`u_j^T (z - o_j)`, with unit vectors u and origins o.

    Attributes
    ----------
    names : tuple of str
    directions : array (A, M)
        Unit vectors u.
    offsets : array (A,)
        :math:`u_j^T o_j`: zero for a coordinate; a principal axis starts at the mean of the encodings.
    """

    names: tuple[str, ...]
    directions: Floats
    offsets: Floats

    @classmethod
    def of(cls, n_latent: int, encoded: Floats | None) -> Self:
        """The axes of a latent space in which rows lie, or of one without rows."""
        names, directions = [f"z{j + 1}" for j in range(n_latent)], np.eye(n_latent)
        offsets = np.zeros(n_latent)
        if n_latent <= 2 or encoded is None or len(encoded) < 3:
            return cls(tuple(names), directions, offsets)
        centre = encoded.mean(axis=0)
        _, spread, principal = np.linalg.svd(encoded - centre, full_matrices=False)
        share = 100 * spread**2 / max(float((spread**2).sum()), np.finfo(float).tiny)
        n = min(len(principal), n_latent, 6)
        named = [f"principal axis {j + 1} ({share[j]:.0f} % of the spread)" for j in range(n)]
        return cls(
            (*named, *names),
            np.vstack([principal[:n], directions]),
            np.concatenate([principal[:n] @ centre, offsets]),
        )

    def positions(self, z: Floats, chosen: tuple[int, ...]) -> Floats:
        """Positions (n, 2) of places z (n, M) on two axes; one axis is drawn along zero."""
        found = z @ self.directions[list(chosen)].T - self.offsets[list(chosen)]
        if found.shape[1] == 1:
            found = np.column_stack([found, np.zeros(len(found))])
        return np.asarray(found)

    def moved(self, z: Floats, chosen: tuple[int, ...], position: tuple[float, float]) -> Floats:
        """The place nearest to z (M,) that has this position on the chosen axes."""
        u = self.directions[list(chosen)]
        wanted = np.asarray(position[: len(chosen)]) - (u @ z - self.offsets[list(chosen)])
        return np.asarray(z + np.linalg.pinv(u) @ wanted)
