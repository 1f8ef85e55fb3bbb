"""The survival variational autoencoder as an estimator."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from underlie import nn as unn
from underlie.data.surv import as_surv
from underlie.data.surv_encoding import check_fittable, without_zero_times
from underlie.engine import Settings
from underlie.estimators.base import LatentVariableModel, as_generator, checked_count
from underlie.estimators.feeding import Pace, torch_device
from underlie.estimators.parameters import check_likelihood, check_number, check_widths, undone_on_error
from underlie.estimators.survival_fit import Parts, Plan, build, fit_parts, train_survival
from underlie.estimators.survival_predictor import Patients, Predictor
from underlie.estimators.survival_rows import SurvivalRows, column_names, n_rows, refuse_leaks
from underlie.graph import Joint, LatentModel
from underlie.models.additive import AdditiveBasis
from underlie.models.survival_start import encode_outcome, log_slopes

Floats = NDArray[np.float64]
RandomState = int | np.random.Generator | np.random.RandomState | None


@final
class SurvivalVAE(LatentVariableModel):
    """x"""

    model_: LatentModel
    generative_: Joint
    inference_: Joint
    treatments_: list[str | int]
    follow_up_: float

    def __init__(
        self,
        treatments: str | int | Sequence[str | int] | None = None,
        *,
        distribution: str = "weibull",
        baseline: Literal["nonparametric", "parametric"] = "nonparametric",
        direct: bool = True,
        heterogeneity: float | Literal["auto"] = "auto",
        n_latent: int = 4,
        hidden: Sequence[int] = (32,),
        n_replicates: int = 8,
        alpha: float = 0.1,
        objective: Literal["predictive", "elbo"] = "predictive",
        n_draws: int = 4,
        n_importance: int = 32,
        max_epochs: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: float = 2e-3,
        patience: int | Literal["auto"] = "auto",
        valid_fraction: float = 0.2,
        activation: str = "relu",
        likelihood: Any = "auto",
        kinds: Any = None,
        device: str = "auto",
        random_state: RandomState = None,
        verbose: bool = True,
    ) -> None:
        self.treatments = treatments
        self.distribution = distribution
        self.baseline = baseline
        self.direct = direct
        self.heterogeneity = heterogeneity
        self.n_latent = n_latent
        self.hidden = hidden
        self.n_replicates = n_replicates
        self.alpha = alpha
        self.objective = objective
        self.n_draws = n_draws
        self.n_importance = n_importance
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.valid_fraction = valid_fraction
        self.activation = activation
        self.likelihood = likelihood
        self.kinds = kinds
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        begun = time.perf_counter()
        device = torch_device(self.device)
        seeds = as_generator(self.random_state).integers(2**31 - 1, size=self.n_replicates + 1).tolist()
        outcome = as_surv(y)
        if len(outcome) != n_rows(X):
            raise ValueError(f"X has {n_rows(X)} rows, y has {len(outcome)}.")
        check_fittable(outcome)
        refuse_leaks(X, outcome)
        outcome = without_zero_times(outcome)
        with undone_on_error(self):
            treatments = self.treatments if isinstance(self.treatments, (list, tuple)) else ([] if self.treatments is None else [self.treatments])
            self._rows = SurvivalRows.fit(X, treatments, self.kinds)
            self.treatments_ = list(treatments)
            x = self._rows.encode_covariates(X)
            self._basis = AdditiveBasis.of(self._rows.covariate_encoder.schema, x)
            patients = Patients(x, self._basis(x), self._rows.encode_treatments(X))
            plan = Plan(self.distribution, self.baseline, self.direct, None if self.heterogeneity == "auto" else float(self.heterogeneity), self.n_latent, tuple(self.hidden), self.activation, self.objective, self.alpha)
            t0 = time.perf_counter()
            te = self._rows.treatment_encoder
            parts = fit_parts(plan, outcome, self._rows.covariate_table(X), self._rows.covariate_encoder, patients, self._basis, te and te.schema, self.likelihood)
            self.start_time_ = time.perf_counter() - t0
            n = len(outcome)
            pace = Pace.of(n, self.batch_size, self.max_epochs, self.patience)
            settings = Settings(pace.max_epochs, pace.batch_size, self.learning_rate, pace.patience, self.valid_fraction, self.n_draws, max_norm=10.0, device=device, verbose=self.verbose)
            trained = train_survival(plan, parts, patients, outcome, settings, seeds[:-1])
            self.model_ = trained.model
            self.history_ = trained.history
            self.best_epoch_ = trained.best_epoch
            self._plan, self._parts = plan, parts
            self.follow_up_ = float(outcome["time"].max())
            self._predictor = Predictor(self.model_, parts.start.axis, self.n_importance, seeds[-1])
        self.fit_time_ = time.perf_counter() - begun
        return self

    def patients(self, X, treatment=None):
        x = self._rows.encode_covariates(X)
        return Patients(x, self._basis(x), self._rows.encode_treatments(X, treatment))

    def predict_survival_function(self, X, times, treatment=None):
        return self._predictor.survival(self.patients(X, treatment), np.asarray(times, float))

    def score_samples(self, X, y=None):
        y = without_zero_times(as_surv(y)); ax = self._parts.start.axis
        return self._predictor.log_likelihood(self.patients(X), encode_outcome(y, ax)) + log_slopes(y, ax)

    def _state(self): ...
    def _restore(self, state, arrays): ...
