"""Those of scikit-learn's checks that apply to an estimator whose outcome is a pair of a time and an event.

The others call ``fit`` with class labels or one number a row, which no time to an event is, and which is refused with a
reason. What they check is held by the tests beside this file: that fit returns itself and repeats itself
(``_invariance``), leaves parameters, input and failed models alone (``_input``), that rows do not depend on each other
(``_invariance``), and that an unfitted model says so (``test_survival_vae``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.utils import estimator_checks as checks
from survival_cases import small, trial

import underlie as ul

pytestmark = [
    pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::underlie.warnings.ImportanceSamplingWarning"),
]


@pytest.mark.parametrize(
    "check",
    [
        checks.check_estimator_cloneable,
        checks.check_valid_tag_types,
        checks.check_estimator_repr,
        checks.check_no_attributes_set_in_init,
        checks.check_do_not_raise_errors_in_init_or_set_params,
        checks.check_mixin_order,
        checks.check_parameters_default_constructible,
        checks.check_get_params_invariance,
        checks.check_set_params,
        checks.check_fit1d,
    ],
    ids=lambda check: check.__name__,
)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_conventions(check: Callable[[str, BaseEstimator], None]) -> None:
    check("SurvivalVAE", small(None))


def test_the_tags_say_that_an_outcome_is_needed() -> None:
    tags = small().__sklearn_tags__()
    assert tags.target_tags.required
    assert tags.input_tags.allow_nan
    assert tags.input_tags.categorical
    assert not tags.input_tags.three_d_array


@pytest.mark.parametrize(
    "y", [np.arange(40) % 2, np.linspace(0, 1, 40), ["a", "b"] * 20], ids=["0-1", "number", "text"]
)
def test_outcomes_of_other_estimators_are_refused_with_the_form_to_give(y: Any) -> None:
    with pytest.raises(ValueError, match=r"Surv\(time, event\)"):
        small(None).fit(trial(40)[0], y)


def test_cross_validation_and_pipelines() -> None:
    """The score is the predictive log-likelihood, so that larger is better, as scikit-learn expects."""
    X, y = trial(90)
    scores = cross_val_score(small(), X, y, cv=KFold(3, shuffle=True, random_state=0))
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()
    train, test = next(KFold(3, shuffle=True, random_state=0).split(X))
    by_hand = clone(small()).fit(X.iloc[train], y[train]).score(X.iloc[test], y[test])
    assert scores[0] == pytest.approx(by_hand)
    piped = Pipeline([("model", small())]).fit(X, y)
    np.testing.assert_array_equal(piped.predict(X), small().fit(X, y).predict(X))


def test_images_are_no_patients() -> None:
    y = ul.Surv(np.arange(1.0, 31.0), np.ones(30))
    with pytest.raises(ValueError, match=r"shape \(n, columns\)"):
        small(None).fit(np.zeros((30, 4, 4)), y)


def test_sparse_and_complex_tables_are_refused() -> None:
    from scipy import sparse

    y = ul.Surv(np.arange(1.0, 31.0), np.ones(30))
    with pytest.raises((TypeError, ValueError), match="[Ss]parse"):
        small(None).fit(sparse.csr_matrix(np.eye(30)), y)
    with pytest.raises(ValueError, match="[Cc]omplex"):
        small(None).fit(np.ones((30, 2)) * 1j, y)
