"""The moments of a function of x in place of those of x."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from underlie.check.adapters import MomentModel, as_seen, sample_batches
from underlie.check.gaps.gaussians import Gaussians

Array = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class FunctionOf:
    """The moments of g(x) instead of x: known by sampling x."""

    view: MomentModel
    function: Callable[[Array], Any]
    exclusive_groups: tuple[NDArray[np.intp], ...] = ()

    @property
    def can_sample(self) -> bool:
        return self.view.can_sample

    @property
    def is_sample(self) -> bool:
        return self.view.is_sample

    @cached_property
    def names(self) -> tuple[str, ...]:
        (probe,) = self.latent_batches(2, 1, np.random.default_rng(0))
        return tuple(f"g{j}" for j in range(probe.shape[1]))

    def _apply(self, values: Array) -> Array:
        out = np.asarray(self.function(values), dtype=float)
        out = out[:, None] if out.ndim == 1 else out
        if out.ndim != 2 or len(out) != len(values):
            raise ValueError(f"function must map rows (n, P) to (n, G) or (n,); {len(values)} rows gave {out.shape}")
        if not np.isfinite(out).all():
            row, column = np.argwhere(~np.isfinite(out))[0]
            raise ValueError(
                f"function gives {out[row, column]} in row {row}, output {column}; it must be finite on the data, "
                "which may have missing cells, and on draws from the model"
            )
        return out

    def numeric(self, X: object) -> Array:
        return self._apply(self.view.numeric(X))

    def gaussians(self) -> Gaussians | None:
        return None

    def exact_moments(self) -> tuple[Array, Array] | None:
        return None

    def latent_batches(self, m: int, n_batches: int, rng: np.random.Generator) -> list[Any]:
        if self.view.is_sample:
            return [self._apply(rows) for rows in self.view.latent_batches(m, n_batches, rng)]
        return sample_batches(self, m, n_batches, rng)

    def conditional(self, latent: Any, order: int) -> tuple[Array, ...]:
        return as_seen(latent, order)

    def sample(self, n: int, seed: int) -> Array:
        return self._apply(self.view.sample(n, seed))

    def refit(self, values: Array, seed: int) -> MomentModel:
        raise TypeError("a function of x cannot be fitted")
