"""Predicted survival on 17 clinical data sets: SurvivalVAE, with one fixed default, against Cox regression and others.

Every set is split five times into 80 % training and 20 % test rows, stratified by event: split i is scikit-learn's
``train_test_split(rows, test_size=0.2, random_state=i, stratify=event)``. All models see the same splits and tables as
they come. Judged are

* the integrated Brier score, with censoring weights from the training rows, over 100 even times from the 5 % to the
  95 % quantile of training event times, ending where the training censoring survival falls below .05, and inside the
  follow-up of the test rows;
* Antolini's time-dependent C;
* D-calibration: splits in which it is rejected at 5 %;
* calibration in the large: |mean predicted survival - Kaplan-Meier of the test rows|, averaged over those times;
* CPU seconds to fit, on one thread.

Printed per set: the ratio to Cox of the mean integrated Brier scores, with a standard error from the paired ratios of
the splits that allows for their overlap (Nadeau and Bengio 2003). Printed over sets: the geometric mean of the ratios
with a 95 % interval, sets better than Cox with the one-sided sign test, the worst set, the mean gain in C, and
calibration; also for the odd and the even half of the sets, so that defaults chosen on the one can be seen to hold on
the other.

Every fit adds a row to the CSV, and a run leaves out what is there already. Settings other than the defaults are a
model of their own, so that they can be compared in one file.

    UNDERLIE_DATA=... python benchmarks/survival.py [--sets lung gbsg2] [--splits 5] [--jobs 2] [--half odd]
        [--settings alpha=0.5 n_replicates=4] [--peers forest scikit-cox] [--redo] [--out survival.csv]
"""

from __future__ import annotations

import argparse
import ast
import os
import time
import warnings
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from peers import Forest, ScikitCox
from rich import box
from rich.console import Console
from rich.table import Table
from scipy import stats
from tasks import Results, Row, run

import underlie as ul
from underlie.check.survival import CoxRegression, KaplanMeier, WeibullRegression
from underlie.check.survival.bench import Bench
from underlie.check.survival.judging import Judged, scores
from underlie.check.survival.kaplan_meier import censoring_curve, survival_curve
from underlie.check.survival.outcomes import Outcome, read_outcome
from underlie.check.survival.setting import make_setting
from underlie.check.survival.splits import corrected_interval, random_splits

Array = NDArray[np.float64]
#: By number of rows; the halves are every other one.
SETS = (
    "veteran", "lung", "pbc", "rossi", "whas500", "prostate", "follic", "uis", "gbsg2", "hodgkin", "colon", "actg320",
    "metabric", "actg175", "rotterdam", "flchain", "support2",
)  # fmt: skip
HALVES = {"odd": SETS[::2], "even": SETS[1::2]}
OURS, REFERENCE = "SurvivalVAE", "Cox"
BASELINES = {REFERENCE: CoxRegression, "Kaplan-Meier": KaplanMeier, "Weibull": WeibullRegression}
PEERS = {"scikit-cox": ScikitCox, "forest": Forest}
TIED = 1e-5  # two solvers of one likelihood differ by less
WIDTH = 150  # of the tables: a narrower terminal folds lines rather than losing columns
TEST_SHARE, N_TIMES, MIN_CENSORING, ALPHA = 0.2, 100, 0.05, 0.05
METRICS = ("integrated_brier", "brier_at_horizon", "antolini", "d_calibration_p")
KEY = ("set", "split", "model", "settings")
COLUMNS = (
    *KEY, "n", "events", "first_time", "last_time", *METRICS, "calibration", "fit_seconds", "cpu_seconds",
    "predict_seconds", "penalty",
)  # fmt: skip


@final
@dataclass(frozen=True)
class Task:
    """One model on one split of one set."""

    set: str
    split: int
    model: str
    settings: str

    @property
    def key(self) -> tuple[str, ...]:
        """As `Results.finished` has it."""
        return self.set, str(self.split), self.model, self.settings


def time_grid(train: Outcome, test: Outcome) -> Array:
    """Times over which the Brier score is integrated: see the head of this file."""
    low, high = np.quantile(train.time[train.event], [0.05, 0.95])
    censoring = censoring_curve(train)
    supported = censoring.times[censoring.values >= MIN_CENSORING]
    followed = np.sort(test.time)[-2]  # two test rows at least are still at risk
    end = min(high, followed, supported[-1] if len(supported) else high)
    return np.linspace(low, max(end, 1.01 * low), N_TIMES)


def bench_of(y_train: NDArray[np.void], y_test: NDArray[np.void]) -> Bench:
    """The grid, and the setting in which models predict at the grid and at every test row's own time."""
    train, test = read_outcome(y_train, "y_train"), read_outcome(y_test, "y_test")
    grid = time_grid(train, test)
    knots = np.unique(np.concatenate([grid, test.time[test.time > 0]]))
    horizon = float(np.clip(np.median(train.time[train.event]), grid[0], grid[-1]))
    setting = make_setting(
        knots,
        y_test,
        y_train,
        horizon=horizon,
        censoring="marginal",
        min_censoring=MIN_CENSORING,
        n_bootstrap=0,
        level=0.95,
        random_state=0,
    )
    return Bench(setting, grid)


def calibration(judged: Judged) -> float:
    """Mean over the grid of |mean predicted survival - Kaplan-Meier of the test rows|."""
    grid = judged.bench.grid
    gap = judged.curves.at(grid).mean(axis=1) - survival_curve(judged.test).at(grid)
    return float(np.abs(gap).mean())


def model_of(task: Task) -> Any:
    """The model, not yet fitted."""
    if task.model == OURS:
        return ul.SurvivalVAE(**{"random_state": task.split, "verbose": False} | parse_settings(task.settings))
    if task.model == "forest":
        return Forest(random_state=task.split)
    return (BASELINES | PEERS)[task.model]()


def parse_settings(text: str) -> dict[str, Any]:
    """``"alpha=0.5; hidden=(16,)"`` as parameters; values that are no Python literals are words."""
    settings: dict[str, Any] = {}
    for part in text.split("; ") if text != "default" else []:
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"--settings takes KEY=VALUE, got {part!r}")
        try:
            settings[name.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            settings[name.strip()] = value.strip()
    return settings


def judge(task: Task) -> list[Row]:
    """Fit, predict and judge; an error is a finding about the model."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    row: Row = {"set": task.set, "split": task.split, "model": task.model, "settings": task.settings}
    try:
        row |= _judged(task)
    except Exception as error:  # noqa: BLE001
        row["error"] = f"{type(error).__name__}: {error}"
    return [row]


def _judged(task: Task) -> Row:
    table = ul.datasets.fetch_table(f"survival/{task.set}")
    X, y = table.drop(columns=["time", "event"]), ul.Surv(table["time"], table["event"])
    splits, _ = random_splits(y["event"], task.split + 1, TEST_SHARE, 0)
    train, test = splits[task.split].train, splits[task.split].test
    bench = bench_of(y[train], y[test])
    model = model_of(task)
    begun, cpu = time.perf_counter(), time.process_time()
    model.fit(X.iloc[train], y[train])
    fitted, cpu_fitted = time.perf_counter(), time.process_time()
    survival = model.predict_survival_function(X.iloc[test], bench.setting.times)
    predicted = time.perf_counter()
    judged = Judged(bench, survival, None, task.model)
    return {
        "n": len(y),
        "events": int(y["event"].sum()),
        "first_time": bench.grid[0],
        "last_time": bench.grid[-1],
        **scores(judged, METRICS),
        "calibration": calibration(judged),
        "fit_seconds": fitted - begun,
        "cpu_seconds": cpu_fitted - cpu,
        "predict_seconds": predicted - fitted,
        "penalty": getattr(model, "penalty_", np.nan),
    }


def by_set(rows: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """What one model's rows say of each set, paired with Cox's rows of the same splits.

    Returns
    -------
    DataFrame
        Indexed by set, in the order of SETS: ``n``, ``events``, ``splits``, ``ibs``, ``ibs_cox``, ``ratio`` and its
        relative ``error``; ``c``, ``gain`` in C over Cox; ``rejected`` and ``rejected_cox`` of the splits;
        ``calibration``, ``calibration_cox``; ``seconds`` of the CPU, mean and ``longest``.
    """
    pairs = rows.merge(reference, on=["set", "split"], suffixes=("", "_cox"))
    found = {name: _one_set(part) for name, part in pairs.groupby("set")}
    return pd.DataFrame({name: found[name] for name in SETS if name in found}).T


def _one_set(pairs: pd.DataFrame) -> dict[str, float]:
    mean = pairs.mean(numeric_only=True)
    logs = np.log(pairs["integrated_brier"] / pairs["integrated_brier_cox"]).to_numpy(dtype=float)
    return {
        "n": mean["n"],
        "events": mean["events"],
        "splits": len(pairs),
        "ibs": mean["integrated_brier"],
        "ibs_cox": mean["integrated_brier_cox"],
        "ratio": mean["integrated_brier"] / mean["integrated_brier_cox"],
        "error": corrected_interval(logs, TEST_SHARE / (1 - TEST_SHARE), 0.95)[0],
        "c": mean["antolini"],
        "gain": mean["antolini"] - mean["antolini_cox"],
        "rejected": float((pairs["d_calibration_p"] < ALPHA).sum()),
        "rejected_cox": float((pairs["d_calibration_p_cox"] < ALPHA).sum()),
        "calibration": mean["calibration"],
        "calibration_cox": mean["calibration_cox"],
        "seconds": mean["cpu_seconds"],
        "longest": float(pairs["cpu_seconds"].max()),
    }


def over_sets(sets: pd.DataFrame) -> dict[str, Any]:
    """Summary over sets, each of which counts alike; intervals are from the spread between sets."""
    logs = np.log(sets["ratio"].to_numpy(dtype=float))
    k = len(sets)
    half = stats.t.ppf(0.975, k - 1) * logs.std(ddof=1) / np.sqrt(k) if k > 1 else np.nan
    better, untied = int((logs < -TIED).sum()), int((np.abs(logs) > TIED).sum())
    return {
        "sets": k,
        "ratio": float(np.exp(logs.mean())),
        "lower": float(np.exp(logs.mean() - half)),
        "upper": float(np.exp(logs.mean() + half)),
        "better": better,
        "sign_p": float(stats.binomtest(better, untied, 0.5, alternative="greater").pvalue) if untied else np.nan,
        "worst": float(sets["ratio"].max()),
        "worst_set": str(sets["ratio"].idxmax()),
        "gain": float(sets["gain"].mean()),
        "gain_error": float(sets["gain"].std(ddof=1) / np.sqrt(k)) if k > 1 else np.nan,
        "rejected": int(sets["rejected"].sum()),
        "rejected_cox": int(sets["rejected_cox"].sum()),
        "splits": int(sets["splits"].sum()),
        "calibration": float(sets["calibration"].mean()),
        "calibration_cox": float(sets["calibration_cox"].mean()),
        "seconds": float(sets["seconds"].median()),
        "longest": float(sets["longest"].max()),
    }


def show(table: pd.DataFrame, chosen: tuple[str, ...], console: Console) -> None:
    """Print one table per setting of the SurvivalVAE, and the summary of all models."""
    for model, failed in table[table["error"] != ""].groupby("model"):
        first = failed.iloc[0]
        console.print(
            f"{model} failed in {len(failed)} splits, first {first['set']} {first['split']}: {first['error']}"
        )
    sound = table[(table["error"] == "") & table["set"].isin(chosen)]
    reference = sound[sound["model"] == REFERENCE]
    penalised = reference[reference["penalty"] > 0]
    if len(penalised):
        console.print(f"Cox needed a ridge penalty in {len(penalised)} of {len(reference)} splits.")
    summaries: list[tuple[str, dict[str, Any]]] = []
    for (model, settings), rows in sound.groupby(["model", "settings"], sort=False):
        name = model if settings == "default" else f"{model} ({settings})"
        sets = by_set(rows, reference)
        if model == REFERENCE or sets.empty:
            continue
        summaries.append((name, over_sets(sets)))
        if model == OURS:
            console.print(_set_table(sets, name))
            for half, names in HALVES.items():
                part = sets[sets.index.isin(names)]
                if 1 < len(part) < len(sets):
                    summaries.append((f"  {half} half", over_sets(part)))
    if summaries:
        console.print(_summary_table(summaries))


def _set_table(sets: pd.DataFrame, title: str) -> Table:
    shown = Table(title=f"{title} against Cox, by set", box=box.SIMPLE_HEAD, title_justify="left")
    for heading in ("set", "n", "events", "splits", "IBS Cox", "IBS", "ratio", "± se", "C", "gain in C"):
        shown.add_column(heading, justify="left" if heading == "set" else "right")
    for heading in ("D-calibration\nrejected (Cox)", "calibration\nin the large (Cox)", "CPU s"):
        shown.add_column(heading, justify="right")
    for name, s in sets.iterrows():
        shown.add_row(
            str(name), f"{s['n']:.0f}", f"{s['events']:.0f}", f"{s['splits']:.0f}", f"{s['ibs_cox']:.4f}",
            f"{s['ibs']:.4f}", f"{s['ratio']:.4f}", f"{s['error']:.4f}".replace("nan", "–"), f"{s['c']:.3f}",
            f"{s['gain']:+.4f}", f"{s['rejected']:.0f} ({s['rejected_cox']:.0f})",
            f"{s['calibration']:.4f} ({s['calibration_cox']:.4f})", f"{s['seconds']:.2f}",
        )  # fmt: skip
    return shown


def _summary_table(summaries: list[tuple[str, dict[str, Any]]]) -> Table:
    shown = Table(title="Over sets, relative to Cox", box=box.SIMPLE_HEAD, title_justify="left")
    for heading in ("model", "sets", "IBS ratio [95 %]", "better (p)", "worst set", "gain in C ± se"):
        shown.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
    for heading in ("D-calibration\nrejected (Cox)", "calibration\nin the large (Cox)", "CPU s\nmedian, max"):
        shown.add_column(heading, justify="right")
    for name, s in summaries:
        shown.add_row(
            name, str(s["sets"]), f"{s['ratio']:.4f} [{s['lower']:.3f}, {s['upper']:.3f}]".replace("nan", "–"),
            f"{s['better']} ({s['sign_p']:.3f})".replace("nan", "–"), f"{s['worst']:.3f} {s['worst_set']}",
            f"{s['gain']:+.4f} ± {s['gain_error']:.4f}".replace("nan", "–"),
            f"{s['rejected']} ({s['rejected_cox']}) of {s['splits']}",
            f"{s['calibration']:.4f} ({s['calibration_cox']:.4f})", f"{s['seconds']:.2f}, {s['longest']:.1f}",
        )  # fmt: skip
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET", help=", ".join(SETS))
    parser.add_argument("--half", choices=HALVES, help="only the odd or the even ones of the sets")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, of one thread each")
    parser.add_argument("--settings", nargs="*", default=[], metavar="KEY=VALUE", help="parameters of SurvivalVAE")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=[], help="of scikit-survival")
    parser.add_argument("--redo", action="store_true", help="fit SurvivalVAE again where the CSV has it")
    parser.add_argument("--show", action="store_true", help="fit nothing: show what the CSV has")
    parser.add_argument("--out", default="survival.csv")
    arguments = parser.parse_args()
    settings = "; ".join(arguments.settings) or "default"
    known = ul.SurvivalVAE().get_params()
    if wrong := [name for name in parse_settings(settings) if name not in known]:
        parser.error(f"SurvivalVAE has no parameter {wrong[0]!r}; it has {', '.join(known)}")
    chosen = tuple(s for s in arguments.sets if arguments.half is None or s in HALVES[arguments.half])
    if absent := [s for s in chosen if f"survival/{s}" not in ul.datasets.tables()]:
        parser.error(f"the folder named by UNDERLIE_DATA has no survival/{absent[0]}.parquet")
    results = Results(arguments.out, COLUMNS, KEY)
    models = [(name, "default") for name in (*BASELINES, *arguments.peers)] + [(OURS, settings)]
    tasks = [Task(s, i, m, given) for s in chosen for i in range(arguments.splits) for m, given in models]
    done = results.finished()
    tasks = [t for t in tasks if t.key not in done or (arguments.redo and t.model == OURS)]
    console = Console(width=max(Console().width, WIDTH))
    begun = time.perf_counter()
    for i, rows in enumerate(run([] if arguments.show else tasks, judge, arguments.jobs), 1):
        for row in rows:
            results.add(row)
            note = row.get("error") or f"IBS {row['integrated_brier']:.4f}  C {row['antolini']:.4f}"
            minutes = (time.perf_counter() - begun) / 60
            print(
                f"[{i}/{len(tasks)}, {minutes:.1f} min] {row['set']} {row['split']} {row['model']}  {note}", flush=True
            )
    show(results.table(), chosen, console)


if __name__ == "__main__":
    main()
