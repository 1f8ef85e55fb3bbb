"""How good probabilities of classes are: log loss, Brier score, calibration error."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.intp]
N_BINS: Final = 15
"""Bins of equal width of the probability of the predicted class, as in Guo et al. (2017)."""
_TINY: Final = float(np.finfo(np.float64).tiny)


def label_log_loss(probabilities: Array, codes: Codes) -> float:
    """Mean of -log q(y | x), nats per row; probabilities (n, K), codes (n,) of the true classes."""
    own = probabilities[np.arange(len(codes)), codes]
    return float(-np.log(np.maximum(own, _TINY)).mean())


def brier_score(probabilities: Array, codes: Codes) -> float:
    """Mean of the squared distance between probabilities and the indicators of the true class, from 0 to 2.

    References
    ----------
    Brier (1950), Verification of forecasts expressed in terms of probability.
    """
    true = np.eye(probabilities.shape[1])[codes]
    return float(((probabilities - true) ** 2).sum(axis=1).mean())


def calibration_error(probabilities: Array, codes: Codes, n_bins: int = N_BINS) -> float:
    r"""Expected calibration error, :math:`\sum_b \frac{n_b}{n} |\mathrm{accuracy}_b - \mathrm{confidence}_b|`.

    Rows are put in bins of equal width by the probability of the predicted class. It is above 0 by chance alone, by
    about :math:`\sqrt{B / n}` times a half at most.

    References
    ----------
    Guo, Pleiss, Sun & Weinberger (2017), On calibration of modern neural networks.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == codes
    bins = np.clip((confidence * n_bins).astype(int), 0, n_bins - 1)
    excess = np.bincount(bins, weights=right - confidence, minlength=n_bins)
    return float(np.abs(excess).sum() / len(codes))
