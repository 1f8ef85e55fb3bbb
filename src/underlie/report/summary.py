"""Everything worth saying about one fitted model and some rows, as plain data."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, final

from sklearn.utils.validation import check_is_fitted

from underlie.estimators.base import Estimator
from underlie.report.alerts import find_alerts
from underlie.report.facts.data import data_facts
from underlie.report.facts.judged import Judged
from underlie.report.facts.labels import Labelled, label_facts, labelled
from underlie.report.facts.likelihood import likelihood_facts
from underlie.report.facts.model import history_facts, latent_facts, model_facts
from underlie.report.facts.moments import NotAnswered, moment_facts, moment_result
from underlie.report.facts.survival import Predictions, default_horizon, effect_facts, prediction_facts, predictions
from underlie.report.layout import SUMMARY_FORMAT
from underlie.report.plain import plain
from underlie.report.provenance import provenance
from underlie.report.time_unit import TimeUnit
from underlie.warnings import UnderlieWarning

T = TypeVar("T")


@final
@dataclass(frozen=True)
class Effort:
    """How a model is judged, and how much is computed for it.

    Attributes
    ----------
    held_out : bool or None
        Whether the model has not seen the rows; None where it is not said.
    horizon : float or None
        Time at which survival is asked for, in the unit of y.
    time_unit : str or None
        Of y: days, weeks, months or years.
    randomised : bool
        Whether treatment was drawn by lot.
    n_draws : int or None
        Draws of latent variables per row behind an estimated log-likelihood; None for the estimator's own number.
    n_simulations : int
        Data sets behind p-values, resamples behind intervals; 0 for none.
    max_rows : int
        More rows are not judged, but a random choice of so many.
    seed : int
        Of these choices, draws and simulations.
    """

    held_out: bool | None = None
    horizon: float | None = None
    time_unit: str | None = None
    randomised: bool = False
    n_draws: int | None = None
    n_simulations: int = 199
    max_rows: int = 5000
    seed: int = 0


@final
@dataclass(eq=False)
class Evidence:
    """What was computed on the way and figures are drawn from; None for what was not."""

    model: Any
    judged: Judged
    effort: Effort
    moments: Any = None
    labels: list[Labelled] = field(default_factory=list)
    survival: Predictions | None = None


def investigate(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    extra: Any = None,
    title: str | None = None,
    effort: Effort | None = None,
    command: str | None = None,
    seconds: float | None = None,
    caught: Sequence[warnings.WarningMessage] = (),
) -> tuple[dict[str, Any], Evidence]:
    """Facts about a fitted model and the rows that it is judged on, and what figures are drawn from.

    Parameters
    ----------
    model : fitted estimator of this package
    X : table, array, images or row source of n rows
        NaN or null where missing.
    y : labels or outcomes of the rows, optional
        Without them predictions are not judged.
    extra : table or array of n rows, optional
        Further predictors of a `NeuralClassifier` that was fitted with them.
    title : str, optional
        What the page is called.
    effort : Effort, optional
        How much is computed.
    command : str, optional
        What was typed, for the record.
    seconds : float, optional
        How long the work before took, for the record.
    caught : sequence of warnings.WarningMessage
        Warnings recorded while the model was fitted. Those of this package become alerts, as do those that come up
        here.

    Returns
    -------
    facts : dict
        JSON types; nothing is rounded or worded. With the keys ``format``, ``title``, ``model``, ``data``,
        ``log_likelihood``, ``moments``, ``latent``, ``labels``, ``survival``, ``effects``, ``time_unit``, ``history``,
        ``left_out``, ``alerts`` and ``provenance``. A part that these rows or this model have no answer to is None;
        ``left_out`` says why.
    evidence : Evidence

    Raises
    ------
    TypeError
        If the model is no estimator of this package.
    sklearn.exceptions.NotFittedError
        If the model was not fitted.
    ValueError
        If X does not have the columns that the model was fitted to, or y does not fit.
    """
    if not isinstance(model, Estimator):
        raise TypeError(
            f"model is a {type(model).__name__}: a report is on a fitted estimator of underlie. For models of "
            "scikit-learn there are underlie.mega and underlie.compare."
        )
    check_is_fitted(model)
    started, effort = time.perf_counter(), effort or Effort()
    judged = Judged.of(X, y, extra, effort.max_rows, effort.seed)
    evidence, left_out = Evidence(model, judged, effort), _LeftOut()
    with warnings.catch_warnings(record=True) as own:
        warnings.simplefilter("always", UnderlieWarning)
        facts: dict[str, Any] = {
            "format": SUMMARY_FORMAT,
            "title": title or f"{type(model).__name__} on {judged.n_given:,} row{'' if judged.n_given == 1 else 's'}",
            "model": model_facts(model),
            "data": data_facts(model, judged, effort.held_out),
            "log_likelihood": likelihood_facts(model, judged, effort.n_draws),
            "latent": latent_facts(model, judged.X),
            "moments": left_out.unless(lambda: _moments(evidence), "Moments"),
            "labels": left_out.unless(lambda: _labels(evidence), "Labels"),
            "survival": left_out.unless(lambda: _survival(evidence), "Event times"),
            "effects": left_out.unless(lambda: _effects(evidence), "Effects of treatment"),
            "time_unit": _time_unit(model, effort.time_unit),
            "history": history_facts(model),
        }
    facts["left_out"] = left_out.said
    for item in own:
        if not issubclass(item.category, UnderlieWarning):
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
    facts["provenance"] = provenance(
        command=command,
        seed=_seed_of(model),
        seconds=(seconds or 0.0) + time.perf_counter() - started,
    ) | {"report_seed": effort.seed, "n_simulations": effort.n_simulations, "max_rows": effort.max_rows}
    facts["alerts"] = [plain(vars(alert)) for alert in find_alerts(facts, [*caught, *own])]
    return facts, evidence


@final
class _LeftOut:
    """Parts that have no answer here, with the reason."""

    def __init__(self) -> None:
        self.said: list[dict[str, str]] = []

    def unless(self, part: Callable[[], T], name: str) -> T | None:
        """What a part gives, or None where it has no answer."""
        try:
            return part()
        except NotAnswered as error:
            text = str(error)
            self.said.append({"part": name, "why": f"{text[:1].upper()}{text[1:].removesuffix('.')}."})
            return None


def _moments(evidence: Evidence) -> dict[str, Any]:
    effort = evidence.effort
    evidence.moments = moment_result(evidence.model, evidence.judged, effort.n_simulations, effort.seed)
    return moment_facts(evidence.moments)


def _labels(evidence: Evidence) -> list[dict[str, Any]] | None:
    if not hasattr(evidence.model, "classes_"):
        return None
    if evidence.judged.y is None:
        raise NotAnswered("there is no y: with labels, predictions are judged")
    evidence.labels = labelled(evidence.model, evidence.judged)
    if not any(len(one.true) for one in evidence.labels):
        raise NotAnswered("no row has a label")
    return [label_facts(one, evidence.effort.n_simulations, evidence.effort.seed) for one in evidence.labels]


def _survival(evidence: Evidence) -> dict[str, Any] | None:
    if not hasattr(evidence.model, "predict_survival_function"):
        return None
    effort = evidence.effort
    evidence.survival = predictions(evidence.model, evidence.judged, effort.horizon, effort.n_simulations, effort.seed)
    return prediction_facts(evidence.survival)


def _effects(evidence: Evidence) -> dict[str, Any] | None:
    if not hasattr(evidence.model, "treatment_effect"):
        return None
    horizon = default_horizon(evidence.model, evidence.judged, evidence.effort.horizon)
    found = effect_facts(evidence.model, evidence.judged, horizon)
    return None if found is None else {**found, "randomised": evidence.effort.randomised}


def _time_unit(model: Any, name: str | None) -> dict[str, Any] | None:
    """The unit of y, and that in which times are shown; None where it is not said or there are no times."""
    if name is None or not hasattr(model, "follow_up_"):
        return None
    unit: dict[str, Any] = plain(vars(TimeUnit.of(name, float(model.follow_up_))))
    return unit


def _seed_of(model: Any) -> int | None:
    seed = getattr(model, "random_state", None)
    return seed if isinstance(seed, int) else None
