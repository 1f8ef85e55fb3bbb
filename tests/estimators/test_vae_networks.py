"""The VAE's networks: convolutions on images, and networks of the user's own; rows that do not fit in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import nn

import underlie as ul
from underlie.data import sources
from underlie.estimators import feeding
from underlie.estimators.persistence import LoadError

pytestmark = pytest.mark.filterwarnings("ignore::underlie.warnings.UnderlieWarning")

SMALL: dict[str, Any] = {"hidden": (8,), "max_epochs": 2, "verbose": False, "random_state": 0}
RNG = np.random.default_rng(0)
GREY = RNG.random((40, 9, 7))
IMAGES = {
    "float": GREY,
    "uint8": (GREY * 255).astype(np.uint8),
    "channels": (RNG.random((40, 8, 6, 3)) * 255).astype(np.uint8),
}
TABLE = RNG.normal(size=(60, 5))


def with_holes(X: np.ndarray) -> np.ndarray:
    holed = X.astype(float)
    holed[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    return holed


def assert_answers(model: ul.VAE, X: np.ndarray) -> None:
    """Finite, of the shape and dtype of the data."""
    assert np.isfinite(model.score_samples(X)).all()
    assert np.isfinite(model.transform(X)).all()
    complete = X.dtype if not np.isnan(X.astype(float)).any() else np.dtype(float)
    for rows in (model.reconstruct(X), model.impute(X), model.sample(len(X), random_state=0)):
        assert rows.shape == X.shape
        assert rows.dtype == complete
        assert np.isfinite(rows.astype(float)).all()


def assert_comes_back(model: ul.VAE, X: np.ndarray, path: Path, **modules: nn.Module) -> None:
    model.save(path)
    again = ul.load(path, **modules)
    np.testing.assert_array_equal(again.score_samples(X), model.score_samples(X))
    np.testing.assert_array_equal(again.sample(3, random_state=0), model.sample(3, random_state=0))


# -------------------------------------------------------------------------------------------------------------- images


@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize(("encoder", "decoder"), [("mlp", "mlp"), ("conv", "conv"), ("conv", "mlp"), ("mlp", "conv")])
def test_images(images: str, encoder: Any, decoder: Any, tmp_path: Path) -> None:
    X = IMAGES[images]
    model = ul.VAE(encoder=encoder, decoder=decoder, **SMALL).fit(X)
    assert_answers(model, X)
    assert_comes_back(model, X, tmp_path / "model")


@pytest.mark.parametrize("likelihood", ["bernoulli", "normal", "student_t", "continuous_bernoulli"])
def test_images_with_a_named_likelihood(likelihood: str) -> None:
    model = ul.VAE(likelihood=likelihood, encoder="conv", decoder="conv", **SMALL).fit(GREY)
    assert np.isfinite(model.score_samples(GREY)).all()


def test_images_with_missing_pixels() -> None:
    X = with_holes(GREY)
    model = ul.VAE(encoder="conv", decoder="conv", **SMALL).fit(X)
    assert_answers(model, X)
    seen = ~np.isnan(X)
    np.testing.assert_array_equal(model.impute(X)[seen], X[seen])


def test_convolutional_replicates_do_not_meet() -> None:
    settings = {**SMALL, "encoder": "conv", "decoder": "conv"}
    several, alone = ul.VAE(n_replicates=2, **settings).fit(GREY), ul.VAE(**settings).fit(GREY)
    # Grouped convolutions round differently from a single one, so not to the last bit.
    np.testing.assert_allclose(several.replicate(0).score_samples(GREY), alone.score_samples(GREY), rtol=1e-3)


def test_convolutions_want_images() -> None:
    for side in ("encoder", "decoder"):
        with pytest.raises(ValueError, match=f"{side}='conv' needs images"):
            ul.VAE(**{side: "conv"}, **SMALL).fit(TABLE)
    with pytest.raises(ValueError, match="encoder='conv' reads one number per pixel"):
        ul.VAE(encoder="conv", likelihood="categorical", **SMALL).fit((GREY * 3).astype(np.uint8))


# ---------------------------------------------------------------------------------------------------- the user's own


class Encoder(nn.Module):
    """With layers that keep statistics and that behave otherwise in training."""

    def __init__(self, n_in: int = 5) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_in, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(x)
        return out


class Decoder(nn.Module):
    def __init__(self, n_out: int = 5) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, n_out))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(z)
        return out


class ImageEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.convolution(x[:, None]))).flatten(1)


class Tupled(Encoder):
    def forward(self, x: torch.Tensor) -> Any:
        return self.layers(x), None


class Pooled(Encoder):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).mean(0)


@pytest.mark.parametrize("n_replicates", [1, 2])
def test_own_networks(n_replicates: int, tmp_path: Path) -> None:
    encoder, decoder = Encoder(), Decoder()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    model = ul.VAE(encoder=encoder, decoder=decoder, n_replicates=n_replicates, **SMALL).fit(TABLE)
    assert_answers(model, TABLE)
    np.testing.assert_array_equal(model.score_samples(TABLE), model.score_samples(TABLE))  # no dropout in answers
    assert_comes_back(model, TABLE, tmp_path / "model", encoder=Encoder(), decoder=Decoder())
    for name, tensor in encoder.state_dict().items():  # the user's module is a pattern, not the model
        assert torch.equal(tensor, before[name])
    assert np.isfinite(model.score_replicates(TABLE)).all()
    with pytest.raises(LoadError, match=r"load\(path, encoder=...\)"):
        ul.load(tmp_path / "model", decoder=Decoder())
    with pytest.raises(LoadError):
        ul.load(tmp_path / "model", encoder=Encoder(7), decoder=Decoder())


def test_own_image_encoder() -> None:
    assert_answers(ul.VAE(encoder=ImageEncoder(), **SMALL).fit(GREY), GREY)


def test_own_encoder_with_a_mask_and_with_levels() -> None:
    X = with_holes(TABLE)
    assert_answers(ul.VAE(encoder=Encoder(10), **SMALL).fit(X), X)
    X[:, 0] = np.arange(60) % 3
    model = ul.VAE(encoder=Encoder(7 + 5), kinds={0: "categorical"}, **SMALL).fit(X)  # 3 levels + 4 columns, and masks
    assert np.isfinite(model.score_samples(X)).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"decoder": Decoder(4)}, "decoder gives 4 numbers per row, but the likelihood needs 5"),
        ({"encoder": Encoder(7)}, r"encoder fails on a batch of shape \(2, 5\)"),
        ({"encoder": Encoder(), "batch_size": 1}, r"encoder fails on a batch of shape \(1, 5\).*raise batch_size"),
        ({"encoder": Tupled()}, "encoder must map 2 rows to a tensor of 2 rows, but gave a tuple"),
        ({"encoder": Pooled()}, r"encoder must map 2 rows .* gave a tensor of shape \(16,\)"),
    ],
)
def test_own_networks_that_do_not_fit_are_refused_first(
    parameters: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("underlie.estimators.vae.train", pytest.fail)
    with pytest.raises(ValueError, match=message):
        ul.VAE(**{**SMALL, **parameters}).fit(TABLE)


# ------------------------------------------------------------------------------------------------- larger than memory


@pytest.fixture
def tiny_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_SMALL", 10)
    monkeypatch.setattr(feeding, "_RESIDENT_BYTES", 10)


@pytest.mark.parametrize("kind", ["memmap", "h5py"])
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.usefixtures("tiny_memory")
def test_rows_read_in_parts_give_the_same_model(kind: str, missing: bool, tmp_path: Path) -> None:
    X = RNG.normal(size=(300, 6)).astype(np.float32) * 50
    if missing:
        X = with_holes(X).astype(np.float32)
    expected = ul.VAE(**SMALL).fit(X)
    if kind == "memmap":
        np.save(tmp_path / "X.npy", X)
        check_streamed(np.load(tmp_path / "X.npy", mmap_mode="r"), X, expected)
    else:
        with h5py.File(tmp_path / "X.h5", "w") as file:
            file["X"] = X
            check_streamed(file["X"], X, expected)


def check_streamed(source: Any, X: np.ndarray, expected: ul.VAE) -> None:
    seen: list[type] = []
    engine_rows = feeding.engine_rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "underlie.estimators.vae.engine_rows", lambda *a: seen.append(type(engine_rows(*a))) or engine_rows(*a)
        )
        model = ul.VAE(**SMALL).fit(source)
    assert [t.__name__ for t in seen] == ["StreamedRows"]
    np.testing.assert_allclose(model.valid_bound_, expected.valid_bound_, rtol=1e-5)
    np.testing.assert_allclose(model.score_samples(source), expected.score_samples(X), rtol=1e-5)
    np.testing.assert_allclose(model.transform(source), expected.transform(X), rtol=1e-4, atol=1e-6)
    filled = model.impute(source)
    assert np.isfinite(filled).all()
    assert filled.dtype == np.float32
    assert np.isfinite(model.reconstruct(source)).all()
    assert np.isfinite(model.posterior(source).mean).all()
