"""The study of imputation errors measures what it says: known imputers have known errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from underlie.cli.imputation_study import column_table, mean_or_mode, run_study, study_facts, study_table


@pytest.fixture(scope="module")
def truth():
    rng = np.random.default_rng(1)
    n = 2000
    return pd.DataFrame(
        {
            "wide": rng.normal(0, 1000, n),
            "narrow": rng.normal(5, 0.001, n),
            "group": pd.Categorical(rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1])),
            "flag": rng.choice(["no", "yes"], n, p=[0.75, 0.25]),
        }
    )


@pytest.fixture(scope="module")
def study(truth):
    seen = []
    methods = {
        "mean": mean_or_mode(truth),
        "truth": lambda holed, seed: truth,
        "off by one sd": lambda holed, seed: truth.assign(
            wide=truth["wide"] + truth["wide"].std(), narrow=truth["narrow"] - truth["narrow"].std(), flag="neither"
        ),
    }
    made = run_study(truth, methods, share=0.1, n_masks=6, seed=0, report=seen.append)
    assert seen == [1, 2, 3, 4, 5, 6]
    return made


def test_errors_of_known_imputers(study):
    mean, perfect, off = range(3)
    assert np.all(study.numeric[perfect] == 0)
    assert np.all(study.discrete[perfect] == 0)
    # the mean of a column is one standard deviation off, whatever the column's unit; ~2,400 hidden cells in all:
    # standard error of the RMSE about 0.015, so that 0.06 fails by chance once in 16,000 runs
    assert study.numeric[mean].mean() == pytest.approx(1.0, abs=0.06)
    assert study.numeric[off] == pytest.approx(np.ones(6))
    # the mode is wrong as often as another level occurs, (0.4 + 0.25) / 2; standard error 0.01
    assert study.discrete[mean].mean() == pytest.approx(0.325, abs=0.04)
    np.testing.assert_array_equal(study.by_column["flag"][off], np.ones(6))
    np.testing.assert_array_equal(study.by_column["group"][off], np.zeros(6))


def test_about_the_stated_share_is_hidden_and_the_seed_decides_which(truth, study):
    # 8,000 cells at 0.1: standard deviation 27 per mask
    assert study.n_hidden == pytest.approx(800, abs=60)
    again = run_study(truth, {"mean": mean_or_mode(truth)}, share=0.1, n_masks=2, seed=0, report=lambda k: None)
    np.testing.assert_array_equal(again.numeric[0], study.numeric[0, :2])
    other = run_study(truth, {"mean": mean_or_mode(truth)}, share=0.1, n_masks=2, seed=1, report=lambda k: None)
    assert not np.array_equal(other.numeric, again.numeric)


def test_tables_hold_means_standard_errors_and_paired_differences(study):
    shown = study_table(study, "Errors")
    method, rmse, difference, wrong, _ = shown.rows[2]
    assert method == "off by one sd"
    assert rmse.value == pytest.approx(1.0)
    assert difference.value == pytest.approx(study.numeric[2].mean() - study.numeric[0].mean())
    assert difference.se == pytest.approx((study.numeric[2] - study.numeric[0]).std(ddof=1) / np.sqrt(6))
    assert wrong.value == pytest.approx(study.discrete[2].mean())
    assert shown.rows[0][2] is None
    by_column = column_table(study, "By column")
    assert [row[0] for row in by_column.rows] == ["wide", "narrow", "group", "flag"]
    assert study_facts(study)["methods"] == ["mean", "truth", "off by one sd"]


def test_an_incomplete_table_is_refused(truth):
    holed = truth.copy()
    holed.loc[3, "wide"] = np.nan
    with pytest.raises(ValueError, match="complete"):
        run_study(holed, {"mean": mean_or_mode(truth)}, share=0.1, n_masks=1, seed=0, report=lambda k: None)
