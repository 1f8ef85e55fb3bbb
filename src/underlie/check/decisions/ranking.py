r"""Does the model know who benefits most? Effect among those it ranks first, over the effect in all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from underlie.check.survival.intervals import resamples

Array = NDArray[np.float64]


def ranked_gains(benefit: Array, effect_scores: Array, n_bootstrap: int, rng: np.random.Generator) -> Array:
    r"""Area under the targeting curve, in the sample and in resamples of rows: (1 + n_bootstrap,).

    .. math::
        \frac1n \sum_{k=1}^n \Big\{ \frac1k \sum_{j \le k} \Gamma_{(j)} - \bar\Gamma \Big\}

    with the rows' doubly robust effect scores Γ in descending order of predicted benefit: how much more than in all the
    effect is among the first k, on average over k. 0 if the ranking says nothing. Rows of equal predicted benefit are
    averaged over their orders.

    References
    ----------
    Yadlowsky, Fleming, Shah, Brunskill and Wager (2025), Journal of the American Statistical Association 120.
    """
    order = np.argsort(-benefit, kind="stable")
    starts = np.flatnonzero(np.diff(-benefit[order], prepend=-np.inf))
    counts = resamples(len(benefit), n_bootstrap, rng)[:, order].astype(np.float64)
    size = np.add.reduceat(counts, starts, axis=1)
    total = np.add.reduceat(counts * effect_scores[order], starts, axis=1)
    before, sum_before = np.cumsum(size, axis=1) - size, np.cumsum(total, axis=1) - total
    own = np.divide(total, size, out=np.zeros_like(total), where=size > 0)
    # Sum over k = 1..c of (s + k m) / (w + k), with c rows of mean m after w rows of sum s.
    running = size * own + (sum_before - own * before) * (digamma(before + size + 1) - digamma(before + 1))
    gains: Array = running.sum(1) / size.sum(1) - total.sum(1) / size.sum(1)
    return gains
