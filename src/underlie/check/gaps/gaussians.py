"""Mixtures of Gaussians as the moment checks see them: probabilistic PCA and factor analysis are mixtures of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self, final

import numpy as np
from numpy.typing import NDArray

from underlie.check.gaps.raw_moments import gaussian_means

Array = NDArray[np.float64]


class Covariance(Protocol):
    """A covariance matrix (P, P) that need not be formed."""

    def dense(self) -> Array:
        """The matrix itself."""

    def times(self, x: Array) -> Array:
        """x C for rows x (n, P): (n, P)."""

    def scaled(self, by: Array) -> Covariance:
        """Covariance of x / by, `by` (P,)."""

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws with this covariance and mean 0: (n, P)."""


@final
@dataclass(frozen=True, eq=False)
class Full:
    """A covariance matrix as it is."""

    matrix: Array

    def dense(self) -> Array:
        return self.matrix

    def times(self, x: Array) -> Array:
        return x @ self.matrix

    def scaled(self, by: Array) -> Covariance:
        return Full(self.matrix / np.outer(by, by))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return rng.standard_normal((n, len(self.matrix))) @ np.linalg.cholesky(self.matrix).T


@final
@dataclass(frozen=True, eq=False)
class LowRank:
    """W W' + diag(noise), W (P, M) with M perhaps 0."""

    loadings: Array
    noise: Array

    def dense(self) -> Array:
        return self.loadings @ self.loadings.T + np.diag(self.noise)

    def times(self, x: Array) -> Array:
        return (x @ self.loadings) @ self.loadings.T + x * self.noise

    def scaled(self, by: Array) -> Covariance:
        return LowRank(self.loadings / by[:, None], self.noise / by**2)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        width, rank = self.loadings.shape
        latent = rng.standard_normal((n, rank))
        return latent @ self.loadings.T + rng.standard_normal((n, width)) * np.sqrt(self.noise)


@final
@dataclass(frozen=True, eq=False)
class Gaussians:
    """sum_k w_k N(mean_k, C_k)."""

    weights: Array
    """(K,)."""
    means: Array
    """(K, P)."""
    covariances: Sequence[Covariance]
    """K of them."""

    def moments(self, reference: Array, order: int) -> list[Array]:
        """Moments about `reference` (P,), degrees 1 to `order`: (p_k,) each."""
        parts = [
            [weight * one for one in gaussian_means(mean - reference, covariance.dense(), order)]
            for weight, mean, covariance in self._components()
        ]
        return [np.sum([part[k] for part in parts], axis=0) for k in range(order)]

    def mean(self) -> Array:
        """(P,)."""
        return self.weights @ self.means

    def covariance(self) -> Array:
        """(P, P): within the components and between their means."""
        away = self.means - self.mean()
        within = sum(weight * covariance.dense() for weight, _, covariance in self._components())
        return np.asarray(within + (away * self.weights[:, None]).T @ away)

    def transformed(self, shift: Array, scale: Array) -> Self:
        """The mixture of (x - shift) / scale."""
        return type(self)(self.weights, (self.means - shift) / scale, [c.scaled(scale) for c in self.covariances])

    def latent(self, n: int, rng: np.random.Generator) -> Array:
        """n latent draws, (n, 1 + M): the component, and standard normal scores, as many as the component needs."""
        rank = max(c.loadings.shape[1] if isinstance(c, LowRank) else 0 for c in self.covariances)
        component = rng.choice(len(self.weights), size=n, p=self.weights / self.weights.sum())
        return np.column_stack([component, rng.standard_normal((n, rank))])

    def given(self, latent: Array) -> tuple[Array, Array]:
        """Mean and variances of x given latent draws, (n, P) each; a full covariance has more to it than variances."""
        component = latent[:, 0].astype(int)
        mean, variance = self.means[component], np.empty((len(latent), self.means.shape[1]))
        for k, covariance in enumerate(self.covariances):
            own = component == k
            if isinstance(covariance, LowRank):
                mean[own] += latent[own, 1 : 1 + covariance.loadings.shape[1]] @ covariance.loadings.T
                variance[own] = covariance.noise
            else:
                variance[own] = np.diagonal(covariance.dense())
        return mean, variance

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """n rows, (n, P), in random order."""
        counts = rng.multinomial(n, self.weights / self.weights.sum())
        drawn = [
            mean + covariance.sample(int(count), rng)
            for count, (_, mean, covariance) in zip(counts, self._components(), strict=True)
        ]
        return rng.permutation(np.concatenate(drawn))

    def products_with(self, x: Array, order: int) -> list[Array]:
        """E[(x'y)^k] for rows x (n, P), y from the mixture, k = 1..order: (n,) each."""
        out = [np.zeros(len(x)) for _ in range(order)]
        for weight, mean, covariance in self._components():
            m = x @ mean
            s = np.einsum("ij,ij->i", covariance.times(x), x)
            for total, moment in zip(
                out, (m, m**2 + s, m**3 + 3 * m * s, m**4 + 6 * m**2 * s + 3 * s**2), strict=False
            ):
                total += weight * moment
        return out

    def weighted_by_products(self, x: Array, order: int) -> Array:
        """Sum over rows x (n, P) of E[y (x'y)^(order - 1)], order 2 to 4: (P,), by Stein's lemma."""
        total = np.zeros(x.shape[1])
        for weight, mean, covariance in self._components():
            m = x @ mean
            s = np.einsum("ij,ij->i", covariance.times(x), x)
            moments = (np.ones_like(m), m, m**2 + s, m**3 + 3 * m * s)
            through = covariance.times((moments[order - 2] @ x)[None])[0]
            total += weight * (moments[order - 1].sum() * mean + (order - 1) * through)
        return total

    def products_with_itself(self, order: int) -> list[float]:
        """E[(y'y'')^k] for independent y and y'' from the mixture, k = 1..order."""
        totals = np.zeros(order)
        for w, mean, covariance in self._components():
            for v, other, spread in self._components():
                totals += w * v * np.array(_product_moments(mean, covariance, other, spread))[:order]
        return [float(t) for t in totals]

    def _components(self) -> list[tuple[float, Array, Covariance]]:
        return list(zip(self.weights.tolist(), self.means, self.covariances, strict=True))


def _product_moments(a: Array, A: Covariance, b: Array, B: Covariance) -> tuple[float, float, float, float]:
    """E[(y'u)^k], k = 1..4, of y ~ N(a, A) and u ~ N(b, B): first over u given y, then moments of quadratic forms."""
    m = float(a @ b)
    Ab, Ba = A.times(b[None])[0], B.times(a[None])[0]
    p, q = float(b @ Ab), float(a @ Ba)  # b'Ab, a'Ba
    trace, trace_square = _traces(A, B)
    cross = float(Ab @ Ba)  # b'ABa
    first_cubed, second_cubed = float(Ab @ B.times(Ab[None])[0]), float(Ba @ A.times(Ba[None])[0])  # b'ABAb, a'BABa
    quadratic = trace + q  # E[y'By]
    third = m**3 + 3 * m * p + 3 * (m * quadratic + 2 * cross)
    fourth = m**4 + 6 * m**2 * p + 3 * p**2
    fourth += 6 * ((m**2 + p) * quadratic + 4 * m * cross + 2 * first_cubed)
    fourth += 3 * (quadratic**2 + 2 * trace_square + 4 * second_cubed)
    return m, m**2 + p + quadratic, third, fourth


def _traces(A: Covariance, B: Covariance) -> tuple[float, float]:
    """tr(AB) and tr(ABAB)."""
    if isinstance(A, LowRank) and isinstance(B, LowRank):
        # AB = diag(d) + L R' with few columns in L and R
        d = A.noise * B.noise
        left = np.column_stack([A.noise[:, None] * B.loadings, A.loadings])
        right = np.column_stack([B.loadings, B.noise[:, None] * A.loadings + B.loadings @ (B.loadings.T @ A.loadings)])
        small = right.T @ left
        trace_square = d @ d + 2 * d @ np.einsum("ij,ij->i", left, right) + np.sum(small * small.T)
        return float(d.sum() + np.trace(small)), float(trace_square)
    product = A.dense() @ B.dense()
    return float(np.trace(product)), float(np.sum(product * product.T))
