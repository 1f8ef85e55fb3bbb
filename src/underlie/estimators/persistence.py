"""Fitted models in one file: safetensors for the numbers, JSON for the rest, a checksum over both.

The format is that of `underlie.engine.sealed`; the description has the format version, the class, versions of the
libraries, parameters, encoder and state.

Reading such a file builds numbers, text and containers and nothing else. The class is looked up by name in a fixed
table, so a file cannot make Python import or run anything. Sizes that a file states (columns, latent dimensions,
replicates, layers) are held against the numbers that it holds before anything of that size is built, so that reading
takes memory in proportion to the file. The checksum finds accidents; it is no signature.
"""

from __future__ import annotations

import importlib
import math
import numbers
import os
from collections.abc import Iterator, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from underlie.engine.sealed import DamagedFile, description_of, read_sealed, seal, unseal, write_atomically
from underlie.estimators import tagged_json
from underlie.warnings import DataWarning, warn

if TYPE_CHECKING:
    from underlie.estimators.base import Estimator

#: raised by one whenever a file written now could not be read correctly by the code of yesterday
FORMAT_VERSION = 1

#: the classes that a file may name, and where they are
REGISTRY = {
    "ProbabilisticPCA": "underlie.estimators.ppca",
    "PPCAClassifier": "underlie.estimators.ppca_classifier",
    "NeuralClassifier": "underlie.estimators.neural_classifier",
    "VAE": "underlie.estimators.vae",
    "SemiSupervisedVAE": "underlie.estimators.semi_supervised_vae",
    "SurvivalVAE": "underlie.estimators.survival_vae",
}

_MODULE = "underlie:module"

#: parameters that are the length of an axis of some tensor of the file, and those that count layers of tensors
_LENGTHS = ("n_latent", "auxiliary", "n_replicates")
_LAYERS = ("hidden", "classifier_hidden")
#: what any file may state, however few numbers it holds: a user's convolutions have fewer than an image has pixels
_FREE_COLUMNS, _FREE_LAYERS = 1_000_000, 100

#: what reading a file of the right format with unfitting content can raise, in the encoder or in an estimator
_UNFIT = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
)


class LoadError(ValueError):
    """A file is not a model that this version of underlie can read; the message names the file and the remedy."""


class _File(NamedTuple):
    """What a file holds, checked against its checksum."""

    document: dict[str, Any]
    arrays: dict[str, Any]


def save(model: Estimator, path: str | os.PathLike[str]) -> None:
    """Write a fitted model to one file.

    The file appears under its name only when it is complete: it is written beside its destination, flushed to the disk
    and renamed. A crash leaves the old file, or none.

    Parameters
    ----------
    model : fitted estimator of this package
    path : path
        An existing file is replaced. The folder must exist.

    Raises
    ------
    NotFittedError
        If the model was not fitted.
    TypeError
        If a parameter is of a type that a file cannot hold, such as a function.
    FileNotFoundError
        If the folder does not exist.

    Warns
    -----
    DataWarning
        If ``random_state`` is a generator object: it is stored as None.

    See Also
    --------
    load : reads the file.
    """
    check_is_fitted(model)
    name = type(model).__name__
    if _class_of(name) is not type(model):
        raise TypeError(
            f"{type(model).__qualname__} is not one of the estimators that can be saved: {sorted(REGISTRY)}."
        )
    state, arrays = model._state()
    names = getattr(model, "feature_names_in_", None)
    document = {
        "format_version": FORMAT_VERSION,
        "class": name,
        "versions": _versions(),
        "params": {k: _encode_param(k, v) for k, v in model.get_params(deep=False).items()},
        "feature_names_in": None if names is None else [str(n) for n in names],
        "encoder": tagged_json.encode(model.encoder_.to_json(), "encoder"),
        "state": tagged_json.encode(state, "state"),
        "torch": sorted(k for k, v in arrays.items() if isinstance(v, torch.Tensor)),
    }
    tensors = {name: _as_tensor(name, value) for name, value in arrays.items()}
    write_atomically(_real_path(path), seal(document, tensors))


def load(path: str | os.PathLike[str], **modules: torch.nn.Module) -> Any:
    """Read a fitted model from a file that ``model.save(path)`` wrote.

    Loading runs no code from the file, and checks every byte against the file's checksum.

    Parameters
    ----------
    path : path
    **modules : torch.nn.Module
        Networks that were the user's own when the model was made, by parameter name, such as
        ``load(path, encoder=MyNetwork())``: the file holds their numbers but not their code.

    Returns
    -------
    fitted estimator

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    LoadError
        If the file is truncated, altered, of another kind or of a newer format, or if a network is missing.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, underlie as ul
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> model = ul.ProbabilisticPCA(n_components=1).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(os.path.join(folder, "model.safetensors"))
    ...     again = ul.load(os.path.join(folder, "model.safetensors"))
    >>> bool(np.all(again.score_samples(X) == model.score_samples(X)))
    True
    """
    name = os.fspath(path)
    file = _unpack(_read(path), name)
    document = file.document
    if str(document.get("class")) not in REGISTRY:
        raise LoadError(
            f"{name} holds a model of class {document.get('class')!r}, which this version of underlie does not know. "
            f"Known: {sorted(REGISTRY)}."
        )
    try:
        cls = _class_of(str(document["class"]))
        params = {k: _decode_param(k, v, modules, name) for k, v in document["params"].items()}
        encoder, state = (tagged_json.decode(document[part]) for part in ("encoder", "state"))
        _check_sizes(params, [encoder, state], file.arrays)
        unused = sorted(set(modules) - {k for k, v in document["params"].items() if _is_marker(v)})
        if unused:
            raise LoadError(
                f"{name}: the argument {unused[0]!r} was given a network, but the model in this file was made without "
                "one there. Leave it out."
            )
        model = cls(**params)
        model._adopt(encoder, document["feature_names_in"])
        model._restore(state, file.arrays)
    except LoadError:
        raise
    except _UNFIT as error:
        raise LoadError(
            f"{name} does not hold what a {document['class']} needs ({type(error).__name__}: {error}). "
            "It was written by another version or by other software: save the model again."
        ) from error
    return model


def _check_sizes(params: dict[str, Any], described: Any, arrays: dict[str, Any]) -> None:
    """ValueError where a file states sizes that its numbers cannot have."""
    n_numbers = sum(math.prod(array.shape) for array in arrays.values())
    for name, array in arrays.items():
        # an array without elements may have an axis of any length, for which numpy would take memory
        if math.prod(n or 1 for n in array.shape) > max(_FREE_COLUMNS, n_numbers):
            raise ValueError(f"{name} has the shape {tuple(array.shape)}, but the file holds {n_numbers:,} numbers")
    for name in params.keys() & set(_LENGTHS):
        if isinstance(params[name], numbers.Real) and params[name] > n_numbers:
            raise ValueError(f"{name} is {params[name]}, but the file holds {n_numbers:,} numbers")
    for name in params.keys() & set(_LAYERS):
        if isinstance(params[name], Sized) and len(params[name]) > max(_FREE_LAYERS, len(arrays)):
            raise ValueError(f"{name} has {len(params[name]):,} layers, but the file holds {len(arrays):,} tensors")
    for schema in _schemas(described):
        # levels that all columns share, such as those of categorical pixels, are stated once
        levels = schema["levels"].get("all") if isinstance(schema["levels"], dict) else None
        n_cells = int(schema["n_columns"]) * max(1, len(levels) if isinstance(levels, Sized) else 1)
        if n_cells > max(_FREE_COLUMNS, 2 * n_numbers):
            raise ValueError(f"it describes {n_cells:,} columns or levels, but the file holds {n_numbers:,} numbers")


def _schemas(described: Any) -> Iterator[dict[Any, Any]]:
    """Every schema in a description: of the rows, and of treatments or further predictors."""
    pending = [described]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if "n_columns" in value:
                yield value
            pending.extend(value.values())
        elif isinstance(value, (list, tuple)):
            pending.extend(value)
        elif isinstance(value, np.ndarray) and value.dtype == object:
            pending.extend(value.ravel())


def _class_of(name: str) -> Any:
    if name not in REGISTRY:
        return None
    return getattr(importlib.import_module(REGISTRY[name]), name)


def _versions() -> dict[str, str]:
    from underlie import __version__

    return {"underlie": __version__, "torch": str(torch.__version__), "numpy": np.__version__}


def _encode_param(name: str, value: Any) -> Any:
    if isinstance(value, torch.nn.Module):
        return {"$": _MODULE, "class": type(value).__qualname__}
    if isinstance(value, (np.random.RandomState, np.random.Generator, torch.Generator)):
        warn(
            f"{name} is a {type(value).__name__}, whose state is not saved: the loaded model has {name}=None. "
            "Give an integer to keep it.",
            DataWarning,
        )
        return None
    return tagged_json.encode(value, f"The parameter {name}")


def _is_marker(value: Any) -> bool:
    return isinstance(value, dict) and value.get("$") == _MODULE


def _decode_param(name: str, value: Any, modules: dict[str, torch.nn.Module], file: str) -> Any:
    if not _is_marker(value):
        return tagged_json.decode(value)
    module = modules.get(name)
    if module is None:
        raise LoadError(
            f"{file}: this model was made with your own network of class {value.get('class')} as {name!r}, and a file "
            f"holds no code. Give one of the same shape: load(path, {name}=...)."
        )
    if type(module).__qualname__ != value.get("class"):
        raise LoadError(
            f"{file}: the argument {name!r} must be a {value.get('class')}, got a {type(module).__qualname__}."
        )
    return module


# ---------------------------------------------------------------------------------------------------------------
# bytes
# ---------------------------------------------------------------------------------------------------------------


def _as_tensor(name: str, value: Any) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    array = np.array(value, order="C")
    try:
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
    except TypeError as error:
        raise TypeError(
            f"The array {name!r} has numpy type {array.dtype}, which cannot be stored in a file."
        ) from error


def _unpack(blob: bytes, name: str) -> _File:
    try:
        # the version first: another format may compute its checksum in another way
        document = description_of(blob)
        if "format_version" not in document:
            raise DamagedFile("its description lacks the format version")
        if document["format_version"] != FORMAT_VERSION:
            raise LoadError(_version_message(name, document))
        document, tensors = unseal(blob)
    except DamagedFile as error:
        raise _not_a_model(name, error) from error
    try:
        from_torch = set(document["torch"])
        arrays = {k: t if k in from_torch else t.numpy() for k, t in tensors.items()}
    except _UNFIT as error:
        raise LoadError(f"{name} is not a well-formed model file ({error}). Save the model again.") from error
    return _File(document, arrays)


def _not_a_model(name: str, error: DamagedFile) -> LoadError:
    return LoadError(
        f"{name} is not a model that underlie saved, or is damaged: {error}. Copy it again, save the model again, or "
        "give another file. (more: underlie explain not-a-model)"
    )


def _version_message(name: str, document: dict[str, Any]) -> str:
    versions = document.get("versions")
    writer = versions.get("underlie", "?") if isinstance(versions, dict) else "?"
    return (
        f"{name} has format {document['format_version']!r} (written by underlie {writer}); this version reads format "
        f"{FORMAT_VERSION}. Install underlie {writer} or newer, or save the model again with this version. "
        "(more: underlie explain not-a-model)"
    )


# ---------------------------------------------------------------------------------------------------------------
# disk
# ---------------------------------------------------------------------------------------------------------------


def _real_path(path: str | os.PathLike[str]) -> Path:
    """The file to write, behind any symbolic link."""
    target = Path(os.path.realpath(os.fspath(path)))
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"The folder {str(target.parent)!r} does not exist: make it first, or choose another path."
        )
    if target.is_dir():
        raise IsADirectoryError(f"path is the folder {str(target)!r}: give the name of a file in it.")
    return target


def _read(path: str | os.PathLike[str]) -> bytes:
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"There is no file {os.fspath(path)!r}.")
    if not file.is_file():
        raise LoadError(f"{os.fspath(path)} is a folder or a device. Give the file that model.save(path) wrote.")
    try:
        return read_sealed(file)
    except DamagedFile as error:
        raise _not_a_model(os.fspath(path), error) from error
