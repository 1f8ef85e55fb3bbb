"""What a survival study finds: a fitted model, how good it is on held-out rows, and what it says of treatments."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from underlie.estimators.survival_effects import MIN_PROPENSITY, option_name, treatment_options
from underlie.report.study.study import Study
from underlie.warnings import DataWarning, warn

#: told what is being done now
Say = Callable[[str], None]

MODEL, COX, KAPLAN_MEIER = "SurvivalVAE", "Cox", "Kaplan-Meier"
METRICS: Final = ("integrated_brier", "brier_at_horizon", "antolini", "absolute_calibration_in_the_large")
#: treatments beside the control for which benefit is drawn and calibrated
MOST_COMPARED: Final = 3
#: events that a group of a calibration curve should have, and rows of either arm for one of benefit
_EVENTS_PER_GROUP, _ROWS_PER_GROUP = 15, 25
#: up to so many rows one thread is faster than several
_FEW_ROWS: Final = 5000


@final
@dataclass(frozen=True)
class Effort:
    """How much is computed.

    Attributes
    ----------
    splits, folds : int
        Random splits for the comparison; folds for what is judged by cross-fitting.
    replicates, max_epochs : int or None
        Of the model; None leaves the choice to it.
    seed : int
    """

    splits: int = 5
    folds: int = 5
    replicates: int | None = None
    max_epochs: int | None = None
    seed: int = 0


@final
@dataclass(frozen=True)
class Decisions:
    """What a model says of treatments, and what that is worth.

    Attributes
    ----------
    options : dict of name to treatment as the model takes it; control first
    advice : DataFrame
        What ``recommend`` says of each row.
    propensity : DataFrame
        One column per option, by name.
    effects : dict of name to DataFrame
        ``treatment_effect`` of each option against the control, in rows.
    average : dict of name to DataFrame
        The same on average over all rows.
    evaluation : PolicyEvaluation
        By models that have not seen the row.
    benefit : dict of name to BenefitCalibration
        Of at most three options, by these models.
    """

    options: dict[str, Any]
    advice: pd.DataFrame
    propensity: pd.DataFrame
    effects: dict[str, pd.DataFrame]
    average: dict[str, pd.DataFrame]
    evaluation: Any
    benefit: dict[str, Any]

    @property
    def withheld(self) -> int:
        """Rows without a recommendation: what would be recommended, or the control, is outside the support."""
        return int((~self.advice["supported"].astype(bool)).sum())

    @property
    def narrowed(self) -> int:
        """Rows for which some treatment could not be considered, being outside the support."""
        return int((self.propensity < MIN_PROPENSITY).any(axis=1).sum())


@final
@dataclass(frozen=True)
class Findings:
    """All that a report needs.

    Attributes
    ----------
    model : SurvivalVAE
    comparison : SurvivalModelComparison
    calibration : dict of name to SurvivalMetrics
        At the horizon, of the model and of Cox regression, for rows that they have not seen.
    decisions : Decisions or None
        Where there are treatments.
    n_folds : int
        Behind calibration and decisions.
    """

    model: Any
    comparison: Any
    calibration: dict[str, Any]
    decisions: Decisions | None
    n_folds: int


def investigate(study: Study, effort: Effort, say: Say) -> Findings:
    """Fit the model to all rows; judge it, and its advice, on rows that copies of it have not seen."""
    import underlie as ul

    say(f"fitting to {len(study.X):,} rows, {int(study.y['event'].sum()):,} events")
    model = new_model(study, effort).fit(study.X, study.y)
    per_fit = model.fit_time_
    say(f"comparing with Cox and Kaplan-Meier on {effort.splits} splits, about {_seconds(effort.splits * per_fit)}")
    comparison = ul.compare_survival_models(
        {MODEL: new_model(study, effort), COX: "cox", KAPLAN_MEIER: "kaplan-meier"},
        study.X,
        study.y,
        n_splits=effort.splits,
        horizon=study.horizon,
        metrics=METRICS,
        reference=COX,
        random_state=effort.seed,
        verbose=False,
    )
    what = "advice and calibration" if study.options else "calibration"
    say(f"judging {what} in {effort.folds} folds, about {_seconds(effort.folds * per_fit)}")
    decisions = _decide(study, effort, model) if study.options else None
    fold, survival = _held_out(study, effort, decisions)
    calibration = _calibrate(study, effort, fold, survival)
    return Findings(model, comparison, calibration, decisions, effort.folds)


def suitable_threads(study: Study) -> AbstractContextManager[Any]:
    """One thread for a table of moderate size, as many as there are for a large one.

    Several threads slow down regressions and predictions of moderate size, many times over where other programs run
    beside.
    """
    limits: AbstractContextManager[Any] = threadpool_limits(1 if len(study.X) <= _FEW_ROWS else None)
    return limits


def new_model(study: Study, effort: Effort) -> Any:
    """An estimator that is not fitted yet."""
    import underlie as ul

    chosen = {"n_replicates": effort.replicates, "max_epochs": effort.max_epochs}
    given = {name: value for name, value in chosen.items() if value is not None}
    treatments = list(study.treatments) if len(study.treatments) > 1 else (study.treatments or (None,))[0]
    return ul.SurvivalVAE(treatments, kinds=study.kinds or None, random_state=effort.seed, verbose=False, **given)


def _decide(study: Study, effort: Effort, model: Any) -> Decisions:
    import underlie as ul

    by_name = {option_name(option): option for option in treatment_options(model)}
    options = {name: by_name[name] for name in study.options}
    control = options[study.control]
    asked = (study.X, study.horizon)
    compared = [name for name in options if name != study.control]
    evaluation = ul.evaluate_policy(
        new_model(study, effort),
        study.X,
        study.y,
        time=study.horizon,
        min_gain=study.min_gain,
        control=control,
        randomised=study.randomised,
        n_folds=effort.folds,
        random_state=effort.seed,
    )
    return Decisions(
        options=options,
        advice=model.recommend(*asked, study.min_gain, control=control),
        propensity=model.propensity(study.X)[list(options)],
        effects={name: model.treatment_effect(*asked, options[name], control) for name in compared},
        average={name: model.average_effect(*asked, options[name], control) for name in compared},
        evaluation=evaluation,
        benefit={
            name: evaluation.calibration(
                _as_evaluated(study, options, name),
                _as_evaluated(study, options, study.control),
                n_groups=_benefit_groups(study, name),
                random_state=effort.seed,
            )
            for name in compared[:MOST_COMPARED]
        },
    )


def _as_evaluated(study: Study, options: dict[str, Any], name: str) -> Any:
    """A treatment as `evaluate_policy` calls it: combinations by name."""
    return options[name] if len(study.treatments) == 1 else name


def _benefit_groups(study: Study, name: str) -> int:
    """As many groups, of at most four, as leave enough rows of the rarer arm in each."""
    rarer = min(study.received.count(name), study.received.count(study.control))
    return int(np.clip(rarer // _ROWS_PER_GROUP, 1, 4))


def _held_out(study: Study, effort: Effort, decisions: Decisions | None) -> tuple[Any, np.ndarray[Any, Any]]:
    """Fold of each row, and survival to the horizon under its own treatment by a model that has not seen it."""
    if decisions is not None:
        rows = decisions.evaluation.rows
        own = [rows[f"survival {received}"].iloc[i] for i, received in enumerate(rows["treatment"])]
        return rows["fold"].to_numpy(), np.array(own)
    from sklearn.model_selection import StratifiedKFold

    fold, survival = np.zeros(len(study.X), dtype=int), np.empty(len(study.X))
    cut = StratifiedKFold(effort.folds, shuffle=True, random_state=effort.seed)
    for k, (train, test) in enumerate(cut.split(study.X, study.y["event"])):
        fitted = new_model(study, effort).fit(study.X.iloc[train], study.y[train])
        fold[test] = k
        survival[test] = fitted.predict_survival_function(study.X.iloc[test], [study.horizon])[:, 0]
    return fold, survival


def _calibrate(study: Study, effort: Effort, fold: Any, survival: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Calibration at the horizon, of the model and of Cox regression fitted to the same folds."""
    import underlie as ul
    from underlie.check.survival import CoxRegression

    of_cox = np.empty(len(fold))
    try:
        for k in np.unique(fold):
            test = fold == k
            cox = CoxRegression().fit(study.X[~test], study.y[~test])
            of_cox[test] = cox.predict_survival_function(study.X[test], [study.horizon])[:, 0]
        curves = {MODEL: survival, COX: of_cox}
    except ValueError as error:
        # The comparison goes on without Cox regression where it cannot be fitted, and so does the figure.
        warn(f"Cox regression could not be calibrated: {error}", DataWarning)
        curves = {MODEL: survival}
    groups = int(np.clip(study.y["event"].sum() // _EVENTS_PER_GROUP, 2, 10))
    return {
        name: ul.survival_metrics(
            values[:, None],
            [study.horizon],
            study.y,
            study.y,
            horizon=study.horizon,
            n_groups=groups,
            random_state=effort.seed,
        )
        for name, values in curves.items()
    }


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
