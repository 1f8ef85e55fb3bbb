"""Patients of a clinical trial: cells are hidden at random, and models of the whole row fill them in."""

from __future__ import annotations

from typing import Any

import pandas as pd

import underlie as ul
from underlie.app.beside import Note
from underlie.cli.demo_part import Kept, Part, Say
from underlie.cli.imputation_study import (
    Imputer,
    Study,
    column_table,
    mean_or_mode,
    run_study,
    study_facts,
    study_table,
)
from underlie.report import Column, Estimate, Figure, Section, picture
from underlie.report.numbers import format_column

_SHARE = 0.1
_MASKS = 8


def patients_part(seed: int, say: Say) -> Part:
    """Hide a tenth of the cells of the GBSG2 table, several times; impute by mean, pPCA and VAE; measure errors."""
    patients = ul.datasets.load_gbsg2()
    X = patients.drop(columns=["time", "event"])
    methods: dict[str, Imputer] = {"mean or mode": mean_or_mode(X), "pPCA": _ppca, "VAE": _vae}
    study = run_study(
        X,
        methods,
        share=_SHARE,
        n_masks=_MASKS,
        seed=seed,
        report=lambda k: say(f"patients: imputed {k} of {_MASKS} masks"),
    )
    say("patients: fitting to all cells")
    whole = ul.VAE(random_state=seed, verbose=False).fit(X)
    result = study_table(study, f"Hidden cells of {len(X):,} patients, imputed")
    section = Section(
        "Patients: imputing hidden cells",
        (
            f"The covariates of the German Breast Cancer Study Group's second trial (Schumacher et al. 1994): "
            f"{len(X):,} women, "
            f"{len(X.columns)} columns, complete. {100 * _SHARE:.0f} % of the cells were hidden completely at random, "
            f"{_MASKS} times over; each method was fitted to what was left, and its guesses compared with the truth.",
            result,
            _errors_figure(study),
            column_table(study, "The same, column by column"),
            "A mean is one standard deviation off by construction. Where columns depend on each other, as age "
            "and menopausal "
            "status do, a model of the whole row can do better; where a column is nearly independent of the "
            "rest, nothing can.",
        ),
    )
    return Part(
        name="patients",
        result=result,
        sections=(section,),
        headline=(_headline(study),),
        facts={"data": "GBSG2", "n_rows": len(X), "share_hidden": _SHARE, **study_facts(study)},
        kept=(Kept("patients-table", whole, patients, Note("patients.csv", time="time", event="event")),),
    )


def _ppca(holed: pd.DataFrame, seed: int) -> pd.DataFrame:
    # One noise variance for all columns makes sense only on standardised ones: age and hormone levels differ in unit.
    return ul.ProbabilisticPCA("bic", standardize=True, random_state=seed).fit(holed).impute(holed)


def _vae(holed: pd.DataFrame, seed: int) -> pd.DataFrame:
    return ul.VAE(random_state=seed, verbose=False).fit(holed).impute(holed)


def _errors_figure(study: Study) -> Figure:
    errors = [
        {"column": name, "method": method, "error": error}
        for name, table in study.by_column.items()
        for method, row in zip(study.methods, table, strict=True)
        for error in row
    ]
    return picture(
        ul.plot.imputation(pd.DataFrame(errors), label="RMSE in sd (numeric) or share of wrong levels (discrete)"),
        "Imputation error by column",
        alt="One line per column of the table, with the error of mean, pPCA and VAE imputation and their range "
        "over masks.",
        reading="Further left is better. Bars run from the best to the worst mask; where the marks of two "
        "methods lie within each other's bars, look at the paired differences in the table instead.",
        media="svg",
    )


def _headline(study: Study) -> tuple[str, str]:
    """The best paired improvement over the mean on numeric cells, with its standard error."""
    gains: dict[str, Any] = {
        method: study.numeric[i] - study.numeric[0] for i, method in enumerate(study.methods) if i > 0
    }
    best = min(gains, key=lambda method: float(gains[method].mean()))
    values = gains[best]
    cell = Estimate(float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5))
    return f"Patients: imputation RMSE, {best} less mean (sd)", format_column(Column("", "estimate"), [cell])[0]
