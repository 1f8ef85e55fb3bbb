"""Several survival predictions on the same test rows, with paired intervals of their differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from underlie.check.survival.censoring import Censoring
from underlie.check.survival.curves import Interpolation
from underlie.check.survival.intervals import Estimate, estimate
from underlie.check.survival.metrics import (
    MIN_CENSORING,
    N_BINS,
    N_BOOTSTRAP,
    N_GROUPS,
    SurvivalMetrics,
    evaluate,
)
from underlie.check.survival.setting import make_setting

if TYPE_CHECKING:
    import pandas as pd

METRICS = (
    "integrated_brier",
    "brier_at_horizon",
    "harrell",
    "uno",
    "antolini",
    "auc_at_horizon",
    "calibration_in_the_large",
    "weighted_calibration_in_the_large",
)


def compare_survival(
    predictions: Mapping[str, ArrayLike],
    times: ArrayLike,
    y_test: object,
    y_train: object,
    *,
    reference: str | None = None,
    risks: Mapping[str, ArrayLike] | None = None,
    horizon: float | None = None,
    censoring: Censoring = "marginal",
    min_censoring: float = MIN_CENSORING,
    interpolation: Interpolation = "linear",
    n_bootstrap: int = N_BOOTSTRAP,
    level: float = 0.95,
    random_state: object = None,
) -> pd.DataFrame:
    r"""Compare survival predictions on the same test rows, each against a reference, paired by row.

    Every prediction is judged on the same resamples of rows, so that the interval of a difference
    :math:`m(\text{model}) - m(\text{reference})` leaves out the noise that both share.

    Parameters
    ----------
    predictions : mapping of str to (n, n_times) array
        S(t | x) of each test row at each of `times`, by model.
    reference : str, optional
        The model that the others are compared with; the first by default.
    risks : mapping of str to (n,) array, optional
        For some or all models, what Harrell's and Uno's C rank instead of minus the restricted mean.
    times, y_test, y_train, horizon, censoring, min_censoring, interpolation, n_bootstrap, level, random_state
        As in `survival_metrics`.

    Returns
    -------
    pandas.DataFrame
        Indexed by (metric, model), with columns ``estimate``, ``lower``, ``upper``, and ``difference``,
        ``difference_lower``, ``difference_upper`` to the reference (NaN for the reference itself). The rows
        ``d_calibration_p`` are p-values, which have no interval. Lower is better for Brier scores, higher for
        concordance (harrell, uno, antolini) and
    ``auc_at_horizon``, nearer 0 for calibration in the large.

    Raises
    ------
    TypeError, ValueError
        As `survival_metrics`, and when there is no prediction or the reference is not among them.

    References
    ----------
    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13 (percentile intervals).

    Examples
    --------
    >>> import numpy as np
    >>> from underlie.check.survival import compare_survival
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=600)
    >>> y = np.empty(600, dtype=[("event", bool), ("time", float)])
    >>> y["event"], y["time"] = True, rng.exponential(np.exp(-x))
    >>> times = np.linspace(0.1, 3, 30)
    >>> predictions = {
    ...     "no covariate": np.tile(np.exp(-times), (300, 1)),
    ...     "truth": np.exp(-np.exp(x[300:, None]) * times),
    ... }
    >>> table = compare_survival(predictions, times, y[300:], y[:300], random_state=0)
    >>> table.loc["integrated_brier", ["estimate", "difference", "difference_upper"]].round(3)
                  estimate  difference  difference_upper
    model
    no covariate     0.203         NaN               NaN
    truth            0.137      -0.066            -0.047
    """
    if not isinstance(predictions, Mapping):
        raise TypeError(
            f"predictions must map names to (n, n_times) arrays, got {type(predictions).__name__}; "
            "use {'name': survival}"
        )
    if not predictions:
        raise ValueError("predictions is empty; give at least one, {'name': survival}")
    chosen = next(iter(predictions)) if reference is None else reference
    given = {} if risks is None else dict(risks)
    for name in (chosen, *given):
        if name not in predictions:
            raise ValueError(f"{name!r} is not among the predictions {list(predictions)}")
    setting = make_setting(
        times,
        y_test,
        y_train,
        horizon=horizon,
        censoring=censoring,
        min_censoring=min_censoring,
        n_bootstrap=n_bootstrap,
        level=level,
        random_state=random_state,
    )
    results = {
        name: evaluate(setting, table, given.get(name), f"predictions[{name!r}]", interpolation, N_BINS, N_GROUPS)
        for name, table in predictions.items()
    }
    return _table(results, chosen)


def _table(results: Mapping[str, SurvivalMetrics], reference: str) -> pd.DataFrame:
    import pandas as pd

    rows = {
        (metric, name): _row(getattr(result, metric), getattr(results[reference], metric), result.level)
        for metric in METRICS
        for name, result in results.items()
    }
    for name in results:
        rows["d_calibration_p", name] = (results[name].d_calibration.p_value, *[np.nan] * 5)
    for metric in METRICS:
        rows[metric, reference] = (*rows[metric, reference][:3], np.nan, np.nan, np.nan)
    columns = ["estimate", "lower", "upper", "difference", "difference_lower", "difference_upper"]
    table = pd.DataFrame(list(rows.values()), columns=columns)
    table.index = pd.MultiIndex.from_tuples(rows, names=["metric", "model"])
    return table


def _row(model: Estimate, reference: Estimate, level: float) -> tuple[float, ...]:
    both = [np.append(one.value, one.replicates) for one in (model, reference)]
    gap = estimate(both[0] - both[1], level)
    return model.value, model.lower, model.upper, gap.value, gap.lower, gap.upper
