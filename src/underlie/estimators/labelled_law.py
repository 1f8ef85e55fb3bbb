r"""The law of rows whose labels are not known, :math:`p(x) = \sum_y p(y) \int p(z)\, p(x \mid z, y)\, dz`."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from scipy.special import ndtr

from underlie.data import Encoder
from underlie.distributions import Categorical
from underlie.estimators.base import as_generator
from underlie.estimators.conditioning import Floats
from underlie.estimators.labelled_queries import LabelledQueries
from underlie.estimators.quasi_random import quasi_normal_batches


@final
class LabelledLaw:
    """What a semi-supervised model says of x alone, as `underlie.mega` reads it.

    Given labels, style and auxiliary variable the columns of x are independent, with means and central moments in
    closed form. A latent draw holds them side by side: codes or values of the labels, z, and standard normal noise of
    the auxiliary variable. Classes are drawn with the probabilities of p(y) by an axis of the quasi-random points, so
    that each has its share of every set of draws up to one draw.

    Parameters
    ----------
    queries : LabelledQueries
        Of the replicate that generates.
    """

    def __init__(self, queries: LabelledQueries) -> None:
        self._queries = queries
        self.encoder_: Encoder = queries.conditioner.encoder
        graph = queries.conditioner.model.generative
        self._n_labels, self._n_latent = len(queries.names), queries.conditioner.n_latent
        self._width = self._n_labels + self._n_latent + (graph["a"].head.width if "a" in graph else 0)

    def sample_latent(self, n: int = 1, random_state: Any = None) -> Floats:
        """n independent draws of labels, z, and noise of a: (n, width)."""
        return self._with_labels(as_generator(random_state).standard_normal((n, self._width)))

    def quasi_latent(self, n: int = 1, random_state: Any = None, n_batches: int = 1) -> Floats:
        """Independent sets of n quasi-random draws, (n_batches, n, width)."""
        return self._with_labels(quasi_normal_batches(n_batches, n, self._width, as_generator(random_state)))

    @torch.no_grad()
    def moments(self, latent: Floats, order: int = 2) -> tuple[Floats, ...]:
        """E[x | labels, z, a] and central moments up to an order, in the user's units: (m, P) each."""
        labels, z, noise = np.split(latent, [self._n_labels, self._n_labels + self._n_latent], axis=1)
        given = self._queries.given(z, labels, noise if noise.shape[1] else None)
        others = {name: value[0, 0].double().cpu().numpy() for name, value in given.values.items() if name != "z"}
        return self._queries.conditioner.moments(z, order, others)

    def sample(self, n: int = 1, random_state: Any = None) -> Any:
        """n new rows, like the data of `fit`."""
        seed = int(as_generator(random_state).integers(2**31 - 1))
        return self._queries.sample(n, None, seed)[0]

    def _with_labels(self, normal: Floats) -> Floats:
        """Standard normal numbers (..., width), the first of them made into labels: classes by their probabilities."""
        graph = self._queries.conditioner.model.generative
        for j, name in enumerate(self._queries.names):
            factor = graph[name]
            if isinstance(factor.head, Categorical):  # a continuous label is standard normal
                probabilities = torch.softmax(factor.constant.double().flatten(), 0).cpu().numpy()
                ends = np.cumsum(probabilities)[:-1]
                normal[..., j] = np.searchsorted(ends, ndtr(normal[..., j]), side="right")
        return normal
