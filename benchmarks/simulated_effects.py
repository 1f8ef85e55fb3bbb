"""Patients whose individual treatment effects are known, with hidden confounding of a strength that can be set.

In every scenario a trait that no method sees raises the hazard and, by ``gamma``, the log odds of being treated per
standard deviation of the trait: physicians treat those whom they see to be worse. Only the assignment depends on
gamma; patients, their two potential times and so the effects are the same for all gamma.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

import numpy as np
import pandas as pd
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm, rankdata

import underlie as ul

Array = NDArray[np.float64]
Generator = np.random.Generator
TREATMENT = "treatment"
N_TEST = 2000
#: Log-hazard per standard deviation of the hidden trait, in the scenarios of our own.
HIDDEN = 0.7


@final
@dataclass(frozen=True)
class Trial:
    """Training rows, and test rows of which the truth is known.

    Attributes
    ----------
    X : DataFrame (n, columns)
        Covariates and the column ``treatment``, 0 or 1.
    y : structured array (n,)
        From ``ul.Surv``.
    test : DataFrame (n_test, columns)
        Covariates only.
    survival : (n_test, 2) array
        True P(T > horizon | x) without and with treatment, given the covariates before cells went missing and
        averaged over what is hidden.
    horizon : float
        Time at which survival is compared.
    """

    X: pd.DataFrame
    y: NDArray[np.void]
    test: pd.DataFrame
    survival: Array
    horizon: float

    @property
    def effect(self) -> Array:
        """True individual effects on survival at the horizon, (n_test,)."""
        return self.survival[:, 1] - self.survival[:, 0]


@final
@dataclass(frozen=True)
class Scenario:
    """How patients and times come about.

    Attributes
    ----------
    draw : function of (n, gamma, generator) -> Trial
    about : str
        In words.
    """

    draw: Callable[[int, float, Generator], Trial]
    about: str


def trial(name: str, n: int, gamma: float, seed: int, repetition: int) -> Trial:
    """A trial of n patients; its patients depend on all arguments but gamma.

    Parameters
    ----------
    name : str
        One of SCENARIOS.
    n : int
        Training rows.
    gamma : float
        Log odds ratio of being treated per standard deviation of what is hidden; 0 is no hidden confounding.
    seed, repetition : int
        Of the random numbers.
    """
    generator = np.random.default_rng([seed, list(SCENARIOS).index(name), n, repetition])
    return SCENARIOS[name].draw(n, gamma, generator)


# ---- patients of our own ----
def _patients(n: int, generator: Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": generator.normal(62.0, 10.0, n),
            "stage": generator.choice(["I", "II", "III"], n, p=[0.4, 0.35, 0.25]),
            "marker": generator.normal(3.4, 0.9, n),
            "sex": generator.choice(["female", "male"], n),
            "site": generator.choice(["north", "east", "south", "west"], n),
            "nodes": generator.poisson(2.0, n).astype(float),
            "height": generator.normal(170.0, 9.0, n),
        }
    )


def _scores(patients: pd.DataFrame) -> tuple[Array, Array, Array, Array]:
    """Standardised age and marker; indicators of stages II and III."""
    age = (patients["age"].to_numpy() - 62.0) / 10.0
    marker = (patients["marker"].to_numpy() - 3.4) / 0.9
    stage = patients["stage"].to_numpy()
    return age, marker, (stage == "II").astype(float), (stage == "III").astype(float)


def log_hazard(patients: pd.DataFrame) -> Array:
    """Prognosis without treatment, higher for earlier events, (n,)."""
    age, marker, second, third = _scores(patients)
    nodes = patients["nodes"].to_numpy() - 2.0
    return -0.4 + 0.3 * age + 0.35 * marker + 0.4 * second + 0.9 * third + 0.15 * nodes


def linear_modification(patients: pd.DataFrame) -> Array:
    """Change of the log hazard by treatment, linear in covariates: some gain, some lose, (n,)."""
    age, marker, _, third = _scores(patients)
    return -0.3 - 0.5 * marker + 0.35 * age + 0.3 * third


def bent_modification(patients: pd.DataFrame) -> Array:
    """The same with a threshold of the marker, and a window of age in which treatment helps, (n,)."""
    age, marker, _, third = _scores(patients)
    return 0.5 - 1.0 * expit(6.0 * (marker - 0.3)) - 0.9 * np.exp(-(age**2)) + 0.3 * third


def weibull_survival(time: Any, index: Array) -> Array:
    """Proportional hazards: P(T > t) for log hazards `index`, times in years."""
    return np.exp(-((np.asarray(time) / 5.0) ** 1.3) * np.exp(index))


def lognormal_survival(time: Any, index: Array) -> Array:
    """Hazards that rise and fall and are not proportional: P(T > t)."""
    return norm.sf((np.log(np.asarray(time) / 4.5) + 0.7 * index) / 0.9)


def _weibull_times(uniform: Array, index: Array) -> Array:
    return 5.0 * (-np.log(uniform) * np.exp(-index)) ** (1 / 1.3)


def _lognormal_times(uniform: Array, index: Array) -> Array:
    return 4.5 * np.exp(-0.7 * index + 0.9 * norm.isf(uniform))


def _own(
    survival: Callable[[Any, Array], Array],
    times: Callable[[Array, Array], Array],
    modification: Callable[[pd.DataFrame], Array],
    unit: Callable[[Any], Any],
    horizon: float = 4.0,
) -> Callable[[int, float, Generator], Trial]:
    """A scenario from a survival function, its inverse, what treatment does, and how the table shows the marker."""

    def truth(patients: pd.DataFrame) -> Array:
        nodes, weights = hermegauss(40)
        base, change = log_hazard(patients), modification(patients)
        hidden = HIDDEN * nodes[:, None]
        arms = [survival(horizon, base + arm * change + hidden) for arm in (0, 1)]
        return np.stack([weights @ arm / weights.sum() for arm in arms], axis=1)

    def draw(n: int, gamma: float, generator: Generator) -> Trial:
        patients, test = _patients(n, generator), _patients(N_TEST, generator)
        hidden, uniform = generator.normal(size=n), generator.uniform(size=n)
        coin, censored = generator.uniform(size=n), _follow_up(n, generator)
        shown, shown_test = (_as_shown(table, unit, generator) for table in (patients, test))
        age, marker, _, third = _scores(patients)
        treated = coin < expit(0.4 * age - 0.3 * marker + 0.6 * (third - 0.25) + gamma * hidden)
        index = log_hazard(patients) + treated * modification(patients) + HIDDEN * hidden
        return _trial(shown, treated, times(uniform, index), censored, shown_test, truth(test), horizon)

    return draw


def _follow_up(n: int, generator: Generator) -> Array:
    """Patients enter over eight years and are followed until the tenth; a few are lost."""
    return np.minimum(generator.uniform(2.0, 10.0, n), generator.exponential(30.0, n))


def _as_shown(patients: pd.DataFrame, unit: Callable[[Any], Any], generator: Generator) -> pd.DataFrame:
    """Markers are missing more often in the old, stages and nodes at random."""
    shown, n = patients.assign(marker=unit(patients["marker"])), len(patients)
    age = _scores(patients)[0]
    shown.loc[generator.uniform(size=n) < expit(-1.9 + 0.5 * age), "marker"] = np.nan
    shown.loc[generator.uniform(size=n) < 0.05, "stage"] = None
    shown.loc[generator.uniform(size=n) < 0.05, "nodes"] = np.nan
    return shown


def _trial(
    X: pd.DataFrame, treated: Array, event: Array, censored: Array, test: pd.DataFrame, survival: Array, horizon: float
) -> Trial:
    X = X.assign(**{TREATMENT: treated.astype(int)}).reset_index(drop=True)
    y = ul.Surv(np.minimum(event, censored), event <= censored)
    return Trial(X, y, test.reset_index(drop=True), survival, horizon)


# ---- the synthetic counterfactual set ----
COUNTERFACTUAL_HORIZON = 5.0
_COVARIATES = [f"X{j}" for j in range(1, 9)]


@lru_cache(maxsize=1)
def _counterfactual() -> tuple[pd.DataFrame, Array, Array]:
    """Covariates (5000, 8), potential times (5000, 2) and true survival at the horizon (5000, 2).

    The file's names of the two times are swapped: rows with ``intervention`` 0 show the "time treated". Its censoring
    depends on the times and is not used. The law of the times is known up to its constants: given the health group Z,
    of which X1 and X2 are normal with one variance, and the group Zeta = 1{|X3| + |X4| > 2}, hazards are proportional
    in X1 to X4, with coefficients of Z and a baseline of Z, Zeta and arm. These are fitted to the 10,000 potential
    times, none of them censored, and averaged over P(Z | X1, X2), as Z is not shown to any method.
    """
    from lifelines import CoxPHFitter
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    table = ul.datasets.fetch_table("survival/synthetic_counterfactual")
    potential = table[["uncensored time treated", "uncensored time control"]].to_numpy(dtype=float)
    used = _COVARIATES[:4]
    group = LinearDiscriminantAnalysis().fit(table[used[:2]].to_numpy(), table["Z"])
    share = group.predict_proba(table[used[:2]].to_numpy())
    survival = np.zeros((len(table), 2))
    for k, z in enumerate(group.classes_):
        arms = [table[[*used, "Zeta"]].assign(time=potential[:, arm], arm=arm) for arm in (0, 1)]
        members = pd.concat([arm[table["Z"] == z] for arm in arms])
        law = CoxPHFitter().fit(members, "time", strata=["Zeta", "arm"])
        for arm in (0, 1):
            curves = law.predict_survival_function(arms[arm].drop(columns="time"), times=[COUNTERFACTUAL_HORIZON])
            survival[:, arm] += share[:, k] * curves.iloc[0].loc[table.index].to_numpy()  # it sorts rows by stratum
    return table[_COVARIATES], potential, survival


def _draw_counterfactual(n: int, gamma: float, generator: Generator) -> Trial:
    """Treatment and censoring drawn anew; what is hidden is the prognosis without treatment, as a normal score."""
    X, potential, survival = _counterfactual()
    rows = generator.permutation(len(X))
    train, test = rows[:n], rows[n : n + N_TEST]
    coin, censored = generator.uniform(size=n), generator.uniform(3.0, 15.0, n)
    score = -norm.ppf((rankdata(potential[:, 0]) - 0.5) / len(X))
    shown = X.iloc[train]
    treated = coin < expit(0.6 * shown["X1"].to_numpy() - 0.4 * shown["X3"].to_numpy() + gamma * score[train])
    event = potential[train, treated.astype(int)]
    return _trial(shown, treated, event, censored, X.iloc[test], survival[test], COUNTERFACTUAL_HORIZON)


SCENARIOS = {
    "weibull": Scenario(
        _own(weibull_survival, _weibull_times, linear_modification, np.asarray),
        "proportional hazards given all covariates, all effects linear: made for Cox with interactions",
    ),
    "lognormal": Scenario(
        _own(lognormal_survival, _lognormal_times, bent_modification, np.exp),
        "log-normal times, a skewed marker, effects that bend: no method has the right form",
    ),
    "counterfactual": Scenario(
        _draw_counterfactual,
        "synthetic set with both potential times; who gains depends on |X3| + |X4|, and crosses over",
    ),
}
