"""Boxplots over splits say what the scores say."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib.figure import Figure

import underlie as ul
from underlie.check.survival import SurvivalModelComparison


def scores(n_splits: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 0.02, n_splits)
    rows = [
        {"split": s, "model": model, "metric": metric, "value": base + hard[s] + rng.normal(0, 0.002)}
        for model, base in (("KM", 0.20), ("Cox", 0.18), ("a model with a long name", 0.17))
        for metric in ("integrated_brier", "harrell")
        for s in range(n_splits)
    ]
    return pd.DataFrame(rows)


def comparison(table: pd.DataFrame, reference: str = "Cox") -> SurvivalModelComparison:
    splits = pd.DataFrame({"n_train": [80] * 5, "n_test": [20] * 5})
    models = tuple(dict.fromkeys(table["model"]))
    metrics = tuple(dict.fromkeys(table["metric"]))
    errors = pd.DataFrame(columns=["split", "model", "error"])
    return SurvivalModelComparison(table, splits, errors, models, metrics, reference, "5 random splits", 100, 50, 0.95)


def points(ax: plt.Axes, model: int) -> np.ndarray:
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    return np.asarray(dots[model].get_ydata())


def test_points_medians_and_the_reference_line_are_those_of_the_scores() -> None:
    table = scores()
    ax = comparison(table).plot()
    assert isinstance(ax, plt.Axes)
    wide = table[table["metric"] == "integrated_brier"].pivot(index="split", columns="model", values="value")
    for i, model in enumerate(("KM", "Cox", "a model with a long name")):
        np.testing.assert_allclose(points(ax, i), wide[model])
    (line,) = [line for line in ax.lines if line.get_label() == "median of Cox"]
    np.testing.assert_allclose(line.get_ydata(), wide["Cox"].median())
    bars = [np.asarray(line.get_ydata()) for line in ax.lines if line.get_linewidth() == 2.2]
    np.testing.assert_allclose([bar[0] for bar in bars], [wide[m].median() for m in ("KM", "Cox", wide.columns[2])])
    assert ax.get_ylabel() == "integrated Brier score\n(lower is better)"
    assert ax.get_title(loc="left") == "5 splits"


def test_models_stand_in_the_order_given() -> None:
    shuffled = scores().sample(frac=1, random_state=0)
    result = comparison(scores())
    again = SurvivalModelComparison(**{**vars(result), "scores": shuffled})
    assert [t.get_text() for t in again.plot().get_xticklabels()] == list(result.models)


def test_differences_leave_out_what_splits_share_and_the_reference_itself() -> None:
    ax = comparison(scores()).plot(relative=True)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["KM", "a model with a long name"]
    assert np.ptp(points(ax, 0)) < 0.02 < np.ptp(points(comparison(scores()).plot(), 0))
    assert "minus that of Cox" in ax.get_ylabel()
    assert "negative is better" in ax.get_ylabel()


def test_several_metrics_are_panels_and_a_model_without_one_is_left_out_of_it() -> None:
    table = scores()
    table = table[~((table["model"] == "KM") & (table["metric"] == "harrell"))]
    figure = comparison(table).plot(["integrated_brier", "harrell"])
    assert isinstance(figure, Figure)
    assert [len(ax.get_xticklabels()) for ax in figure.axes] == [3, 2]
    assert figure.axes[1].get_ylabel() == "Harrell's C\n(higher is better)"


def test_a_table_of_ones_own_is_drawn_where_asked() -> None:
    _, ax = plt.subplots()
    table = scores().assign(metric="my_metric")[:5]
    table.loc[3, "value"] = np.nan
    assert ul.plot.survival_boxplots(pl.from_pandas(table), "my_metric", ax) is ax
    assert ax.get_ylabel() == "my metric"
    assert len(points(ax, 0)) == 4
    assert ax.get_legend() is None
    ul.plot.survival_boxplots(table[:1], "my_metric", reference="KM")


def test_many_splits_are_not_joined() -> None:
    pale = [
        sum(line.get_color() == "#d9d9d9" for line in ul.plot.survival_boxplots(scores(n)).lines) for n in (1, 5, 30)
    ]
    assert pale == [0, 5, 0]
    assert len({float(x) for x in ul.plot.survival_boxplots(scores(30)).lines[-1].get_xdata()}) == 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": "mse"}, "no value of the metric 'mse'; there are .'integrated_brier', 'harrell'"),
        ({"metrics": []}, "metrics is empty"),
        ({"reference": "RSF"}, "'RSF' is not among the models"),
        ({"relative": True}, "name it, reference='Cox'"),
        ({"scores": scores().drop(columns="value")}, "no column 'value'"),
        (
            {"scores": scores().assign(metric="harrell"), "metrics": "harrell"},
            "two rows for the harrell of 'KM' in split 0",
        ),
    ],
)
def test_bad_input_is_refused(change: dict[str, object], message: str) -> None:
    given = {"scores": scores(), **change}
    with pytest.raises(ValueError, match=message):
        ul.plot.survival_boxplots(given.pop("scores"), **given)  # type: ignore[call-overload]


def test_one_axes_takes_one_metric() -> None:
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="ax is for one metric"):
        ul.plot.survival_boxplots(scores(), ["harrell"], ax)  # type: ignore[call-overload]
