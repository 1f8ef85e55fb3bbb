"""Survival models compared over repeated splits of the rows, in one call."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast, final

import narwhals as nw
import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from underlie.check.seeds import generator, integer_seed
from underlie.check.survival.adapters import candidate, check_model
from underlie.check.survival.bench import WEIGHTINGS, Bench, Fold, Weighting, make_bench
from underlie.check.survival.judging import METRICS, Judged, scores
from underlie.check.survival.metrics import MIN_CENSORING
from underlie.check.survival.model_comparison import SurvivalModelComparison
from underlie.check.survival.outcomes import Outcome, read_outcome
from underlie.check.survival.splits import Split, cross_validation_splits, random_splits, require_events
from underlie.data.surv import as_surv
from underlie.data.tables import library_of, read_table
from underlie.warnings import ConvergenceWarning, DataWarning, UnderlieWarning, warn

Array = NDArray[np.float64]
STANDARD = {"Kaplan-Meier": "kaplan-meier", "Cox": "cox", "Weibull": "weibull"}


def compare_survival_models(
    models: Any,
    X: Any,
    y: Any,
    *,
    n_splits: int = 5,
    test_size: float = 0.2,
    cv: Any = None,
    reference: str | None = None,
    horizon: float | None = None,
    metrics: Sequence[str] | None = None,
    censoring: Weighting = "marginal",
    min_censoring: float = MIN_CENSORING,
    level: float = 0.95,
    random_state: object = 0,
    n_jobs: int | None = None,
    verbose: bool = True,
) -> SurvivalModelComparison:
    r"""Fit survival models to repeated splits of the rows, judge them on the rest, and compare them split by split.

    Every model sees the same splits. Each is fitted to the training rows alone, and so are the weights that correct
    for censoring and the times between which the Brier score is integrated: 100 even times from the 5 % to the 95 %
    quantile of training event times, ending where the training censoring survival falls below `min_censoring`.
    A model that fails in a split is recorded, and the others go on.

    Parameters
    ----------
    models : mapping of str to model, or one estimator
        Each model is one of

        * an estimator with ``fit(X, y)`` and ``predict_survival_function(X, times)``, such as `SurvivalVAE`: it gets
          the rows of X as they are;
        * an estimator of scikit-survival: it gets the columns as numbers (dummy-coded with rare levels pooled,
          missing cells imputed by median or most frequent level, standardised, all learned from the training rows).
          A scikit-learn ``Pipeline`` codes X itself. Those without survival functions are judged by concordance
          alone, on what they predict;
        * ``"kaplan-meier"``, ``"cox"`` or ``"weibull"``: lifelines' regressions on the same numbers.

        Estimators are cloned, never changed; every parameter ``random_state`` gets a seed per split. One estimator
        alone is compared with the three of the last line.
    X : table or array
        n rows of covariates, treatments among them; missing cells are allowed where the models allow them.
    y : structured array or table
        Outcomes, ``ul.Surv(time, event)``; right-censored.
    n_splits : int
        Number of random splits. Split i is scikit-learn's ``train_test_split`` with ``test_size``, the seed
        ``random_state + i``, and the event as strata.
    test_size : float
        Share of rows that are judged on.
    cv : int, scikit-learn splitter, or pairs of (training rows, test rows), optional
        Cross-validation instead of random splits: a number of folds (shuffled, stratified by event), a splitter such
        as ``RepeatedStratifiedKFold``, which is given the event as strata, or the splits themselves, as where
        patients of one hospital must stay together.
    reference : str, optional
        The model that the others are compared with; by default the one given as ``"cox"``, or else the first.
    horizon : float, optional
        Time of `brier_at_horizon`, `auc_at_horizon` and calibration; by default the median training event time.
    metrics : sequence of str, optional
        Which of integrated_brier, brier_at_horizon, antolini, harrell, uno, auc_at_horizon, calibration_in_the_large,
        absolute_calibration_in_the_large, weighted_calibration_in_the_large, d_calibration_p and
        d_calibration_rejected; all by default. They are those of `survival_metrics`; concordance ranks rows by minus
        their predicted restricted mean survival time.
    censoring : "marginal", "marginal_right" or "cox"
        Censoring weights, from the training rows: Kaplan-Meier, as in `survival_metrics`; or a Cox model of the time
        to censoring given X, for data where covariates tell who is censored.
    min_censoring : float
        Smallest probability of remaining uncensored that is divided by.
    level : float
        Of the intervals.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        Seed of splits and models.
    n_jobs : int or None
        Splits that are worked on side by side, by joblib: -1 is one for each processor, None is one, or what
        ``joblib.parallel_config`` says, which may name a cluster (``backend="dask"`` or ``"ray"``). The result is the
        same whatever the number.
    verbose : bool
        Whether to show a progress bar, on a terminal.

    Returns
    -------
    SurvivalModelComparison
        `print` it, take its ``table()``, draw it with ``plot()``.

    Raises
    ------
    TypeError
        When something is no survival model, or y no outcome.
    ValueError
        When X and y have different numbers of rows, a column of X is the time or the event, there is no such metric,
        model or time, rows are left-truncated or interval-censored, or no model could be fitted to any split.

    Warns
    -----
    DataWarning
        When a model failed in some splits. Warnings of models and of the metrics are shown once each, with the splits
        in which they came up.
    ConvergenceWarning
        When interrupted; the splits that were completed are returned.

    References
    ----------
    Graf, Schmoor, Sauerbrei and Schumacher (1999), Statistics in Medicine 18 (Brier score under censoring). Nadeau
    and Bengio (2003), Machine Learning 52 (intervals over overlapping splits). Gerds and Schumacher (2006),
    Biometrical Journal 48 (censoring that depends on covariates).

    Examples
    --------
    >>> import underlie as ul
    >>> data = ul.datasets.load_gbsg2()
    >>> X, y = data.drop(columns=["time", "event"]), ul.Surv(data["time"], data["event"])
    >>> models = {"Kaplan-Meier": "kaplan-meier", "Cox": "cox"}
    >>> result = ul.compare_survival_models(models, X, y, n_splits=3, metrics=["integrated_brier", "harrell"])
    >>> print(result)
    3 random splits (20% of rows for testing), 686 rows, 299 events; each model against Cox
    <BLANKLINE>
    integrated Brier score (lower is better)
                        mean       sd   difference                        better
      Kaplan-Meier    0.1979   0.0111      +0.0168 [-0.0043, +0.0380]     0 of 3
      Cox             0.1811   0.0049
    <BLANKLINE>
    Harrell's C (higher is better)
    ...
    >>> result.table(["harrell"]).loc["harrell", ["mean", "difference", "better"]].round(3)
                   mean  difference  better
    model
    Kaplan-Meier  0.500      -0.153     0.0
    Cox           0.653         NaN     NaN
    """
    from underlie.engine.progress import progress_bar  # with it comes the training engine, which metrics do without

    named = _named(models)
    chosen = _reference(named, reference)
    wanted = _metrics(metrics)
    _check_words(censoring, min_censoring, level)
    outcomes = as_surv(y)
    outcome = read_outcome(outcomes, "y")
    _check_rows(X, outcome)
    if horizon is not None and not 0 < horizon <= outcome.time.max():
        raise ValueError(
            f"horizon must be a time after 0 and within follow-up, which ends at {outcome.time.max():g}; got {horizon}"
        )
    is_seed = isinstance(random_state, int | np.integer) and not isinstance(random_state, bool)
    seed = int(random_state) if is_seed else integer_seed(generator(random_state))  # type: ignore[call-overload]
    if cv is None:
        splits, scheme = random_splits(outcome.event, n_splits, test_size, seed)
    else:
        splits, scheme = cross_validation_splits(cv, outcome.event, seed)
    require_events(splits, outcome.event)
    study = _Study(named, wanted)
    task = _SplitTask(named, wanted, X, outcomes, horizon, censoring, min_censoring)
    parallel = Parallel(n_jobs=n_jobs, return_as="generator")
    with progress_bar("comparing", len(splits), enabled=verbose) as report:
        try:
            parts = parallel(delayed(task)(i, split, seed + i) for i, split in enumerate(splits))
            for i, part in enumerate(parts, start=1):
                study.add(part)
                report(i, f"split {i} of {len(splits)}")
        except KeyboardInterrupt:
            if not study.folds:
                raise
            warn(f"interrupted: {len(study.folds)} of {len(splits)} splits are complete", ConvergenceWarning)
    study.warn_of_what_happened(len(splits))
    return _result(study, chosen, scheme, outcome, level)


@final
@dataclass(frozen=True, eq=False)  # compared by identity, so that clusters can tell functions apart by their hash
class _SplitTask:
    """One split with all models: what a process of its own can do, given all that it needs."""

    models: Mapping[str, Any]
    metrics: tuple[str, ...]
    X: Any
    outcomes: NDArray[np.void]
    horizon: float | None
    censoring: Weighting
    min_censoring: float

    def __call__(self, i: int, split: Split, seed: int) -> _Study:
        study = _Study(self.models, self.metrics)
        train, test = split.train, split.test
        fold = Fold(_take(self.X, train), self.outcomes[train], _take(self.X, test), self.outcomes[test])
        with study.noting("the metrics", i):
            bench = make_bench(fold, self.horizon, self.censoring, self.min_censoring)
        study.describe(split, self.outcomes, bench)
        for name in self.models:
            study.judge(name, i, seed, fold, bench)
        return study


@final
@dataclass
class _Study:
    """What is found while it runs."""

    models: Mapping[str, Any]
    metrics: tuple[str, ...]
    rows: list[dict[str, Any]] = field(default_factory=list)
    folds: list[dict[str, float]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    notes: list[tuple[str, int, type[UnderlieWarning], str]] = field(default_factory=list)

    def describe(self, split: Split, outcomes: NDArray[np.void], bench: Bench) -> None:
        """Record the facts of a split."""
        self.folds.append(
            {
                "n_train": len(split.train),
                "n_test": len(split.test),
                "events_train": int(outcomes["event"][split.train].sum()),
                "events_test": int(outcomes["event"][split.test].sum()),
                "start": float(bench.grid[0]),
                "end": float(bench.grid[-1]),
                "horizon": bench.setting.horizon,
            }
        )

    def judge(self, name: str, i: int, seed: int, fold: Fold, bench: Bench) -> None:
        """Fit a model to a split and score it, or record why that failed."""
        try:
            with self.noting(name, i):
                begun = time.perf_counter()
                model = candidate(self.models[name], seed)
                model.fit(fold.X_train, fold.y_train)
                fitted = time.perf_counter()
                survival = model.survival(fold.X_test, bench.setting.times)
                risk = model.risk(fold.X_test) if survival is None else None
                predicted = time.perf_counter()
                found = scores(Judged(bench, survival, risk, name), self.metrics)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in a model of others is a finding about it
            self.errors.append({"split": i, "model": name, "error": f"{type(error).__name__}: {error}"})
            return
        self.rows += [
            {
                "split": i,
                "model": name,
                "metric": metric,
                "value": value,
                "fit_seconds": fitted - begun,
                "predict_seconds": predicted - fitted,
            }
            for metric, value in found.items()
        ]

    @contextmanager
    def noting(self, name: str, i: int) -> Iterator[None]:
        """Keep warnings for later, so that each is shown once rather than in every split."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")  # of changes in libraries, above all
            warnings.simplefilter("always", UserWarning)
            warnings.simplefilter("always", RuntimeWarning)
            yield
        for warning in caught:
            own = issubclass(warning.category, UnderlieWarning)
            text = str(warning.message) if own else f"{warning.category.__name__}: {warning.message}"
            kind = cast(type[UnderlieWarning], warning.category if own else DataWarning)
            self.notes.append((name, i, kind, text))

    def add(self, part: _Study) -> None:
        """What was found in another split."""
        self.rows += part.rows
        self.folds += part.folds
        self.errors += part.errors
        self.notes += part.notes

    def warn_of_what_happened(self, n_splits: int) -> None:
        """Errors and warnings, one per model and kind."""
        if not self.rows and self.errors:
            first = self.errors[0]
            raise ValueError(
                f"no model could be fitted to any split; the first error, of {first['model']!r}: {first['error']}"
            )
        for name in self.models:
            failed = [error for error in self.errors if error["model"] == name]
            if failed:
                warn(
                    f"{name} failed in {len(failed)} of {n_splits} splits and is judged on the others, so that its "
                    f"means are not those of the same rows; the first error, in split {failed[0]['split']}: "
                    f"{failed[0]['error']}. See the result's errors",
                    DataWarning,
                )
        heard: dict[tuple[str, type[UnderlieWarning], str], list[tuple[int, str]]] = {}
        for name, i, category, text in self.notes:
            kind = re.sub(r"[\d.,e+-]+", "", text)[:40]  # numbers differ between splits, and so do rows named
            heard.setdefault((name, category, kind), []).append((i, text))
        for (name, category, _), texts in heard.items():
            count = len({i for i, _ in texts})
            warn(f"{name}, in {count} of {n_splits} splits (first {texts[0][0]}): {texts[0][1]}", category)


def _result(study: _Study, reference: str, scheme: str, outcome: Outcome, level: float) -> SurvivalModelComparison:
    import pandas as pd

    columns = ["split", "model", "metric", "value", "fit_seconds", "predict_seconds"]
    return SurvivalModelComparison(
        scores=pd.DataFrame(study.rows, columns=columns),
        splits=pd.DataFrame(study.folds).rename_axis("split"),
        errors=pd.DataFrame(study.errors, columns=["split", "model", "error"]),
        models=tuple(study.models),
        metrics=study.metrics,
        reference=reference,
        scheme=scheme,
        n=len(outcome),
        n_events=int(outcome.event.sum()),
        level=level,
    )


def _named(models: Any) -> dict[str, Any]:
    """Models by name, checked; one alone is joined by the standard ones."""
    if not isinstance(models, Mapping):
        if isinstance(models, str) or not hasattr(models, "fit"):
            raise TypeError(
                f"models must map names to models, or be one estimator; got {models!r}. Use {{'Cox': 'cox', ...}}"
            )
        models = {**STANDARD, type(models).__name__: models}
    if not models:
        raise ValueError("models is empty; give at least one, {'Cox': 'cox'}")
    named = {str(name): model for name, model in models.items()}
    for name, model in named.items():
        check_model(model, name)
    return named


def _reference(models: Mapping[str, Any], reference: str | None) -> str:
    if reference is None:
        cox = [name for name, model in models.items() if isinstance(model, str) and model == "cox"]
        return cox[0] if cox else next(iter(models))
    if reference not in models:
        raise ValueError(f"reference {reference!r} is not among the models {list(models)}")
    return reference


def _metrics(metrics: Sequence[str] | None) -> tuple[str, ...]:
    if metrics is None:
        return tuple(METRICS)
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    for name in names:
        if name not in METRICS:
            raise ValueError(f"there is no metric {name!r}; choose from {', '.join(METRICS)}")
    if not names:
        raise ValueError("metrics is empty; leave it out for all of them")
    return names


def _check_words(censoring: str, min_censoring: float, level: float) -> None:
    if censoring not in WEIGHTINGS:
        raise ValueError(f"censoring must be one of {', '.join(map(repr, WEIGHTINGS))}, got {censoring!r}")
    if not 0 <= min_censoring < 1:
        raise ValueError(f"min_censoring must be in [0, 1), got {min_censoring}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, as .95, got {level}")


def _check_rows(X: Any, outcome: Outcome) -> None:
    """As many rows as outcomes, enough events to split, and no column of X that gives the outcome away."""
    rows = X.shape[0] if hasattr(X, "shape") else len(X)
    if rows != len(outcome):
        raise ValueError(f"X has {rows} rows, but y has {len(outcome)}")
    if (events := int(outcome.event.sum())) < 4:
        raise ValueError(f"y has {events} event(s) in {len(outcome)} rows: too few to fit and to judge a model")
    if library_of(X) is None:
        columns = [(f"number {j}", column) for j, column in enumerate(np.asarray(X).reshape(rows, -1).T)]
    else:
        columns = [(repr(c.name), c.values) for c in read_table(X).columns if c.form != "label"]
    given = [("time", outcome.time)]
    if not outcome.event.all():
        given.append(("event", outcome.event.astype(np.float64)))
    for name, values in columns:
        for what, own in given:
            if np.array_equal(values, own):
                raise ValueError(f"column {name} of X is the {what} of y, which models may not see: leave it out of X")


def _take(X: Any, rows: NDArray[np.intp]) -> Any:
    """Rows of a table or an array, by position."""
    if library_of(X) is None:
        return np.asarray(X)[rows]
    return nw.from_native(X, eager_only=True)[rows].to_native()
