"""Callbacks of fit: they are told what history_ says, cannot change it, and reach TensorBoard and MLflow."""

from __future__ import annotations

import numpy as np
import pytest

import underlie as ul
from underlie import optional
from underlie.warnings import ConvergenceWarning

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return 100 * rng.normal(size=(80, 1)) + rng.normal(size=(80, 3))


def vae(**changed):
    return ul.VAE(**({"n_latent": 1, "hidden": (8,), "max_epochs": 3, "random_state": 0} | changed))


def fitted_of_each_kind(X, callbacks):
    """All estimators that train by gradients, each after a fit that told the callbacks."""
    small = {"hidden": (8,), "max_epochs": 2, "random_state": 0}
    y = np.arange(len(X)) % 2
    times = ul.Surv(np.exp(X[:, 0] / 100), y)
    yield ul.VAE(1, **small).fit(X, callbacks=callbacks)
    yield ul.SemiSupervisedVAE(**small).fit(X, y, callbacks=callbacks)
    yield ul.NeuralClassifier(**small).fit(X, y, callbacks=callbacks)
    yield ul.SurvivalVAE(n_replicates=2, max_epochs=2, random_state=0).fit(X[:, :1], times, callbacks=callbacks)


def test_what_is_told_is_what_the_history_says(X):
    epochs = []
    for model in fitted_of_each_kind(X, [epochs.append]):
        assert [epoch.number for epoch in epochs] == list(range(len(epochs)))
        for name, of_replicates in model.history_.items():
            told = np.stack([epoch.values[name] for epoch in epochs], axis=1)
            np.testing.assert_allclose(told, of_replicates, rtol=1e-12)
        assert epochs[0].about["class"] == type(model).__name__
        np.testing.assert_array_equal(epochs[-1].best_epoch, model.best_epoch_)
        epochs.clear()


def test_every_replicate_is_told_of_until_it_stops(X):
    epochs = []
    vae(n_replicates=3, max_epochs=40, patience=1).fit(X, callbacks=[epochs.append])
    running = np.stack([epoch.running for epoch in epochs])
    valid = np.stack([epoch.values["valid"] for epoch in epochs])
    np.testing.assert_array_equal(np.isfinite(valid[1:]), running[:-1])
    assert not running[-1].any()


def test_a_callback_changes_nothing(X):
    def spoil(epoch):
        for values in epoch.values.values():
            values[:] = np.nan
        epoch.best_epoch[:] = -1
        epoch.running[:] = False

    plain, spoilt = vae().fit(X), vae().fit(X, callbacks=[spoil])
    np.testing.assert_array_equal(plain.history_["valid"], spoilt.history_["valid"])
    np.testing.assert_array_equal(plain.transform(X), spoilt.transform(X))


def test_a_callback_may_end_training(X):
    def enough(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning, match="interrupted after 2 epochs"):
        model = vae(max_epochs=50).fit(X, callbacks=[enough])
    assert model.history_["valid"].shape == (1, 3)
    assert np.isfinite(model.transform(X)).all()


def test_an_error_in_a_callback_is_the_users_to_see(X):
    def broken(epoch):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        vae().fit(X, callbacks=[broken])


def test_training_that_goes_on_from_a_checkpoint_tells_of_what_is_new(X, tmp_path):
    def stop(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    file, numbers = ul.Checkpoint(tmp_path / "state", every=0), []
    vae(max_epochs=4).fit(X, checkpoint=file, callbacks=[stop])
    vae(max_epochs=4).fit(X, checkpoint=file, callbacks=[lambda epoch: numbers.append(epoch.number)])
    assert numbers
    assert numbers[0] in (2, 3)  # the last whole epoch that was kept may be told of again, the start is not
    assert numbers[-1] == 4


@pytest.mark.parametrize(
    ("given", "message"), [(print, "a list of functions"), (["file"], r"callbacks\[0\] is a str"), ("ab", "a list")]
)
def test_what_is_no_callback_is_refused_before_training(X, given, message):
    with pytest.raises(TypeError, match=message):
        vae().fit(X, callbacks=given)


def test_callbacks_reach_the_fits_of_a_search(X):
    from sklearn.model_selection import GridSearchCV

    fits = []
    search = GridSearchCV(vae(), {"n_latent": [1, 2]}, cv=[(np.arange(40), np.arange(40, 80))], refit=False)
    search.fit(X, callbacks=[lambda epoch: fits.append(epoch.about["n_latent"]) if epoch.number == 0 else None])
    assert fits == ["1", "2"]


# ---- TensorBoard ----
def curves(folder):
    """By name, steps and values of the event files in a folder."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = accumulator.EventAccumulator(str(folder))
    read.Reload()
    return {tag: [(e.step, e.value) for e in read.Scalars(tag)] for tag in read.Tags()["scalars"]}, read


def test_tensorboard_reads_the_history(X, tmp_path):
    with ul.callbacks.TensorBoard(tmp_path) as board:
        model = vae().fit(X, callbacks=[board])
    found, read = curves(tmp_path)
    steps, values = zip(*found["valid"], strict=True)
    assert steps == (0, 1, 2, 3)
    np.testing.assert_allclose(values, model.history_["valid"][0], rtol=1e-6)
    assert [step for step, _ in found["train"]] == [1, 2, 3]  # nothing was trained at the start
    text = read.Tensors("parameters/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| n_latent | `1` |" in text


def test_tensorboard_keeps_replicates_and_fits_apart(X, tmp_path):
    with ul.callbacks.TensorBoard(tmp_path) as board:
        first = vae(n_replicates=2).fit(X, callbacks=[board])
        second = vae(max_epochs=1).fit(X, callbacks=[board])
    for r in range(2):
        _, values = zip(*curves(tmp_path / f"replicate_{r}")[0]["valid"], strict=True)
        np.testing.assert_allclose(values, first.history_["valid"][r], rtol=1e-6)
    _, values = zip(*curves(tmp_path / "fit_2")[0]["valid"], strict=True)
    np.testing.assert_allclose(values, second.history_["valid"][0], rtol=1e-6)


# ---- MLflow ----
@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    found = pytest.importorskip("mlflow")
    found.set_tracking_uri((tmp_path / "runs").as_uri())
    yield found
    while found.active_run() is not None:
        found.end_run()
    found.set_tracking_uri("")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_mlflow_holds_parameters_and_curves(X, mlflow):
    with mlflow.start_run() as run:
        model = vae(n_replicates=2).fit(X, callbacks=[ul.callbacks.MLflow()])
        other = vae(max_epochs=1).fit(X, callbacks=[ul.callbacks.MLflow(prefix="short/")])
    client = mlflow.MlflowClient()
    parameters = client.get_run(run.info.run_id).data.params
    assert (parameters["class"], parameters["n_latent"]) == ("VAE", "1")
    assert (parameters["max_epochs"], parameters["short/max_epochs"]) == ("3", "1")
    for r in range(2):
        kept = client.get_metric_history(run.info.run_id, f"replicate_{r}/valid")
        assert [m.step for m in kept] == [0, 1, 2, 3]
        np.testing.assert_allclose([m.value for m in kept], model.history_["valid"][r])
    kept = client.get_metric_history(run.info.run_id, "short/valid")
    np.testing.assert_allclose([m.value for m in kept], other.history_["valid"][0])


@pytest.mark.parametrize(("name", "extra"), [("TensorBoard", "tensorboard"), ("MLflow", "mlflow")])
def test_a_library_that_is_absent_is_named_with_its_extra(monkeypatch, name, extra):
    monkeypatch.setattr(optional, "find_spec", lambda module: None)
    with pytest.raises(ImportError, match=rf'pip install "underlie\[{extra}\]"'):
        getattr(ul.callbacks, name)("anything")
