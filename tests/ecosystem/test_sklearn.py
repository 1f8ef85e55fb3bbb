"""Estimators within scikit-learn: pipelines, searches, cross-validation, set_output, metadata routing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import underlie as ul

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.UnderlieWarning")

SMALL = {"max_epochs": 2, "hidden": (8,), "random_state": 0}
NUMBERS = ["age", "tsize", "pnodes", "progrec", "estrec"]


@pytest.fixture(scope="module")
def patients():
    """90 patients: 7 covariates, the event as a class, and the outcome."""
    data = ul.datasets.load_gbsg2().head(90)
    return data[[*NUMBERS, "tgrade", "menostat"]], data["event"].to_numpy(), ul.Surv(data["time"], data["event"])


def reducers():
    return [
        pytest.param(ul.ProbabilisticPCA(2, standardize=True), "n_components", id="ppca"),
        pytest.param(ul.VAE(2, **SMALL), "n_latent", id="vae"),
    ]


# ---- pipelines ----
@pytest.mark.parametrize(("model", "size"), reducers())
def test_latent_coordinates_between_a_column_transformer_and_a_classifier(patients, model, size):
    X, event, _ = patients
    numbers = Pipeline([("fill", SimpleImputer()), ("scale", StandardScaler())])
    columns = ColumnTransformer([("numbers", numbers, NUMBERS), ("codes", OneHotEncoder(), ["menostat"])])
    pipe = Pipeline([("columns", columns), ("reduce", model), ("classify", LogisticRegression())]).fit(X, event)
    by_hand = clone(model).fit(clone(columns).fit_transform(X))
    Z = by_hand.transform(columns.transform(X))
    expected = LogisticRegression().fit(Z, event).predict_proba(X=Z)
    np.testing.assert_allclose(pipe.predict_proba(X), expected, rtol=1e-9)
    assert clone(pipe).get_params()[f"reduce__{size}"] == 2
    pipe.set_params(**{f"reduce__{size}": 1, "columns__numbers__scale__with_mean": False}).fit(X, event)
    assert pipe[:-1].transform(X).shape == (90, 1)


def test_a_mixed_table_with_gaps_needs_no_preparation_in_a_pipeline(patients):
    X, event, _ = patients
    X = X.mask(np.random.default_rng(0).random(X.shape) < 0.1)
    pipe = make_pipeline(ul.ProbabilisticPCA(2, standardize=True), LogisticRegression()).fit(X, event)
    assert np.isfinite(pipe.predict_proba(X)).all()
    assert list(pipe[:-1].get_feature_names_out()) == ["probabilisticpca0", "probabilisticpca1"]


def test_imputation_as_a_step_that_hands_the_table_on(patients):
    """`impute` in a pipeline, fitted on the rows of fit alone."""
    X, event, _ = patients
    X = X[NUMBERS].mask(np.random.default_rng(1).random((90, 5)) < 0.1)
    model = ul.ProbabilisticPCA(2, standardize=True).fit(X)
    pipe = make_pipeline(FunctionTransformer(model.impute), StandardScaler(), LogisticRegression()).fit(X, event)
    assert np.isfinite(pipe.predict_proba(X)).all()


# ---- searches and cross-validation ----
@pytest.mark.parametrize(("model", "size"), reducers())
def test_grid_search_by_held_out_log_likelihood(patients, model, size):
    X, _, _ = patients
    search = GridSearchCV(make_pipeline(StandardScaler(), model), {f"{model_step(model)}__{size}": [1, 2]}, cv=2)
    search.fit(X[NUMBERS])
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert search.best_params_[f"{model_step(model)}__{size}"] == int(np.argmax(scores)) + 1
    assert search.best_estimator_.score(X[NUMBERS]) == pytest.approx(search.score(X[NUMBERS]))


def model_step(model) -> str:
    return type(model).__name__.lower()


@pytest.mark.parametrize("into", [pd.DataFrame, pl.from_pandas], ids=["pandas", "polars"])
def test_cross_validation_of_tables(patients, into):
    X = into(patients[0][NUMBERS])
    scores = cross_val_score(ul.ProbabilisticPCA(2, standardize=True), X, cv=3)
    rows = np.array_split(np.arange(90), 3)[0]
    rest = np.setdiff1d(np.arange(90), rows)
    pick = X.__getitem__ if into is pl.from_pandas else X.iloc.__getitem__
    assert scores[0] == pytest.approx(ul.ProbabilisticPCA(2, standardize=True).fit(pick(rest)).score(pick(rows)))


def test_classifiers_are_scored_by_any_metric(patients):
    X, event, _ = patients
    for model in (ul.PPCAClassifier(1), ul.NeuralClassifier(**SMALL)):
        for scoring in ("roc_auc", "neg_log_loss"):
            assert np.isfinite(cross_val_score(model, X[NUMBERS], event, cv=StratifiedKFold(2), scoring=scoring)).all()
    probabilities = cross_val_predict(ul.PPCAClassifier(1), X[NUMBERS], event, cv=3, method="predict_proba")
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)


def test_a_structured_outcome_is_split_with_its_rows(patients):
    """Splits may keep the share of events; the scorer is any function of model, rows and outcome."""
    X, event, y = patients[0][["age", "pnodes"]], patients[1], patients[2]

    def concordance(model, X, y):
        from lifelines.utils import concordance_index

        return concordance_index(y["time"], -model.predict(X), y["event"])

    folds = list(StratifiedKFold(2, shuffle=True, random_state=0).split(X, event))
    model = ul.SurvivalVAE(n_replicates=1, max_epochs=2, random_state=0)
    scores = cross_val_score(model, X, y, cv=folds[:1], scoring=concordance)
    train, test = folds[0]
    by_hand = clone(model).fit(X.iloc[train], y[train])
    assert scores[0] == pytest.approx(concordance(by_hand, X.iloc[test], y[test]))
    assert y[test].dtype == y.dtype


# ---- containers of the output ----
@pytest.mark.parametrize(("model", "size"), reducers())
@pytest.mark.parametrize(("container", "kind"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_set_output_gives_named_columns_and_keeps_the_index(patients, model, size, container, kind):
    X = patients[0][NUMBERS].head(60).set_axis([f"p{i}" for i in range(60)])
    plain = clone(model).fit(X).transform(X)
    Z = clone(model).set_output(transform=container).fit_transform(X)
    assert isinstance(Z, kind)
    assert list(Z.columns) == [f"{model_step(model)}{k}" for k in range(2)]
    np.testing.assert_array_equal(Z.to_numpy(), plain)
    if container == "pandas":
        assert Z.index.equals(X.index)
    whole = make_pipeline(StandardScaler(), clone(model)).set_output(transform=container).fit(X)
    assert isinstance(whole.transform(X), kind)


# ---- metadata routing ----
def test_callbacks_are_routed_through_a_pipeline(patients):
    numbers = []
    with sklearn.config_context(enable_metadata_routing=True):
        model = ul.VAE(1, **SMALL).set_fit_request(callbacks=True)
        make_pipeline(StandardScaler(), model).fit(patients[0][NUMBERS], callbacks=[lambda e: numbers.append(e.number)])
    assert numbers == [0, 1, 2]
