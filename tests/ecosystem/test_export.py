"""Exported networks answer as the models do, from a file alone, in PyTorch's format and in ONNX."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

import underlie as ul
from underlie.exchange.programs import program_of

pytestmark = pytest.mark.filterwarnings(
    "ignore::underlie.warnings.ConvergenceWarning",
    "ignore::DeprecationWarning",  # within PyTorch's exporters
    "ignore::FutureWarning",
)

#: networks are computed in float32 on both sides, by other kernels in ONNX Runtime
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def run(file, *inputs):
    """The answers of an exported program, as a list of arrays."""
    if file.suffix == ".onnx":
        session = pytest.importorskip("onnxruntime").InferenceSession(file)
        return session.run(None, dict(zip([i.name for i in session.get_inputs()], inputs, strict=True)))
    found = torch.export.load(file).module()(*(torch.as_tensor(each) for each in inputs))
    return [each.numpy() for each in (found if isinstance(found, (tuple, list)) else [found])]


def description_in(file):
    if file.suffix == ".onnx":
        entries = pytest.importorskip("onnx").load(file).metadata_props
        return {entry.key: entry.value for entry in entries}["underlie.json"]
    stored = {"underlie.json": ""}
    torch.export.load(file, extra_files=stored)
    return stored["underlie.json"]


@pytest.fixture(scope="module")
def patients():
    """Numbers, counts, categories and missing cells."""
    X = ul.datasets.load_gbsg2()[["age", "tsize", "pnodes", "progrec", "tgrade", "menostat"]].head(150)
    holes = np.random.default_rng(0).random(X.shape) < 0.1
    return X.mask(holes)


@pytest.fixture(scope="module")
def vae(patients):
    return ul.VAE(n_latent=2, hidden=(16,), max_epochs=2, random_state=0).fit(patients)


@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_the_encoder_of_a_mixed_table_with_missing_cells(vae, patients, tmp_path, suffix):
    file = tmp_path / f"encoder{suffix}"
    before = vae.transform(patients)
    about = ul.export(vae, file)
    np.testing.assert_array_equal(vae.transform(patients), before)  # exporting changes nothing
    assert json.loads(description_in(file)) == about
    rows = ul.exchange.program_rows(vae, patients)
    assert np.isnan(rows).sum() == patients.isna().to_numpy().sum()
    mean, variance = run(file, rows)
    found = vae.posterior(patients, n_importance=0)
    np.testing.assert_allclose(mean, before, **CLOSE)
    np.testing.assert_allclose(variance, found.variance, **CLOSE)
    for n in (1, 7):  # any number of rows
        np.testing.assert_allclose(run(file, rows[:n])[0], mean[:n], **CLOSE)


def test_the_decoder_gives_means_in_the_units_of_the_data(vae, tmp_path):
    about = ul.export(vae, tmp_path / "decoder.pt2", "decoder")
    z = np.random.default_rng(0).normal(size=(5, 2))
    (x,) = run(tmp_path / "decoder.pt2", z)
    np.testing.assert_allclose(x, vae.moments(z, order=1)[0], **CLOSE)
    assert about["outputs"] == vae.encoder_.numeric_names


def test_the_description_is_enough_to_make_rows(vae, patients):
    about = program_of(vae, "encoder").about
    assert (about["model"], about["part"], about["underlie"]) == ("VAE", "encoder", ul.__version__)
    by_hand = np.column_stack(
        [
            patients[c["name"]].map({v: float(k) for k, v in enumerate(c["levels"])}).astype(float)
            if "levels" in c
            else patients[c["name"]]
            for c in about["inputs"]
        ]
    )
    np.testing.assert_allclose(by_hand, ul.exchange.program_rows(vae, patients), rtol=1e-12)


def test_exact_posteriors_of_probabilistic_pca(patients, tmp_path):
    """As ONNX; the example of `export` does it as .pt2."""
    model = ul.ProbabilisticPCA(3, standardize=True).fit(patients)
    file = tmp_path / "encoder.onnx"
    ul.export(model, file)
    found = model.posterior(patients)
    mean, variance = run(file, ul.exchange.program_rows(model, patients))
    np.testing.assert_allclose(mean, found.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance, found.variance, rtol=1e-5, atol=1e-6)


def test_the_decoder_of_probabilistic_pca(patients, tmp_path):
    model = ul.ProbabilisticPCA(2, standardize=True).fit(patients)
    ul.export(model, tmp_path / "decoder.pt2", "decoder")
    z = np.eye(2)
    np.testing.assert_allclose(run(tmp_path / "decoder.pt2", z)[0], model.moments(z)[0], rtol=1e-10)


def test_a_committee_of_classifiers_of_images(tmp_path):
    digits = ul.datasets.load_digits()
    X, y = digits.data[:100].reshape(-1, 8, 8), digits.target[:100]
    model = ul.NeuralClassifier(n_replicates=2, hidden=(16,), max_epochs=2, random_state=0).fit(X, y)
    about = ul.export(model, tmp_path / "classifier.pt2", "classifier")
    (found,) = run(tmp_path / "classifier.pt2", ul.exchange.program_rows(model, X))
    np.testing.assert_allclose(found, model.predict_proba(X), **CLOSE)
    assert about["outputs"] == [str(digit) for digit in range(10)]


def test_a_semi_supervised_model_classifies_and_generates(tmp_path):
    digits = ul.datasets.load_digits()
    X, y = digits.data[:60], np.where(np.arange(60) % 2, digits.target[:60], -1)
    y[:10] = np.arange(10)
    model = ul.SemiSupervisedVAE(n_latent=2, hidden=(16,), max_epochs=1, random_state=0).fit(X, y)
    rows = ul.exchange.program_rows(model, X)
    classifier, encoder = (program_of(model, part).module for part in ("classifier", "encoder"))
    expected = model.predict_proba(X, n_importance=0)
    np.testing.assert_allclose(classifier(torch.as_tensor(rows)), expected, **CLOSE)
    labels = np.arange(60) % 10
    styles = encoder(torch.as_tensor(rows), torch.as_tensor(labels[:, None]))[0].numpy()
    np.testing.assert_allclose(styles, model.transform(X, labels), **CLOSE)
    ul.export(model, tmp_path / "decoder.pt2", "decoder")
    (x,) = run(tmp_path / "decoder.pt2", styles, labels[:, None].astype(float))
    wanted = model.encoder_.numeric(model.inverse_transform(styles, labels))
    np.testing.assert_allclose(x, wanted, atol=0.51)  # grey values are whole numbers


def test_networks_of_the_users_own_are_exported_too(tmp_path):
    X = np.random.default_rng(0).normal(size=(40, 3))
    own = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh())
    model = ul.VAE(1, hidden=(8,), encoder=own, max_epochs=1, random_state=0).fit(X)
    ul.export(model, tmp_path / "own.pt2")
    np.testing.assert_allclose(run(tmp_path / "own.pt2", X)[0], model.transform(X), **CLOSE)


def test_what_cannot_be_exported_is_refused_in_words_that_help(vae, patients, tmp_path):
    with pytest.raises(ValueError, match="ends in .pt2 or .onnx"):
        ul.export(vae, tmp_path / "encoder.pt")
    with pytest.raises(ValueError, match="has 'encoder' and 'decoder'"):
        ul.export(vae, tmp_path / "x.pt2", "classifier")
    with pytest.raises(TypeError, match="a SurvivalVAE cannot be exported; these can: VAE"):
        ul.export(ul.SurvivalVAE(), tmp_path / "x.pt2")
    with pytest.raises(NotFittedError):
        ul.export(ul.VAE(), tmp_path / "x.pt2")
    skip = ul.SemiSupervisedVAE(2, hidden=(8,), auxiliary=True, max_epochs=1, random_state=0)
    skip.fit(patients[["age", "tsize"]], np.arange(150) % 2)
    with pytest.raises(ValueError, match="auxiliary=False"):
        ul.export(skip, tmp_path / "x.pt2", "classifier")
    assert not list(tmp_path.iterdir())
