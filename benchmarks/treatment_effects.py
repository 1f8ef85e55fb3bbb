"""Individual treatment effects where the truth is known: how far are predictions off, and what do their advices gain?

Patients are simulated (benchmarks/simulated_effects.py): two scenarios of our own, with mixed columns and missing
cells, and the synthetic counterfactual set with treatment and censoring drawn anew. Treatment depends on covariates
that all methods see, and by gamma on a trait that none sees: gamma is the log odds ratio of being treated per standard
deviation of that trait. Patients and their potential times are the same for all gamma.

Methods, all as they come: SurvivalVAE; Cox regression with a product of treatment and every covariate, shrunk by
cross-validation; Cox regression with one hazard ratio; a Cox regression for each arm; a random survival forest for each
arm (where scikit-survival is installed).

On 2,000 new patients, survival at a horizon:

    RMSE             root mean squared error of the individual effects, whose spread is the last line of each block;
                     the truth is that of the complete patient, also where cells are missing
    bias             error of the average effect
    rank             Spearman's correlation with the true effects
    coverage         share of the individual 95 % intervals, and of those of the average effect, that hold the truth
    regret           survival at the horizon that is lost, in percentage points, by treating those with a predicted
                     gain rather than those who do gain; also of treating all and of treating none

with standard errors over repetitions; differences to Cox with interactions are paired by repetition. No method can see
hidden confounding: the last table shows how errors grow with gamma while nothing that a user sees tells of it.

    UNDERLIE_DATA=... python benchmarks/treatment_effects.py [--quick] [--scenarios weibull lognormal counterfactual]
        [--rows 500 2000] [--gammas 0 0.5 1 2] [--repetitions 20] [--bootstrap 0] [--jobs 2] [--out effects.csv]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
import warnings
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd
from effect_learners import LEARNERS, OURS, REFERENCE, Effects
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from simulated_effects import SCENARIOS, trial
from tasks import Results, Row, run

import underlie as ul

Array = NDArray[np.float64]
FOREST = "T-learner, forest"
WIDTH = 150  # of the tables: a narrower terminal folds lines rather than losing columns
KEY = ("scenario", "n", "gamma", "repetition", "seed", "bootstrap", "method")
FOUND = (
    "rmse", "bias", "rank", "coverage", "coverage_complete", "width", "average_covered", "average_width", "supported",
    "value", "treated",
)  # fmt: skip
TRUTH = ("spread", "average", "value_all", "value_none", "value_best")
COLUMNS = (*KEY, *FOUND, *TRUTH, "cpu_seconds")


@final
@dataclass(frozen=True)
class Task:
    """One method on one simulated trial."""

    scenario: str
    n: int
    gamma: float
    repetition: int
    seed: int
    bootstrap: int
    method: str

    @property
    def key(self) -> tuple[str, ...]:
        """As `Results.finished` has it."""
        return tuple(str(getattr(self, name)) for name in KEY)


def study(task: Task) -> list[Row]:
    """Simulate, fit, predict, compare with the truth; an error is a finding about the method."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    row: Row = {name: getattr(task, name) for name in KEY}
    try:
        given = trial(task.scenario, task.n, task.gamma, task.seed, task.repetition)
        learner = LEARNERS[task.method](task.repetition, task.bootstrap)
        begun = time.process_time()
        learner.fit(given.X, given.y)
        row["cpu_seconds"] = time.process_time() - begun
        complete = given.test.notna().all(axis=1).to_numpy()
        row |= compare(learner.effects(given.test, given.horizon), given.survival, complete)
    except Exception as error:  # noqa: BLE001
        row["error"] = f"{type(error).__name__}: {error}"
    return [row]


def compare(predicted: Effects, survival: Array, complete: NDArray[np.bool_]) -> Row:
    """What is reported of predicted effects, given true survival (n, 2) and which rows have no missing cell."""
    truth = survival[:, 1] - survival[:, 0]
    error, advice = predicted.effect - truth, predicted.effect > 0
    found: Row = {
        "rmse": np.sqrt(np.mean(error**2)),
        "bias": error.mean(),
        "rank": spearmanr(predicted.effect, truth).statistic,
        "supported": predicted.supported,
        "value": np.where(advice, survival[:, 1], survival[:, 0]).mean(),
        "treated": advice.mean(),
        "spread": truth.std(),
        "average": truth.mean(),
        "value_all": survival[:, 1].mean(),
        "value_none": survival[:, 0].mean(),
        "value_best": survival.max(axis=1).mean(),
    }
    if predicted.interval is not None:
        lower, upper = predicted.interval
        holds = (lower <= truth) & (truth <= upper)
        found |= {
            "coverage": holds.mean(),
            "coverage_complete": holds[complete].mean(),
            "width": (upper - lower).mean(),
        }
    if predicted.average_interval is not None:
        low, high = predicted.average_interval
        found |= {"average_covered": float(low <= truth.mean() <= high), "average_width": high - low}
    return found


def mean_and_error(values: pd.Series) -> tuple[float, float]:
    """Mean over repetitions, and its standard error."""
    known = values.dropna()
    return known.mean(), known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.nan


def difference(rows: pd.DataFrame, method: str, column: str) -> tuple[float, float]:
    """Mean paired difference of a method to Cox with interactions, and its standard error."""
    wide = rows.pivot(index="repetition", columns="method", values=column)
    if method not in wide or REFERENCE not in wide:
        return np.nan, np.nan
    return mean_and_error(wide[method] - wide[REFERENCE])


def show(table: pd.DataFrame, console: Console) -> None:
    """Print a block per scenario, number of rows and gamma, and how errors grow with gamma."""
    for method, failed in table[table["error"] != ""].groupby("method"):
        console.print(f"{method} failed {len(failed)} times, first: {failed['error'].iloc[0]}")
    sound = table[table["error"] == ""].copy()
    sound["regret"] = 100 * (sound["value_best"] - sound["value"])
    for (scenario, n), part in sound.groupby(["scenario", "n"], sort=False):
        console.print(f"\n{scenario}, n = {n}: {SCENARIOS[scenario].about}")
        for gamma, rows in part.groupby("gamma"):
            console.print(_block(rows, float(gamma)))
    if sound["gamma"].nunique() > 1:
        for n, rows in sound.groupby("n"):
            console.print(_confounding(rows, int(n)))


def _cell(pair: tuple[float, float], digits: int = 3, sign: str = "") -> str:
    mean, error = pair
    if np.isnan(mean):
        return "–"
    return f"{mean:{sign}.{digits}f}" + ("" if np.isnan(error) else f" ± {error:.{digits}f}")


def _block(rows: pd.DataFrame, gamma: float) -> Table:
    title = f"gamma = {gamma:g}, {rows['repetition'].nunique()} repetitions (mean ± standard error)"
    shown = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    headings = ("RMSE", "- Cox int.", "bias", "rank", "coverage", "of average", "regret", "- Cox int.", "CPU s")
    for heading in ("method", *headings):
        shown.add_column(heading, justify="left" if heading == "method" else "right", no_wrap=True)
    for method in [m for m in LEARNERS if m in set(rows["method"])]:
        own = rows[rows["method"] == method]
        others = method != REFERENCE
        shown.add_row(
            method,
            _cell(mean_and_error(own["rmse"])),
            _cell(difference(rows, method, "rmse"), sign="+") if others else "",
            _cell(mean_and_error(own["bias"]), sign="+"),
            _cell(mean_and_error(own["rank"]), 2),
            _cell(mean_and_error(own["coverage"]), 2),
            _cell(mean_and_error(own["average_covered"]), 2),
            _cell(mean_and_error(own["regret"]), 1),
            _cell(difference(rows, method, "regret"), 1, "+") if others else "",
            f"{own['cpu_seconds'].mean():.1f}",
        )
    truth = rows.drop_duplicates("repetition")
    shown.add_section()
    for policy, column in (("treat all", "value_all"), ("treat none", "value_none")):
        regret = 100 * (truth["value_best"] - truth[column])
        shown.add_row(policy, *[""] * 6, _cell(mean_and_error(regret), 1), "", "")
    best, average = (_cell(mean_and_error(truth[c])) for c in ("value_best", "average"))
    shown.caption = (
        f"true effects: average {average}, standard deviation {truth['spread'].mean():.3f}; "
        f"survival if all who gain are treated {best}"
    )
    shown.caption_justify = "left"
    return shown


def _confounding(rows: pd.DataFrame, n: int) -> Table:
    """Per method and gamma: what goes wrong, beside the signs that a user could look at."""
    title = f"hidden confounding, n = {n}: |bias| of the average effect and regret grow, intervals and support do not"
    shown = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    shown.add_column("scenario")
    shown.add_column("method")
    gammas = sorted(rows["gamma"].unique())
    for gamma in gammas:
        shown.add_column(f"bias\ngamma {gamma:g}", justify="right", no_wrap=True)
    for heading in ("regret", "coverage of average", "its width", "supported"):
        shown.add_column(f"{heading}\ngamma {gammas[0]:g} → {gammas[-1]:g}", justify="right")
    for scenario, part in rows.groupby("scenario", sort=False):
        for method in [m for m in LEARNERS if m in set(part["method"])]:
            own = part[part["method"] == method].groupby("gamma")
            biases = [_cell(mean_and_error(own["bias"].get_group(g)), sign="+") for g in gammas]
            ends = [_ends(own[c].mean(), gammas, d) for c, d in zip(_SIGNS, _DIGITS, strict=True)]
            shown.add_row(str(scenario), method, *biases, *ends[:-1], ends[-1] if method == OURS else "–")
    return shown


_SIGNS, _DIGITS = ("regret", "average_covered", "average_width", "supported"), (1, 2, 3, 2)


def _ends(means: Any, gammas: list[float], digits: int) -> str:
    first, last = (means.get(g, np.nan) for g in (gammas[0], gammas[-1]))
    return "–" if np.isnan(first) else f"{first:.{digits}f} → {last:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="500 rows, gamma 0 and 2, two repetitions: a minute or two"
    )
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--methods", nargs="+", choices=LEARNERS, default=list(LEARNERS))
    parser.add_argument("--rows", nargs="+", type=int, default=[500, 2000])
    parser.add_argument("--gammas", nargs="+", type=float, default=[0.0, 0.5, 1.0, 2.0])
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bootstrap", type=int, default=0, help="resamples for intervals of Cox with interactions")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, of one thread each")
    parser.add_argument("--show", action="store_true", help="fit nothing: show what the CSV has")
    parser.add_argument("--out", default="effects.csv")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rows, arguments.gammas, arguments.repetitions = [500], [0.0, 2.0], 2
    console = Console(width=max(Console().width, WIDTH))
    methods, scenarios = arguments.methods, arguments.scenarios
    if "counterfactual" in scenarios and "survival/synthetic_counterfactual" not in ul.datasets.tables():
        scenarios = [s for s in scenarios if s != "counterfactual"]
        console.print("the folder named by UNDERLIE_DATA has no survival/synthetic_counterfactual.parquet: left out.")
    if FOREST in methods and importlib.util.find_spec("sksurv") is None:
        methods = [m for m in methods if m != FOREST]
        console.print("scikit-survival is not installed: no forests.")
    results = Results(arguments.out, COLUMNS, KEY)
    tasks = [
        Task(scenario, n, gamma, repetition, arguments.seed, arguments.bootstrap if m == REFERENCE else 0, m)
        for repetition in range(arguments.repetitions)
        for n in arguments.rows
        for scenario in scenarios
        for gamma in arguments.gammas
        for m in methods
    ]
    done = results.finished()
    open_tasks = [] if arguments.show else [t for t in tasks if t.key not in done]
    begun = time.perf_counter()
    for i, rows in enumerate(run(open_tasks, study, arguments.jobs), 1):
        for row in rows:
            results.add(row)
        if i % 10 == 0 or i == len(open_tasks):
            print(f"{i} of {len(open_tasks)} fits, {(time.perf_counter() - begun) / 60:.1f} min", flush=True)
    table, wanted = results.table(), {t.key for t in tasks}
    keys = table[list(KEY)].astype(str).itertuples(index=False, name=None)
    show(table[np.array([key in wanted for key in keys], dtype=bool)], console)


if __name__ == "__main__":
    main()
