"""Small simulated trials, and a model small enough to be fitted in a quarter of a second."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import underlie as ul


def trial(n: int = 120, seed: int = 0, effect: float = -0.6) -> tuple[pd.DataFrame, np.ndarray]:
    """Patients with missing covariates and a randomised arm whose log hazard ratio is ``effect``; months."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "age": rng.normal(60, 8, n),
            "grade": pd.Categorical(rng.choice(["I", "II", "III"], n)),
            "size": np.exp(rng.normal(3, 0.5, n)),
            "arm": rng.choice(["no", "yes"], n),
        }
    )
    log_hazard = 0.06 * (X["age"] - 60) + 0.5 * (X["grade"] == "III") + effect * (X["arm"] == "yes")
    t = 20 * (rng.exponential(size=n) / np.exp(log_hazard)) ** (1 / 1.4)
    c = rng.uniform(5, 60, n)
    X.loc[X.index[[3, 8, 20, 30]], "age"] = np.nan
    X.loc[X.index[[4, 9]], "grade"] = None
    return X, ul.Surv(np.minimum(t, c), t <= c)


def small(treatments: Any = "arm", **options: Any) -> ul.SurvivalVAE:
    """A model with little to train; for laws, not for predictions."""
    settings: dict[str, Any] = {
        "n_latent": 2,
        "hidden": (4,),
        "n_replicates": 2,
        "max_epochs": 2,
        "heterogeneity": 0.0,
        "random_state": 0,
        "verbose": False,
    }
    return ul.SurvivalVAE(treatments, **{**settings, **options})
