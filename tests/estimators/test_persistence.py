"""One file: what is written is what is read, and nothing damaged or foreign is read at all."""

from __future__ import annotations

import json
import os
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from factories import FACTORIES, Factory
from sklearn.exceptions import NotFittedError

import underlie as ul
from underlie.engine import sealed
from underlie.estimators.persistence import LoadError, load
from underlie.warnings import DataWarning


def mixed_table(n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": rng.normal(50, 10, n),
            "stage": pd.Categorical(rng.choice(["I", "II", "III"], n)),
            "nodes": rng.poisson(3, n).astype(float),
            "size": rng.normal(20, 3, n),
        }
    )
    table.iloc[1, 0] = np.nan
    table.iloc[2, 1] = None
    table.iloc[3, 2] = np.nan
    return table


def fitted(factory: Factory, X: Any) -> Any:
    model = factory.make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, np.arange(len(X)) % 3) if factory.supervised else model.fit(X)


def resigned(header: dict[str, Any], numbers: bytes) -> bytes:
    """A file with a valid checksum, whatever its content."""
    header["__metadata__"]["underlie.sha256"] = sealed.digest(header, memoryview(numbers))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + numbers


def parts(blob: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", blob[:8])
    return json.loads(blob[8 : 8 + length]), blob[8 + length :]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "model"
    ul.ProbabilisticPCA(2, standardize=True, random_state=3).fit(mixed_table()).save(path)
    return path.read_bytes()


def refusal(path: Path) -> str | None:
    """Message of the LoadError, None if the file loads; any other error is a failure."""
    try:
        load(path)
    except LoadError as error:
        return str(error)
    return None


def assert_refused(blob: bytes, path: Path) -> None:
    path.write_bytes(blob)
    with pytest.raises(LoadError, match=path.name):
        load(path)


# ------------------------------------------------------------------------------------------------------- round trips


@pytest.mark.parametrize("factory", FACTORIES, ids=str)
@pytest.mark.parametrize("kind", ["table", "array", "images"])
def test_a_loaded_model_gives_the_same_bits(factory: Factory, kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    X = {"table": mixed_table(), "array": rng.normal(size=(40, 4)), "images": rng.normal(size=(40, 3, 2))}[kind]
    model = fitted(factory, X)
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert type(again) is type(model)
    assert str(again.get_params()) == str(model.get_params())
    for method in ("score_samples", "transform", "predict_proba"):
        if hasattr(model, method):
            np.testing.assert_array_equal(getattr(again, method)(X), getattr(model, method)(X))
    for ours, theirs in (
        (again.sample(5, random_state=7), model.sample(5, random_state=7)),
        (again.impute(X), model.impute(X)),
    ):
        pd.testing.assert_frame_equal(ours, theirs) if kind == "table" else np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("factory", FACTORIES, ids=str)
def test_a_loaded_model_has_every_fitted_attribute(factory: Factory, tmp_path: Path) -> None:
    model = fitted(factory, mixed_table())
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    public = {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}
    assert public == {name for name in vars(again) if name.endswith("_") and not name.startswith("_")}
    plain = {n for n in public if not type(getattr(model, n)).__module__.startswith("underlie")} - {"models_"}
    assert len(plain) > 3
    for name in plain:
        np.testing.assert_equal(getattr(again, name), getattr(model, name))
    assert str(again.schema_) == str(model.schema_)


@pytest.mark.parametrize("labels", [np.array(["a", "b"]), np.array([2, 5]), np.array([True, False]), [("x"), ("y")]])
def test_class_labels_keep_their_type(labels: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.asarray(labels)[rng.integers(2, size=30)]
    model = ul.PPCAClassifier(1).fit(rng.normal(size=(30, 3)), y)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.classes_.dtype == model.classes_.dtype
    assert again.classes_.tolist() == model.classes_.tolist()


def test_parameters_keep_their_type(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(30, 4))
    model = ul.ProbabilisticPCA(np.int64(2), tol=np.float32(1e-5), random_state=5).fit(X)
    model.save(tmp_path / "model")
    params = load(tmp_path / "model").get_params()
    assert type(params["n_components"]) is np.int64
    assert type(params["tol"]) is np.float32
    assert params["random_state"] == 5
    priors = {"a": 0.25, "b": 0.75}
    classifier = ul.PPCAClassifier(1, priors=priors).fit(X, list("ab" * 15))
    classifier.save(tmp_path / "classifier")
    assert load(tmp_path / "classifier").priors == priors


@pytest.mark.parametrize("state", [np.random.RandomState(0), np.random.default_rng(0)])
def test_a_generator_is_stored_as_none_with_a_warning(state: Any, tmp_path: Path) -> None:
    model = ul.ProbabilisticPCA(1, random_state=state).fit(np.random.default_rng(0).normal(size=(9, 3)))
    with pytest.warns(DataWarning, match="random_state.*integer"):
        model.save(tmp_path / "model")
    assert load(tmp_path / "model").random_state is None


# ----------------------------------------------------------------------------------------------------- damaged files


def test_three_hundred_mutated_files_give_only_load_errors(saved: bytes, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "mutated"
    original = parts(saved)
    refused = 0
    for trial in range(300):
        blob = bytearray(saved)
        kind = trial % 6
        at = int(rng.integers(len(blob)))
        if kind == 0:
            blob[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del blob[at:]
        elif kind == 2:
            blob[at:at] = rng.bytes(int(rng.integers(1, 20)))
        elif kind == 3:
            del blob[at : at + int(rng.integers(1, 20))]
        elif kind == 4:
            span = blob[at : at + 16]
            blob[at : at + 16] = rng.bytes(len(span))
        else:
            blob[:12] = rng.bytes(12)
        path.write_bytes(bytes(blob))
        message = refusal(path)
        if message is None:
            # white space may change into other white space, or a letter into its escape: then nothing has changed
            assert parts(bytes(blob)) == original
        else:
            assert "mutated" in message
            refused += 1
    assert refused >= 290


def test_every_byte_of_the_numbers_is_covered(saved: bytes, tmp_path: Path) -> None:
    _, numbers = parts(saved)
    for at in range(len(saved) - len(numbers), len(saved), 7):
        blob = bytearray(saved)
        blob[at] ^= 0x40
        assert_refused(bytes(blob), tmp_path / "flipped")


def test_content_that_does_not_fit_gives_a_load_error_even_with_a_valid_checksum(saved: bytes, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    header, numbers = parts(saved)
    path = tmp_path / "resigned"
    values: list[Any] = [None, -1, 1e400, "x", [], {}, [[1]], {"$": "tuple"}, {"$": "unknown"}, True]
    refused = 0
    for _ in range(200):
        changed = json.loads(json.dumps(header))
        document = json.loads(changed["__metadata__"]["underlie"])
        place: Any = document
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = keys[int(rng.integers(len(keys)))]
            inner = place[key]
            if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.2:
                break
            place = inner
        if rng.random() < 0.3 and isinstance(place, dict):
            del place[key]
        else:
            place[key] = values[int(rng.integers(len(values)))]
        changed["__metadata__"]["underlie"] = json.dumps(document)
        path.write_bytes(resigned(changed, numbers))
        # a changed version number of a library, or another random_state, is still a model
        refused += refusal(path) is not None
    assert refused > 100


def test_tensors_that_do_not_fit_give_a_load_error(saved: bytes, tmp_path: Path) -> None:
    header, numbers = parts(saved)
    tensors = safetensors.torch.load(saved)
    for name in tensors:
        for changed in (torch.zeros(3), torch.full_like(tensors[name], float("nan")), None):
            others = {k: v for k, v in tensors.items() if k != name}
            if changed is not None:
                others[name] = changed
            blob = safetensors.torch.save(others, {"underlie": header["__metadata__"]["underlie"]})
            new_header, new_numbers = parts(blob)
            if name == "log_likelihood" and changed is not None:
                continue  # a record of the past, which nothing depends on
            assert_refused(resigned(new_header, new_numbers), tmp_path / "tensors")
    assert numbers


# ------------------------------------------------------------------------------------------------------ foreign files


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"{}",
        b"age,stage\n50,I\n" * 10,
        b"\x93NUMPY" + bytes(200),
        b"PK\x03\x04" + bytes(100),
        b"\x80\x04\x95" + b"cposix\nsystem\n(S'false'\ntR.",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 10**9) + b"{" + bytes(50),
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 200_000) + b"[" * 200_000,
        struct.pack("<Q", 200_001) + b"{" + b'"a":{' * 40_000,
    ],
    ids=[
        "empty",
        "short",
        "csv",
        "npy",
        "zip",
        "pickle",
        "header-2^63",
        "header-1e9",
        "no-metadata",
        "list",
        "deep",
        "cut",
    ],
)
def test_files_of_another_kind_are_refused(blob: bytes, tmp_path: Path) -> None:
    assert_refused(blob, tmp_path / "foreign")


def test_a_safetensors_file_of_other_software_is_refused(tmp_path: Path) -> None:
    assert_refused(safetensors.torch.save({"w": torch.ones(3)}, {"format": "pt"}), tmp_path / "other")


def test_a_newer_format_says_what_to_install(saved: bytes, tmp_path: Path) -> None:
    header, numbers = parts(saved)
    document = json.loads(header["__metadata__"]["underlie"])
    document["format_version"] = 99
    document["versions"]["underlie"] = "9.8.7"
    header["__metadata__"]["underlie"] = json.dumps(document)
    (tmp_path / "newer").write_bytes(resigned(header, numbers))
    with pytest.raises(LoadError, match=r"newer has format 99.*Install underlie 9\.8\.7"):
        load(tmp_path / "newer")


@pytest.mark.parametrize("name", ["os.system", "Pipeline", "LatentVariableModel", "__class__", 3, None])
def test_only_registered_classes_are_looked_up(saved: bytes, name: Any, tmp_path: Path) -> None:
    header, numbers = parts(saved)
    document = json.loads(header["__metadata__"]["underlie"])
    document["class"] = name
    header["__metadata__"]["underlie"] = json.dumps(document)
    assert_refused(resigned(header, numbers), tmp_path / "class")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        load(tmp_path / "nothing")
    with pytest.raises(LoadError, match="folder"):
        load(tmp_path)


# ------------------------------------------------------------------------------------------------------------ writing


def test_a_model_must_be_fitted(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        ul.ProbabilisticPCA().save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_the_folder_must_exist(saved: bytes, tmp_path: Path) -> None:
    model = ul.ProbabilisticPCA(1).fit(np.random.default_rng(0).normal(size=(9, 3)))
    with pytest.raises(FileNotFoundError, match="folder"):
        model.save(tmp_path / "absent" / "model")
    with pytest.raises(IsADirectoryError, match="folder"):
        model.save(tmp_path)


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    saved: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model"
    path.write_bytes(saved)
    model = ul.ProbabilisticPCA(1).fit(np.random.default_rng(0).normal(size=(9, 3)))

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        model.save(path)
    assert path.read_bytes() == saved
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    model = ul.ProbabilisticPCA(1).fit(np.random.default_rng(0).normal(size=(9, 3)))
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    model.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert load(tmp_path / "real").n_components == 1


def test_parameters_that_are_code_are_refused_by_name(tmp_path: Path) -> None:
    model = ul.ProbabilisticPCA(1).fit(np.random.default_rng(0).normal(size=(9, 3)))
    model.set_params(tol=print)
    with pytest.raises(TypeError, match="parameter tol"):
        model.save(tmp_path / "model")


def test_a_network_given_to_a_model_made_without_one_is_refused(saved: bytes, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(saved)
    with pytest.raises(LoadError, match="'solver'.*without one"):
        load(tmp_path / "model", solver=torch.nn.Linear(2, 2))


@pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")
def test_a_users_own_network_must_be_given_again(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(60, 3))
    own = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 4))
    model = ul.VAE(n_latent=2, hidden=(4,), encoder=own, max_epochs=2, random_state=0, verbose=False).fit(X)
    model.save(tmp_path / "model")
    with pytest.raises(LoadError, match=r"your own network of class Sequential as 'encoder'.*load\(path, encoder="):
        load(tmp_path / "model")
    with pytest.raises(LoadError, match="'encoder' must be a Sequential, got a Linear"):
        load(tmp_path / "model", encoder=torch.nn.Linear(3, 4))
    with pytest.raises(LoadError, match="does not hold what a VAE needs"):
        load(tmp_path / "model", encoder=torch.nn.Sequential(torch.nn.Linear(3, 4)))
    blank = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 4))
    again = load(tmp_path / "model", encoder=blank)
    np.testing.assert_array_equal(again.score_samples(X), model.score_samples(X))
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
