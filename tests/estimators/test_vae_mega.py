"""VAE(mega=...): moment gaps in training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import underlie as ul
from underlie.engine import recording

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")


def table(n: int = 150, missing: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "a": a,
            "b": a**2 + 0.3 * rng.normal(size=n),
            "group": np.array(["x", "y", "z"])[np.clip((a + rng.normal(size=n)).round() + 1, 0, 2).astype(int)],
            "count": rng.poisson(np.exp(0.5 * a + 1)),
        }
    )
    return frame.mask(rng.random(frame.shape) < missing)


def vae(**changes: Any) -> ul.VAE:
    settings = {"n_latent": 2, "hidden": (8,), "max_epochs": 4, "likelihood": {"a": "normal", "b": "normal"}}
    settings |= {"mega": 1.0, "mega_draws": 64, "random_state": 0, "verbose": False}
    return ul.VAE(**(settings | changes))


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("order", [2, 4, {3: 0.5}], ids=str)
def test_a_replicate_alone_is_the_same_in_a_batch(missing: float, order: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "STEPS_BEFORE_RECORDING", 4)
    monkeypatch.setattr(recording, "STEPS_WORTH_RECORDING", 0)
    X = table(missing=missing)
    alone, batch = vae(mega_order=order).fit(X), vae(mega_order=order, n_replicates=3).fit(X)
    for name, values in alone.history_.items():
        np.testing.assert_array_equal(batch.history_[name][0, : values.shape[1]], values[0], err_msg=name)
    assert batch.valid_bound_[0] == alone.valid_bound_[0]


def test_the_penalty_lowers_the_gaps_and_the_bound() -> None:
    X = table(400)
    models = [vae(mega=alpha, mega_order=2, max_epochs=60, patience=60).fit(X) for alpha in (1e-9, 10.0)]
    gaps = [{k: m.history_[k][0, m.best_epoch_[0]] for k in ("gap_1", "gap_2")} for m in models]
    assert gaps[1]["gap_2"] < 0.8 * gaps[0]["gap_2"]
    assert models[1].score(X) < models[0].score(X) + 0.5


def test_history_adds_up_to_the_bound() -> None:
    model = vae(mega=3.0, n_replicates=2).fit(table())
    assert set(model.history_) == {"train", "valid", "penalty", "gap_1", "gap_2"}
    for r, epoch in enumerate(model.best_epoch_):
        bound = model.history_["valid"][r, epoch] + 3.0 * model.history_["penalty"][r, epoch]
        assert model.valid_bound_[r] == pytest.approx(bound, rel=1e-6)
    assert all(np.isfinite(model.history_[k]).all() for k in ("penalty", "gap_1", "gap_2"))


def test_without_it_nothing_changes() -> None:
    X = table()
    plain = ul.VAE(n_latent=2, hidden=(8,), max_epochs=4, likelihood={"a": "normal", "b": "normal"}, random_state=0)
    plain.set_params(verbose=False).fit(X)
    none = vae(mega=0.0).fit(X)
    np.testing.assert_array_equal(plain.history_["valid"], none.history_["valid"])
    assert plain.penalised_moments_ == ()
    assert set(plain.history_) == {"train", "valid"}


@pytest.mark.parametrize(("order", "orders"), [(2, (1, 2)), ({2: 1.0, 4: 0.1, 1: 0.0}, (2, 4))])
def test_what_was_penalised_is_recorded_and_saved(order: Any, orders: tuple[int, ...], tmp_path: Path) -> None:
    model = clone(vae(mega_order=order)).fit(table())
    assert model.penalised_moments_ == orders
    model.save(tmp_path / "model.underlie")
    again = ul.load(tmp_path / "model.underlie")
    assert again.penalised_moments_ == orders
    assert isinstance(again.penalised_moments_, tuple)
    assert again.mega_order == order
    np.testing.assert_array_equal(again.history_["penalty"], model.history_["penalty"])


def test_images_are_compared_on_their_own_scale() -> None:
    images = (np.random.default_rng(0).random((60, 4, 4)) * 255).astype(np.uint8)
    model = ul.VAE(1, hidden=(8,), max_epochs=2, mega=1.0, mega_draws=512, random_state=0, verbose=False).fit(images)
    first = images.reshape(60, -1).mean(0) / 255
    found = model.moments(model.sample_latent(4000, 0))[0].mean(0) / 255
    # two sets of draws, in 16 pixels of spread .3 at most: 5 standard errors
    expected, se = np.linalg.norm(first - found), 5 * np.sqrt(16) * 0.3 / np.sqrt(4000)
    kept = model.history_["gap_1"][0, model.best_epoch_[0]]
    assert kept == pytest.approx(expected, abs=se)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"mega": -1.0}, ValueError, "mega must be"),
        ({"mega": "much"}, TypeError, "mega must be"),
        ({"mega": float("nan")}, ValueError, "mega must be"),
        ({"mega_order": 5}, ValueError, "mega_order.*1 to 4"),
        ({"mega_order": 0}, ValueError, "mega_order.*1 to 4"),
        ({"mega_order": 2.5}, TypeError, "mega_order"),
        ({"mega_order": {6: 1.0}}, ValueError, "mega_order.*got 6"),
        ({"mega_order": {2: -1.0}}, ValueError, r"mega_order\[2\]"),
        ({"mega_order": {}}, ValueError, "mega_order"),
        ({"mega_draws": 0}, ValueError, "mega_draws"),
        ({"likelihood": {"a": "student_t"}, "mega_order": 3}, ValueError, "'a'.*finite moment of order 3"),
    ],
)
def test_bad_arguments_are_named(changes: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        vae(**changes).fit(table(40))


def test_moments_that_are_too_many_are_refused() -> None:
    X = np.random.default_rng(0).normal(size=(40, 60))
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match="mega_order: moments of order 3 of 60 columns"):
        vae(mega_order=4, likelihood="normal").fit(X)


def test_rows_read_from_a_source_have_the_same_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from underlie.data.sources import ArraySource
    from underlie.estimators import feeding

    X = np.random.default_rng(0).normal(size=(80, 4)).astype(np.float32) @ np.diag([1, 2, 3, 4]).astype(np.float32)
    np.save(tmp_path / "rows.npy", X)
    fit: Callable[[Any], ul.VAE] = vae(likelihood="normal", mega_order=3).fit
    resident = fit(X).history_
    monkeypatch.setattr(feeding, "_RESIDENT_BYTES", 0)
    streamed = vae(likelihood="normal", mega_order=3).fit(ArraySource(np.load(tmp_path / "rows.npy", mmap_mode="r")))
    np.testing.assert_allclose(streamed.history_["penalty"], resident["penalty"], rtol=1e-3)
