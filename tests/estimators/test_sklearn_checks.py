"""scikit-learn's own checks of its conventions, all of them, on every estimator."""

from __future__ import annotations

from typing import Any

import pytest
from factories import FACTORIES
from sklearn.utils.estimator_checks import parametrize_with_checks

#: class -> check -> why it cannot apply
EXPECTED_FAILURES: dict[str, dict[str, str]] = {
    "VAE": {
        "check_methods_subset_invariance": "in single precision the last digits depend on the number of rows",
    },
}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [factory.make() for factory in FACTORIES],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES.get(type(estimator).__name__, {}),
)
def test_scikit_learn_conventions(estimator: Any, check: Any) -> None:
    check(estimator)
