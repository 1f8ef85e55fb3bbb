"""Advice on clinical sets with treatments: what SurvivalVAE's rules are worth against fixed arms, cross-fitted.

For each set the model is fitted to four fifths of the patients and advises the rest; the value of following the advice,
P(T > time) over all patients, is estimated doubly robustly (augmented inverse probability of treatment and censoring)
with 95 % intervals, beside treating all alike, and as observed. actg175, colon, rossi and the first 312 rows of pbc are
randomised; in gbsg2 part of the patients chose.

    UNDERLIE_DATA=... python benchmarks/policies.py [--sets gbsg2 colon] [--folds 5] [--seed 0]
"""

from __future__ import annotations

import argparse
import time

import pandas as pd

import underlie as ul

#: set -> treatment, control, time at which survival is asked, least gain, whether treatment was drawn by lot
SETS: dict[str, tuple[str, object, float, float, bool]] = {
    "actg175": ("arms", "0", 700.0, 0.0, True),
    "colon": ("rx", "Obs", 1500.0, 0.0, True),
    "gbsg2": ("horTh", "no", 1460.0, 0.07, False),
    "rossi": ("fin", 0.0, 52.0, 0.0, True),
    "pbc": ("treatment", "2.0", 1500.0, 0.0, True),
}


def read(name: str, treatment: str) -> tuple[pd.DataFrame, object]:
    """The patients who were given a treatment, and their outcomes."""
    table = ul.datasets.fetch_table(f"survival/{name}")
    table = table[table[treatment].notna()].reset_index(drop=True)
    return table.drop(columns=["time", "event"]), ul.Surv(table["time"], table["event"])


def main() -> None:
    """Evaluate each set and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for name in asked.sets:
        treatment, control, at, gain, randomised = SETS[name]
        X, y = read(name, treatment)
        begun = time.perf_counter()
        model = ul.SurvivalVAE(treatment, random_state=asked.seed, verbose=False)
        found = ul.evaluate_policy(
            model,
            X,
            y,
            time=at,
            min_gain=gain,
            control=control,
            randomised=randomised,
            n_folds=asked.folds,
            random_state=asked.seed,
        )
        print(f"\n{name}: {len(X)} rows, {time.perf_counter() - begun:.0f} s; another arm where it gains {gain:g}")
        print(found)


if __name__ == "__main__":
    main()
