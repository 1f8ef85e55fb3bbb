"""Ugly tables end in finite answers or in words that help; `benchmarks/stress.py` asks the same at length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import ugly

import underlie as ul
from underlie.data import Encoder

#: The search for unexplained differences between patients takes most of the time, and is left to the long version.
_SHORT = [case for case in ugly.CASES if case.name != "SurvivalVAE"]


@pytest.mark.parametrize("case", _SHORT, ids=lambda case: case.name)
def test_no_estimator_fails_on_an_ugly_table(case: ugly.Case) -> None:
    findings = [
        ugly.judge(case, table, seed=0, n=40, epochs=2) for table in ugly.TABLES if case.outcomes or not table.outcome
    ]
    assert [f for f in findings if not f.passed] == []
    assert sum(f.verdict == "finite" for f in findings) >= len(findings) // 2  # a refusal of everything is no answer


def test_every_estimator_is_tried() -> None:
    from underlie.estimators.persistence import REGISTRY

    assert set(REGISTRY) <= {case.name for case in ugly.CASES}


@pytest.mark.parametrize("far", [1e16, -1e17, 9.9e17])
def test_a_value_too_far_out_for_single_precision_is_refused_by_name(far: float) -> None:
    X = np.random.default_rng(0).normal(size=(50, 3))
    X[:, 1] = 1e12  # a constant column is predicted as closely as is allowed
    model = ul.VAE(1, hidden=(4,), max_epochs=2, random_state=0, verbose=False).fit(X)
    assert np.isfinite(model.score_samples(X[:1] + np.array([0, 9e14, 0]))).all()
    with pytest.raises(ValueError, match=r"'x1' of X, row 0.*1e\+15 times as far out as the values seen at fit"):
        Encoder.fit(X).encode(X[:1] + np.array([0, far, 0]))


# ------------------------------------------------------------------------------------------- the judge can say no


def _raise(error: Exception) -> Any:
    raise error


def _finding(fit: Any, ask: Any = lambda model, X, y: iter(())) -> ugly.Finding:
    case = ugly.Case("probe", lambda X, y, t, s, e: fit(), ask)
    table = ugly.Table("plain", lambda rng, n: pd.DataFrame(rng.normal(size=(n, 3))))
    return ugly.judge(case, table, 0, 10, 1)


def test_errors_that_do_not_help_are_told_apart() -> None:
    clear = "column 'x0' of X is constant: drop it, nothing can be learned."
    assert _finding(lambda: _raise(ValueError(clear))).words.startswith("raised in")  # not raised by the package
    assert _finding(lambda: _raise(ZeroDivisionError(clear))).verdict == "crash"
    assert _finding(lambda: _raise(np.linalg.LinAlgError(clear))).verdict == "crash"
    assert _finding(lambda: np.linalg.cholesky(-np.eye(2))).verdict == "crash"
    assert _finding(lambda: ul.VAE(0).fit(np.eye(3))).words.startswith("too short")
    assert _finding(lambda: ul.VAE(hidden="wide").fit(np.eye(3))).verdict == "refused"
    assert _finding(lambda: 1, lambda model, X, y: iter([("one", 1.0)])).verdict == "accepted"  # infinities too
    assert _finding(lambda: 1, lambda model, X, y: iter([])).verdict == "finite"
    assert _finding(lambda: 1, lambda model, X, y: _raise(ValueError(clear))).verdict == "late"
    assert _finding(lambda: 1, lambda model, X, y: iter([("one", np.inf)])).verdict == "NaN"


@pytest.mark.parametrize(
    "value",
    [
        np.array([1.0, np.nan]),
        (np.ones(2), np.array([-np.inf])),
        pd.DataFrame({"x": [1.0, None]}),
        pd.DataFrame({"x": pd.Categorical(["a", None])}),
        pd.DataFrame({"x": [np.inf]}),
        (pd.DataFrame({"x": [1.0]}), np.array([(np.nan, True)], dtype=[("time", float), ("event", bool)])),
    ],
)
def test_what_is_no_number_is_found_wherever_it_is(value: Any) -> None:
    assert ugly.not_finite(value) is not None


def test_numbers_and_labels_are_left_alone() -> None:
    assert ugly.not_finite((np.array(["a"]), np.arange(3), pd.DataFrame({"x": ["a"], "y": [1]}))) is None
