"""A trial whose truth is known, and a model that knows it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd

import underlie as ul


def trial(n: int, seed: int, levels: tuple[str, ...] = ("no", "yes")) -> tuple[pd.DataFrame, Any]:
    """The last level helps where x > 0 and harms elsewhere; the others do nothing."""
    rng = np.random.default_rng(seed)
    x, arm = rng.uniform(-1, 1, n), rng.integers(len(levels), size=n)
    event_time = rng.exponential(np.exp(1.5 * x * (arm == len(levels) - 1)))
    censored = rng.uniform(0.3, 3, n)
    table = pd.DataFrame({"x": x, "arm": np.array(levels)[arm]}, index=np.arange(n) + 7)
    return table, ul.Surv(np.minimum(event_time, censored), event_time <= censored)


class Oracle:
    """Knows the trial; remembers which rows it was fitted to, and what it was asked."""

    fitted: ClassVar[list[Any]] = []
    asked: ClassVar[list[Any]] = []

    def __init__(self, treatments: Any = "arm", best: str = "yes", propensity: dict[Any, float] | None = None) -> None:
        self.treatments, self.best, self.shares = treatments, best, propensity

    def __deepcopy__(self, memo: Any) -> Oracle:
        return type(self)(self.treatments, self.best, self.shares)

    def fit(self, X: pd.DataFrame, y: Any) -> Oracle:
        self.rows = set(X.index) if isinstance(X, pd.DataFrame) else set()
        Oracle.fitted.append(self.rows)
        return self

    def predict_survival_function(self, X: Any, times: Any, treatment: Any = None) -> np.ndarray:
        if isinstance(X, pd.DataFrame):
            assert not self.rows & set(X.index), "asked for rows that it was fitted to"
        given = np.asarray(X["arm"]) if treatment is None else treatment
        rate = np.exp(-1.5 * np.asarray(X["x"]) * (given == self.best))
        return np.exp(-rate[:, None] * np.asarray(times))

    def recommend(self, X: Any, time: float, min_gain: float, control: Any = None, rule: str = "survival") -> Any:
        Oracle.asked.append((time, min_gain, control, rule))
        gain = self.predict_survival_function(X, [time], self.best)[:, 0] - np.exp(-time)
        return pd.DataFrame({"recommended": np.where(gain >= min_gain, self.best, "no"), "gain": gain})

    def propensity(self, X: Any) -> pd.DataFrame:
        return pd.DataFrame({level: np.full(len(X), p) for level, p in (self.shares or {}).items()})
