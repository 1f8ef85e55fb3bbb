"""Which parts of a model can be exported, and what each takes and gives."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from underlie import __version__
from underlie.data import Encoder
from underlie.estimators.neural_classifier import NeuralClassifier
from underlie.estimators.ppca import ProbabilisticPCA
from underlie.estimators.scaled_gaussian import ScaledGaussian
from underlie.estimators.semi_supervised_vae import SemiSupervisedVAE
from underlie.estimators.vae import VAE
from underlie.exchange.networks import Classes, Latent, LinearLatent, LinearRows, Rows, affine
from underlie.graph import Factor

#: Rows of the inputs that a program is traced with; what it is used on may have any number.
_EXAMPLE_ROWS = 3


@final
@dataclass(frozen=True, eq=False)
class Program:
    """A module with all that exporting it takes.

    Attributes
    ----------
    module : nn.Module
    inputs : dict of str to Tensor
        By name, an example of each.
    outputs : list of str
    about : dict
        What the columns of its inputs and outputs are, JSON types only.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: list[str]
    about: dict[str, Any]


def program_of(model: Any, part: str) -> Program:
    """The encoder, the decoder or the classifier of a fitted model.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError, ValueError
        If the model, or a model with these settings, has no such part that can be exported.
    """
    parts = _PARTS.get(type(model))
    if parts is None:
        able = ", ".join(cls.__name__ for cls in _PARTS)
        raise TypeError(f"a {type(model).__name__} cannot be exported; these can: {able}.")
    check_is_fitted(model)
    if part not in parts:
        raise ValueError(f"part is {part!r}; a {type(model).__name__} has {' and '.join(map(repr, parts))}.")
    module, inputs, outputs, about = parts[part](model)
    described = {"underlie": __version__, "model": type(model).__name__, "part": part, **about}
    return Program(module.eval().requires_grad_(False).cpu(), inputs, outputs, described)


def program_rows(model: Any, X: Any) -> NDArray[np.float64]:
    """Rows as an exported encoder or classifier takes them.

    Elsewhere, where there is no Python, this matrix is made from the description that goes with the file.

    Parameters
    ----------
    model : fitted estimator
        Whose encoder or classifier was exported.
    X : like the data of ``fit``, n rows

    Returns
    -------
    ndarray of float64 (n, C), or of the shape of images
        Numbers in the units of the data; the position of its level, from 0, where a column is discrete; NaN where a
        cell is missing. For `ProbabilisticPCA` discrete columns are those of its numeric view, indicators of levels.

    Examples
    --------
    >>> import underlie as ul
    >>> X = ul.datasets.load_gbsg2()[["age", "tsize", "menostat"]]
    >>> model = ul.VAE(n_latent=1, max_epochs=1, random_state=0).fit(X)
    >>> ul.exchange.program_rows(model, X.head(2))
    array([[70., 21.,  1.],
           [56., 12.,  1.]])
    """
    if isinstance(model, ProbabilisticPCA):
        return np.asarray(model.encoder_.numeric(X), dtype=np.float64)
    encoded = model.encoder_.encode(X)
    loc, scale = affine(model.encoder_)
    rows = encoded.values * scale + loc
    if encoded.observed is not None:
        rows[~encoded.observed] = np.nan
    return np.asarray(rows.reshape(len(rows), *model.encoder_.row_shape))


# ---- variational autoencoders ----
_Part = tuple[nn.Module, dict[str, Tensor], list[str], dict[str, Any]]


def _vae_encoder(model: VAE) -> _Part:
    inner = model._conditioner.model
    module = Latent(model.encoder_, _own(inner.inference["z"]))
    return module, {"x": _example_rows(model.encoder_)}, ["mean", "variance"], _about_rows(model.encoder_)


def _vae_decoder(model: VAE) -> _Part:
    module = Rows(model.encoder_, _own(model._conditioner.model.generative["x"]))
    return module, {"z": _example_latent(model.n_latent)}, ["x"], {"outputs": model.encoder_.numeric_names}


def _labelled_encoder(model: SemiSupervisedVAE) -> _Part:
    _refuse_auxiliary(model, "encoder")
    queries = model._fitted()
    module = Latent(model.encoder_, _own(queries.conditioner.model.inference["z"]), queries.names)
    inputs = {"x": _example_rows(model.encoder_), "y": _example_labels(len(queries.names))}
    return module, inputs, ["mean", "variance"], _about_rows(model.encoder_) | _about_labels(model)


def _labelled_decoder(model: SemiSupervisedVAE) -> _Part:
    _refuse_auxiliary(model, "decoder")
    queries = model._fitted()
    module = Rows(model.encoder_, _own(queries.conditioner.model.generative["x"]), queries.names)
    inputs = {"z": _example_latent(model.n_latent), "y": _example_labels(len(queries.names))}
    return module, inputs, ["x"], {"outputs": model.encoder_.numeric_names} | _about_labels(model)


def _labelled_classifier(model: SemiSupervisedVAE) -> _Part:
    _refuse_auxiliary(model, "classifier")
    queries = model._fitted()
    if len(queries.names) > 1 or model.targets_.columns[0].is_continuous:
        raise ValueError("the classifier is exported of models with one column of classes as labels.")
    module = Classes(model.encoder_, _own(queries.members.inference[queries.names[0]]), len(model.best_epoch_))
    about = _about_rows(model.encoder_) | {"outputs": [str(c) for c in model.classes_.tolist()]}
    return module, {"x": _example_rows(model.encoder_)}, ["probabilities"], about


def _refuse_auxiliary(model: SemiSupervisedVAE, part: str) -> None:
    if model.auxiliary:
        raise ValueError(
            f"the {part} of a model with auxiliary variables averages over their draws and cannot be exported; fit "
            "with auxiliary=False."
        )


# ---- classifiers ----
def _classifier(model: NeuralClassifier) -> _Part:
    if model.extra_encoder_ is not None:
        raise ValueError("a classifier with extra predictors cannot be exported; fit without extra.")
    module = Classes(model.encoder_, _own(model.model_.generative["y"]), len(model.best_epoch_))
    about = _about_rows(model.encoder_) | {"outputs": [str(c) for c in model.classes_.tolist()]}
    return module, {"x": _example_rows(model.encoder_)}, ["probabilities"], about


# ---- linear models ----
def _linear_encoder(model: ProbabilisticPCA) -> _Part:
    x = torch.zeros(_EXAMPLE_ROWS, model.encoder_.n_numeric, dtype=torch.float64)
    about = {"inputs": [{"name": name, "kind": "continuous"} for name in model.encoder_.numeric_names]}
    return LinearLatent(ScaledGaussian(model.model_, model.scale_)), {"x": x}, ["mean", "variance"], about


def _linear_decoder(model: ProbabilisticPCA) -> _Part:
    module = LinearRows(ScaledGaussian(model.model_, model.scale_))
    return module, {"z": _example_latent(model.n_components_)}, ["x"], {"outputs": model.encoder_.numeric_names}


_PARTS: dict[type, dict[str, Callable[[Any], _Part]]] = {
    VAE: {"encoder": _vae_encoder, "decoder": _vae_decoder},
    SemiSupervisedVAE: {
        "encoder": _labelled_encoder,
        "decoder": _labelled_decoder,
        "classifier": _labelled_classifier,
    },
    NeuralClassifier: {"classifier": _classifier},
    ProbabilisticPCA: {"encoder": _linear_encoder, "decoder": _linear_decoder},
}


# ---- inputs ----
def _own(factor: Factor) -> Factor:
    """A copy, which the program may keep and move."""
    return copy.deepcopy(factor)


def _example_rows(encoder: Encoder) -> Tensor:
    return torch.zeros(_EXAMPLE_ROWS, *encoder.row_shape, dtype=torch.float64)


def _example_latent(n_latent: int) -> Tensor:
    return torch.zeros(_EXAMPLE_ROWS, n_latent, dtype=torch.float64)


def _example_labels(n: int) -> Tensor:
    return torch.zeros(_EXAMPLE_ROWS, n, dtype=torch.float64)


def _about_rows(encoder: Encoder) -> dict[str, Any]:
    """Name, kind and levels of each column of the rows."""
    columns = []
    for column in encoder.schema:
        described: dict[str, Any] = {"name": str(column.name), "kind": column.kind}
        if column.levels is not None:
            described["levels"] = [str(level) for level in column.levels]
        columns.append(described)
    return {"inputs": columns}


def _about_labels(model: SemiSupervisedVAE) -> dict[str, Any]:
    """What y means: the position of a class, or a standardised number."""
    return {
        "labels": [
            {"name": t.name, "loc": t.loc, "scale": t.scale}
            if t.classes is None
            else {"name": t.name, "levels": [str(c) for c in t.classes.tolist()]}
            for t in model.targets_.columns
        ]
    }
