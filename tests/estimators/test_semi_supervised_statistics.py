"""What rows without labels are worth: fifty labelled digits among 1,797."""

from __future__ import annotations

import numpy as np
from scipy.stats import ttest_1samp

import underlie as ul


def test_unlabelled_digits_help_to_read_digits() -> None:
    """Against the same labels without the other rows, paired over draws of the labels."""
    digits = ul.datasets.load_digits()
    gains = []
    for seed in range(7):
        rng = np.random.default_rng(seed)
        known = np.concatenate([rng.choice(np.flatnonzero(digits.target == k), 5, replace=False) for k in range(10)])
        y = np.full(len(digits), -1)
        y[known] = digits.target[known]
        rest = y < 0
        model = ul.SemiSupervisedVAE(
            10, hidden=(64,), learning_rate=3e-3, max_epochs=15, verbose=False, random_state=seed
        ).fit(digits.data, y)
        alone = ul.NeuralClassifier(
            "mlp", hidden=(64,), max_epochs=60, valid_fraction=0.0, verbose=False, random_state=seed
        ).fit(digits.data[known], y[known])
        X, truth = digits.data[rest], digits.target[rest]
        gains.append(model.score(X, truth) - alone.score(X, truth))
    assert ttest_1samp(gains, 0.0, alternative="greater").pvalue < 0.01  # false alarms 1 %, were there no gain
