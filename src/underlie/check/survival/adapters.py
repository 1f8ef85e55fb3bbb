"""Survival models of different makers as one thing: fitted to training rows, asked for curves or at least a ranking."""

from __future__ import annotations

import inspect
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from underlie.check.survival.baselines import CoxRegression, KaplanMeier, WeibullRegression
from underlie.check.survival.design_matrix import DesignMatrix

Array = NDArray[np.float64]
BASELINES = {"kaplan-meier": KaplanMeier, "cox": CoxRegression, "weibull": WeibullRegression}


class Candidate(Protocol):
    """A model that is fitted once, to the training rows of one split."""

    def fit(self, X: Any, y: NDArray[np.void]) -> None:
        """Fit to rows X with outcomes y."""

    def survival(self, X: Any, times: Array) -> Array | None:
        """S(t | x), (n, n_times), at increasing times; None where the model only ranks rows."""

    def risk(self, X: Any) -> Array:
        """A number per row, higher for earlier events: (n,)."""


def candidate(model: Any, seed: int) -> Candidate:
    """A fresh copy of a model with a seed of its own, ready to be fitted.

    Every parameter called ``random_state``, also of nested estimators, gets the seed; progress bars are switched off.
    """
    if isinstance(model, str):
        return _Curves(BASELINES[model]())
    fresh = clone(model, safe=False)
    if hasattr(fresh, "get_params"):
        given = fresh.get_params(deep=True)
        seeds = {name: seed for name in given if name.split("__")[-1] == "random_state"}
        quiet = {"verbose": False} if given.get("verbose") is True else {}
        if seeds or quiet:
            fresh.set_params(**seeds, **quiet)
    if _takes_times(fresh):
        return _Curves(fresh)
    return _Steps(fresh) if hasattr(fresh, "predict_survival_function") else _Ranking(fresh)


def check_model(model: Any, name: str) -> None:
    """Refuse what cannot be a survival model.

    Raises
    ------
    TypeError
        When it is a class, or lacks ``fit`` or anything to predict with.
    ValueError
        When it is a word that names no baseline.
    """
    if isinstance(model, str):
        if model not in BASELINES:
            raise ValueError(f"models[{name!r}] must be one of {', '.join(map(repr, BASELINES))}, got {model!r}")
        return
    if isinstance(model, type):
        raise TypeError(f"models[{name!r}] is the class {model.__name__}: give an estimator, {model.__name__}(...)")
    if not hasattr(model, "fit") or not (hasattr(model, "predict_survival_function") or hasattr(model, "predict")):
        raise TypeError(
            f"models[{name!r}] is a {type(model).__name__}, which cannot be fitted or predicts nothing: give an "
            "estimator with fit(X, y) and predict_survival_function(X, times), one of scikit-survival, or "
            f"one of {', '.join(map(repr, BASELINES))}"
        )


def _takes_times(model: Any) -> bool:
    """Whether curves are asked for at times, as here, or come as steps, as in scikit-survival."""
    predict = getattr(model, "predict_survival_function", None)
    return predict is not None and "times" in inspect.signature(predict).parameters


@final
class _Curves:
    """An estimator of this package, or one with the same methods: it takes tables as they are."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def fit(self, X: Any, y: NDArray[np.void]) -> None:
        self._model.fit(X, y)

    def survival(self, X: Any, times: Array) -> Array:
        return np.asarray(self._model.predict_survival_function(X, times), dtype=np.float64)

    def risk(self, X: Any) -> Array:
        return np.asarray(self._model.predict(X), dtype=np.float64)


@final
class _Steps:
    """An estimator of scikit-survival with survival functions, which are right-continuous steps."""

    def __init__(self, model: Any) -> None:
        self._ranking = _Ranking(model)

    def fit(self, X: Any, y: NDArray[np.void]) -> None:
        self._ranking.fit(X, y)

    def survival(self, X: Any, times: Array) -> Array:
        steps = self._ranking.model.predict_survival_function(self._ranking.numbers(X))
        return np.stack([_read(step, times) for step in steps])

    def risk(self, X: Any) -> Array:
        return self._ranking.risk(X)


@final
class _Ranking:
    """An estimator of scikit-survival, which takes numbers; a pipeline codes the table itself."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._design = None if isinstance(model, Pipeline) else DesignMatrix()

    def fit(self, X: Any, y: NDArray[np.void]) -> None:
        if self._design is not None:
            self._design.fit(X)
        self.model.fit(self.numbers(X), y)

    def survival(self, X: Any, times: Array) -> None:
        return None

    def risk(self, X: Any) -> Array:
        prediction = np.asarray(self.model.predict(self.numbers(X)), dtype=np.float64)
        # Its regressions of the time itself say so here; everything else predicts a risk.
        return prediction if getattr(self.model, "_predict_risk_score", True) else -prediction

    def numbers(self, X: Any) -> Any:
        return X if self._design is None else self._design(X)


def _read(step: Any, times: Array) -> Array:
    """Values at the times of a step function with jumps `x` to `y`; 1 before the first jump."""
    heights = np.append(1.0, np.asarray(step.a * np.asarray(step.y) + step.b, dtype=np.float64))
    return heights[np.searchsorted(step.x, times, side="right")]
