"""A fitted survival model as a generative one: covariates filled in, and new patients drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import torch
from numpy.typing import NDArray

from underlie.data.surv import Surv
from underlie.data.tables import library_of
from underlie.estimators.admissible import admissible
from underlie.estimators.survival_predictor import Predictor
from underlie.estimators.survival_rows import SurvivalRows, column_names
from underlie.graph import Batch

if TYPE_CHECKING:
    from underlie.estimators.survival_vae import SurvivalVAE


def impute(model: SurvivalVAE, X: Any, predictor: Predictor) -> Any:
    """See `SurvivalVAE.impute`."""
    rows = model._rows
    mean = predictor.expected_covariates(model._asked(X, None, needed=False))
    numeric = model.encoder_.numeric_moments(mean, np.zeros_like(mean))[0]
    values = model.encoder_.encoded_from_numeric(numeric)
    table = rows.covariate_table(X)
    known = admissible(table, model.encoder_)
    encoded = model.encoder_.encode(known)
    if encoded.observed is not None:
        values = np.where(encoded.observed, encoded.values, values)
    return _with_covariates(X, model.encoder_.fill(known, values), rows)


def sample(model: SurvivalVAE, n: int, generator: torch.Generator) -> tuple[Any, NDArray[np.void]]:
    """See `SurvivalVAE.sample`."""
    predictor, joint, rows = model._predictor, model._predictor.model.generative, model._rows
    members = predictor.n_replicates
    shape = (members, 1, -(-n // members))

    def drawn(name: str, batch: Batch) -> torch.Tensor:
        raw = joint[name].raw(batch)
        return joint[name].head.sample(raw.expand(*shape, raw.shape[-1]), generator)

    def flat(value: torch.Tensor) -> NDArray[np.float64]:
        found: NDArray[np.float64] = value.reshape(-1, value.shape[-1]).double().cpu().numpy()
        return found

    batch = Batch({"z": drawn("z", Batch({}))})
    covariates = model.encoder_.decode(flat(drawn("x", batch)))
    terms = torch.as_tensor(model._basis(model.encoder_.encode(covariates)), dtype=torch.float32)
    batch = batch.set("terms", terms.reshape(*shape, -1).to(predictor.device))
    table = covariates
    if rows.treatment_encoder is not None:
        t = drawn("t", batch)
        batch = batch.set("t", t)
        table = _beside(covariates, rows.treatment_encoder.decode(flat(t)), rows)
    times = model._axis.decode(flat(drawn("y", batch))[:, 0])
    # Members in turn, so that any number of rows is drawn from all of them alike.
    order = np.arange(members * shape[2]).reshape(members, -1).T.ravel()[:n]
    return _take(table, order), Surv(times[order], np.ones(n, dtype=bool))


def _with_covariates(X: Any, filled: Any, rows: SurvivalRows) -> Any:
    """X with its covariates replaced."""
    if library_of(X) is None:
        completed = np.array(X, dtype=float)
        names = column_names(X)
        completed[:, [names.index(c) for c in rows.covariates]] = filled
        return completed
    frame, new = nw.from_native(X, eager_only=True), nw.from_native(filled, eager_only=True)
    return frame.with_columns(*(new[str(c)] for c in rows.covariates)).to_native()


def _beside(covariates: Any, treatments: Any, rows: SurvivalRows) -> Any:
    """Covariates and treatments as one table, in the order of the fit."""
    if library_of(covariates) is None:
        together = np.column_stack([covariates, treatments])
        order = [*rows.covariates, *rows.treatments]
        return together[:, [order.index(name) for name in rows.names]]
    left, right = nw.from_native(covariates, eager_only=True), nw.from_native(treatments, eager_only=True)
    joined = nw.concat([left, right], how="horizontal")
    return joined.select([str(name) for name in rows.names]).to_native()


def _take(table: Any, order: NDArray[np.intp]) -> Any:
    if library_of(table) is None:
        return table[order]
    taken = nw.from_native(table, eager_only=True)[order.tolist(), :]
    native = taken.to_native()
    return native.reset_index(drop=True) if hasattr(native, "reset_index") else native
