"""The paper's Monte-Carlo gap of a Gaussian mixture, many seeds at once, beside the exact gap.

A draw of z from a mixture is a component, and the forward estimate only needs how often each was drawn: m draws are one
multinomial count. With M_0 the data's second moment and M_k = C_k + m_k m_k' those of the components, the squared
Frobenius gap at weights w is v' G v, with v = (1, -w) and G the Gram matrix of M_0, M_1, ..., M_K: thousands of seeds
cost no more than one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MixtureMoments:
    """First and second moments of rows and of a mixture's components, and the gaps between them at any weights."""

    weights: Array
    """(K,), as fitted."""
    firsts: Array
    """(K + 1, P): the data's mean, then the components'."""
    seconds: Array
    """(K + 1, P, P): the data's second moment, then the components'."""

    @classmethod
    def of(cls, mixture: GaussianMixture, X: Array, *, unbiased: bool = True) -> MixtureMoments:
        """Moments of rows X (n, P), the second with the covariance's divisor n - 1 (the paper's) or n (EM's)."""
        centre = X.mean(axis=0)
        data = np.cov(X, rowvar=False, ddof=int(unbiased)) + np.outer(centre, centre)
        means = mixture.means_
        within = mixture.covariances_
        if mixture.covariance_type == "diag":
            within = np.stack([np.diag(variances) for variances in within])
        seconds = within + means[:, :, None] * means[:, None, :]
        return cls(mixture.weights_, np.vstack([centre, means]), np.concatenate([data[None], seconds]))

    def gap(self, weights: Array | None = None) -> tuple[float, float]:
        """1MEGA-F and 2MEGA-F at these weights, by default the mixture's own: the exact gap."""
        away = np.concatenate([[1.0], -(self.weights if weights is None else weights)])
        return float(np.linalg.norm(away @ self.firsts)), float(np.linalg.norm(np.tensordot(away, self.seconds, 1)))

    def forward_gaps(self, m: int, n_seeds: int, rng: np.random.Generator) -> Array:
        """1MEGA-F and 2MEGA-F as the paper estimates them, from m draws of z, once per seed: (n_seeds, 2)."""
        drawn = rng.multinomial(m, self.weights / self.weights.sum(), size=n_seeds) / m
        # about the exact gap: v' G v of the whole would lose the digits in which the seeds differ
        own = np.concatenate([[1.0], -self.weights])
        away = self.weights - drawn
        return np.column_stack([_norms(flat, own, away) for flat in (self.firsts, self._flat_seconds())])

    def _flat_seconds(self) -> Array:
        return self.seconds.reshape(len(self.seconds), -1)


def _norms(moments: Array, own: Array, away: Array) -> Array:
    """Norm of own @ moments + away[s] @ moments[1:] for every s."""
    exact = own @ moments
    gram, cross = moments[1:] @ moments[1:].T, moments[1:] @ exact
    squares = exact @ exact + 2 * away @ cross + np.einsum("sk,kl,sl->s", away, gram, away)
    return np.sqrt(np.maximum(squares, 0.0))


def penalty(gaps: Array) -> Array:
    """1MEGA-F + sqrt(2MEGA-F), over the last axis: what the paper's selection takes from the log-likelihood."""
    return np.asarray(gaps[..., 0] + np.sqrt(gaps[..., 1]))


def noisy_path(log_likelihoods: Array, penalties: Array, sizes: tuple[int, ...], alphas: Array) -> tuple[int, ...]:
    """Sizes chosen by log-likelihood - alpha * penalty as alpha grows over a grid, as the paper reads them off."""
    chosen = np.argmax(log_likelihoods[None, :] - alphas[:, None] * penalties[None, :], axis=1)
    path = [sizes[chosen[0]]]
    for i in chosen[1:]:
        if sizes[i] != path[-1]:
            path.append(sizes[i])
    return tuple(path)


def fit_sizes(X: Array, sizes: tuple[int, ...], seed: int) -> dict[int, GaussianMixture]:
    """Full-covariance mixtures as the paper's scripts fit them: scikit-learn's defaults, one start."""
    return {k: GaussianMixture(k, random_state=seed).fit(X) for k in sizes}
