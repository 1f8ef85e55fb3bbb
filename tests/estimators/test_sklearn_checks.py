"""scikit-learn's own checks of its conventions, all of them, on every estimator."""

from __future__ import annotations

from typing import Any

import pytest
from factories import FACTORIES
from sklearn.utils.estimator_checks import parametrize_with_checks

#: check -> why it cannot apply
EXPECTED_FAILURES: dict[str, str] = {}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [factory.make() for factory in FACTORIES],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_scikit_learn_conventions(estimator: Any, check: Any) -> None:
    check(estimator)
