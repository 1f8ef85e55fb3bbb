"""Measures of class probabilities, against scikit-learn and cases with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from underlie.check.calibration import brier_score, calibration_error, label_log_loss


def forecasts(n: int, n_classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities: the classes are drawn from them."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(n_classes), size=n)
    return p, np.array([rng.choice(n_classes, p=row) for row in p])


def test_log_loss_is_that_of_scikit_learn() -> None:
    p, codes = forecasts(200)
    assert label_log_loss(p, codes) == pytest.approx(log_loss(codes, p, labels=range(4)), rel=1e-9)
    assert np.isfinite(label_log_loss(np.array([[1.0, 0.0]]), np.array([1])))


def test_brier_score_of_known_forecasts() -> None:
    codes = np.array([0, 1, 2])
    assert brier_score(np.eye(3), codes) == 0.0
    assert brier_score(np.eye(3)[[1, 2, 0]], codes) == 2.0
    assert brier_score(np.full((3, 3), 1 / 3), codes) == pytest.approx(2 / 3)


def test_calibration_error_of_known_forecasts() -> None:
    # Sure of 0.8 and right in 3 of 5: off by 0.2, in one bin. Sure of 1 and right: not off.
    p = np.array([[0.8, 0.2]] * 5 + [[1.0, 0.0]] * 5)
    codes = np.array([0, 0, 0, 1, 1] + [0] * 5)
    assert calibration_error(p, codes) == pytest.approx(0.2 * 5 / 10)


def test_calibrated_forecasts_have_little_calibration_error_and_sharpened_ones_more() -> None:
    # 20,000 rows in 15 bins: the mean of the error is below sqrt(15 / 20,000) / 2 = .0137; false alarms 1 in 10^4.
    p, codes = forecasts(20_000)
    assert calibration_error(p, codes) < 0.025
    sharper = p**3 / (p**3).sum(axis=1, keepdims=True)
    assert calibration_error(sharper, codes) > 0.1
