"""Survival curves and calibration figures draw what models and metrics say."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from matplotlib.figure import Figure
from scipy.stats import t as student_t

import underlie as ul
from underlie.check.survival import CoxRegression

TIMES = np.linspace(0.0, 3.0, 31)


def patients(n: int = 120) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"age": rng.normal(60, 10, n), "arm": rng.choice(["new", "old"], n)})
    time = rng.exponential(np.exp(0.5 - 0.03 * (X["age"] - 60) + 0.5 * (X["arm"] == "new")))
    end = rng.uniform(1, 4, n)
    return X, ul.Surv(np.minimum(time, end) + 1e-3, time <= end)


@pytest.fixture(scope="module")
def fitted() -> Any:
    X, y = patients()
    model = ul.SurvivalVAE("arm", n_replicates=4, max_epochs=2, heterogeneity=0.0, random_state=0, verbose=False)
    return model.fit(X, y), X, y


def curve(ax: plt.Axes, label: str) -> np.ndarray:
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return np.asarray(line.get_ydata())


def band(ax: plt.Axes, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of the i-th band at each time."""
    vertices = ax.collections[i].get_paths()[0].vertices
    inner = [vertices[np.isclose(vertices[:, 0], t), 1] for t in TIMES]
    return np.array([v.min() for v in inner]), np.array([v.max() for v in inner])


def test_each_patient_has_a_panel_with_the_curves_that_the_model_predicts(fitted: Any) -> None:
    model, X, _ = fitted
    figure = ul.plot.survival_curves(model, X.iloc[:3], TIMES, names=["a", "b", "c"])
    assert isinstance(figure, Figure)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["a", "b", "c"]
    for arm in ("new", "old"):
        predicted = model.predict_survival_function(X.iloc[:3], TIMES, arm)
        for ax, expected in zip(figure.axes, predicted, strict=True):
            np.testing.assert_allclose(curve(ax, f"arm = {arm}"), expected, atol=1e-5)


def test_the_average_is_that_of_the_patients_and_kaplan_meier_is_that_of_the_arms(fitted: Any) -> None:
    model, X, y = fitted
    ax = ul.plot.survival_curves(model, X, TIMES, average=True, observed=y)
    assert isinstance(ax, plt.Axes)
    expected = model.predict_survival_function(X, TIMES, "new").mean(0)
    np.testing.assert_allclose(curve(ax, "arm = new"), expected, atol=1e-5)
    rows = (X["arm"] == "new").to_numpy()
    (line,) = [line for line in ax.lines if line.get_label() == f"Kaplan-Meier of {rows.sum()} given new"]
    theirs = KaplanMeierFitter().fit(y["time"][rows], y["event"][rows]).predict(line.get_xdata())
    np.testing.assert_allclose(line.get_ydata(), theirs, atol=1e-12)


def test_bands_hold_the_curve_stay_in_range_and_widen_with_the_level(fitted: Any) -> None:
    model, X, _ = fitted
    widths = []
    for level in (0.5, 0.95):
        ax = ul.plot.survival_curves(model, X.iloc[:1], TIMES, level=level)
        low, high = band(ax, 0)
        middle = curve(ax, "arm = new")
        assert (low <= middle + 1e-6).all()
        assert (middle <= high + 1e-6).all()
        assert low.min() >= 0
        assert high.max() <= 1
        widths.append(high - low)
    assert (widths[1] >= widths[0]).all()
    assert widths[1].max() > widths[0].max() > 0
    low, high = band(ul.plot.survival_curves(model, X.iloc[:1], TIMES, level=None), 0)
    np.testing.assert_allclose(low, high)


def test_the_band_of_one_treatment_is_as_wide_as_the_replicates_are_apart(fitted: Any) -> None:
    model, X, _ = fitted
    ax = ul.plot.survival_curves(model, X.iloc[:1], TIMES, treatments=["old"])
    by_replicate = model._predictor.by_replicate(model._asked(X.iloc[:1], "old"), TIMES)[:, 0]
    half = student_t.ppf(0.975, len(by_replicate) // 2) * by_replicate.std(0)
    low, high = band(ax, 0)
    inside = (low > 0) & (high < 1)
    assert inside.any()
    np.testing.assert_allclose((high - low)[inside], 2 * half[inside], atol=1e-5)


def test_survival_at_the_horizon_is_written_down_and_time_is_rescaled(fitted: Any) -> None:
    model, X, _ = fitted
    ax = ul.plot.survival_curves(model, X.iloc[:1], TIMES, horizon=2.0, unit="years", per_unit=0.5)
    expected = [model.predict_survival_function(X.iloc[:1], [2.0], arm)[0, 0] for arm in ("new", "old")]
    assert {text.get_text() for text in ax.texts} == {f"{100 * s:.0f} %" for s in expected}
    assert ax.get_xlim() == (0.0, 6.0)
    assert ax.get_xlabel() == "time, years"
    assert any(np.allclose(line.get_xdata(), 4.0) for line in ax.lines)


def test_numbers_at_the_horizon_do_not_cover_each_other(fitted: Any) -> None:
    model, X, _ = fitted
    same = {"a": "new", "b": "new", "c": "new"}
    ax = ul.plot.survival_curves(model, X.iloc[:1], TIMES, treatments=same, horizon=0.1)
    heights = sorted(text.xy[1] for text in ax.texts)
    assert np.diff(heights).min() >= 0.07
    assert heights[-1] <= 1


def test_any_survival_model_can_be_drawn_without_bands() -> None:
    X, y = patients()
    model = CoxRegression().fit(X, y)
    ax = ul.plot.survival_curves(model, X, TIMES, average=True, observed=y)
    np.testing.assert_allclose(curve(ax, "predicted"), model.predict_survival_function(X, TIMES).mean(0))
    assert curve(ax, "Kaplan-Meier")[0] == 1
    _, own = plt.subplots()
    assert ul.plot.survival_curves(model, X[:1], TIMES, own) is own
    with pytest.raises(ValueError, match="times must be given"):
        ul.plot.survival_curves(model, X[:1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": patients()[0]}, "choose 1 to 6 patients"),
        ({"names": ["a"]}, "names has 1 entries for 2 rows"),
        ({"treatments": []}, "name at most 6"),
        ({"times": [1.0]}, "two increasing numbers"),
        ({"observed": patients()[1]}, "average=True"),
        ({"level": 1.0}, "strictly between 0 and 1"),
        ({"per_unit": 0.0}, "per_unit must be above 0"),
        ({"observed": patients(50)[1], "average": True}, "50 outcomes for 2 rows"),
    ],
)
def test_curves_refuse_bad_input(fitted: Any, change: dict[str, Any], message: str) -> None:
    model, X, _ = fitted
    given = {"X": X.iloc[:2], "times": TIMES, **change}
    with pytest.raises(ValueError, match=message):
        ul.plot.survival_curves(model, **given)


def test_one_axes_takes_one_patient(fitted: Any) -> None:
    model, X, _ = fitted
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="ax is for one panel, but 2 patients"):
        ul.plot.survival_curves(model, X.iloc[:2], TIMES, ax)


# --------------------------------------------------------------------------------------------------------- calibration


def metrics(horizon: float = 1.0, factor: float = 1.0) -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    y = ul.Surv(rng.exponential(np.exp(-x)), np.ones(400))
    survival = np.exp(-factor * np.exp(x)[:, None] * np.array([0.5, 1.0]))
    return ul.survival_metrics(survival, [0.5, 1.0], y, y, horizon=horizon, random_state=0, n_groups=5)


def test_calibration_marks_are_those_of_the_metrics() -> None:
    result = metrics()
    ax = ul.plot.survival_calibration(result, unit="years", per_unit=0.5)
    marks = ax.containers[0].lines[0]
    np.testing.assert_allclose(marks.get_xdata(), result.calibration.observed.at)
    np.testing.assert_allclose(marks.get_ydata(), result.calibration.observed.value)
    ends = np.array([segment[:, 1] for segment in ax.containers[0].lines[2][0].get_segments()])
    np.testing.assert_allclose(ends[:, 0], result.calibration.observed.lower)
    np.testing.assert_allclose(ends[:, 1], result.calibration.observed.upper)
    assert ax.get_xlabel() == "predicted risk of an event by 2 years, %"
    (diagonal,) = [line for line in ax.lines if line.get_label() == "right predictions"]
    np.testing.assert_allclose(diagonal.get_xdata(), diagonal.get_ydata())


def test_models_are_named_with_their_risks_on_the_whole() -> None:
    results = {"truth": metrics(), "twice the hazard": metrics(factor=2.0)}
    ax = ul.plot.survival_calibration(results)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    for name, result in results.items():
        words = (
            f"predicted {100 * result.predicted_risk.value:.1f} %, observed {100 * result.observed_risk.value:.1f} %"
        )
        assert f"{name}: {words}" in labels


def test_calibration_refuses_bad_input() -> None:
    with pytest.raises(TypeError, match="survival_metrics"):
        ul.plot.survival_calibration("model")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one horizon"):
        ul.plot.survival_calibration({"a": metrics(), "b": metrics(horizon=0.5)})
    with pytest.raises(ValueError, match="empty"):
        ul.plot.survival_calibration({})
