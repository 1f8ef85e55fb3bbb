"""The survival variational autoencoder as an estimator."""

from __future__ import annotations

import os
import time as clock
from collections.abc import Sequence
from typing import Any, Literal, Self, final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils import Tags, TransformerTags
from sklearn.utils.validation import check_is_fitted

from underlie.engine import Callback, Checkpoint, Launch, few_threads
from underlie.estimators.base import LatentVariableModel, Posterior, as_generator, checked_count
from underlie.estimators.feeding import torch_device
from underlie.estimators.launching import drawn_seeds, launch_of
from underlie.estimators.parameters import undone_on_error
from underlie.estimators.survival_effects import average_effect, propensities, recommend, treatment_effect
from underlie.estimators.survival_fit import fit_parts, train_survival
from underlie.estimators.survival_generation import impute, sample
from underlie.estimators.survival_parameters import (
    check_parameters,
    importance_draws,
    plan_of,
    settings_of,
    treatment_list,
)
from underlie.estimators.survival_predictor import Patients, Predictor, Quality
from underlie.estimators.survival_rows import SurvivalRows, checked_outcome, column_names
from underlie.estimators.survival_state import restore_state, state_of
from underlie.estimators.survival_summaries import checked_times, expectation, restricted_mean
from underlie.estimators.survival_warnings import (
    warn_beyond,
    warn_if_poor,
    warn_of_late_quantiles,
    warn_of_long_tails,
)
from underlie.graph import Joint, LatentModel
from underlie.models.additive import AdditiveBasis
from underlie.models.survival_start import SurvivalStart
from underlie.models.time_axis import encode_outcome, log_slopes

Floats = NDArray[np.float64]
RandomState = int | np.random.Generator | np.random.RandomState | None
Proposal = Literal["guide", "prior"]


@final
class SurvivalVAE(LatentVariableModel):
    r"""Survival variational autoencoder: times to an event, censored, with treatments and missing covariates.

    .. math::
        p(z)\, p(x \mid z)\, p(t \mid x)\, p(y \mid x, t, z), \qquad q(z \mid x, y)

    z is latent health, x are covariates of mixed kinds, t treatments and y the time to an event. The outcome's
    likelihood is a linear transformation model given z, on the axis of time on which the whole population follows the
    named distribution exactly:

    .. math:: P(T > s \mid x, t, z) = S_\varepsilon\{a(x, t, z) + k(x, t, z) \log u(s)\}

    For the Weibull distribution with k = 1 this has Cox's proportional hazards, with a log-normal frailty in
    :math:`S_\varepsilon`. The fit starts at a
    regression on lines, normal scores, smooth departures and levels of the columns, all shrunk as far as the evidence
    says; networks then learn what the regression lacks, and stop when held-out rows stop gaining. Predictions are
    averaged over networks and over draws of the regression's posterior. Nothing is left to tune.

    Effects of treatments are those of a regression on observed covariates: they are causal only if treatment was
    randomised, or if the covariates hold everything that both treatment and outcome depend on. No model can check this
    from the data; `propensity` shows where a treatment was given too rarely to be compared.

    Parameters
    ----------
    treatments : str, int or list of them, optional
        Columns of X that are treatments: binary, categorical, or numeric for a dose.
    distribution : {"weibull", "exponential", "lognormal", "loglogistic", "piecewise_exponential", "mixture"}
        Of the time given x, t and z.
    baseline : {"nonparametric", "parametric"}
        Whether time is measured on the population's own axis (Nelson-Aalen), or by the clock as in the original model.
    direct : bool
        Whether the outcome may depend on x beside z. False is the original model, p(y | t, z).
    heterogeneity : float or "auto"
        Standard deviation, on the log-hazard scale, of a frailty that no covariate shows (for other distributions, of
        the like effect on their scale); "auto" is chosen by evidence. Not used where ``direct`` is False, nor for
        piecewise hazards and mixtures, which are heterogeneous in their own ways.
    n_latent : int
        Dimension of z.
    hidden : tuple of int
        Widths of hidden layers of all networks.
    n_replicates : int
        Networks trained side by side. Each predicts with four draws of the regression's posterior; the ensemble of all
        is averaged, and its spread gives intervals. One alone predicts with the posterior's mode, without intervals.
    alpha : float
        Weight of the evidence lower bound beside the predictive log-likelihood. 0 is a supervised network.
    objective : {"predictive", "elbo"}
        "elbo" is the original model's own objective.
    n_draws : int
        Draws of z per row and training step.
    n_importance : int or "auto"
        Draws of z per row and member of the ensemble in predictions; "auto" is 4, or 64 where there is one
        replicate or ``direct`` is False.
    max_epochs, batch_size, learning_rate, patience, valid_fraction, activation
        As in `VAE`.
    likelihood : str or dict
        Of the covariates, as in `VAE`.
    kinds : dict or str, optional
        Overrides the inferred kind of columns, see `Schema`.
    device : str
        "auto" uses a GPU where there is one.
    random_state : int, Generator, RandomState or None
        Seeds everything.
    verbose : bool
        Whether to show a progress bar on a terminal.

    Attributes
    ----------
    model_ : LatentModel
        The two graphs; print it. All replicates are in it.
    generative_, inference_ : Joint
        Its two halves.
    treatments_ : list
        Treatment columns.
    treatment_levels_ : dict of list
        Levels of each treatment column, sorted; for a dose, the doses seen.
    heterogeneity_ : float
        Standard deviation of the frailty.
    evidence_ : dict of float to float
        Log evidence by heterogeneity, in nats, where it was chosen.
    effective_parameters_ : dict of str to float
        Effective number of coefficients of each group of the regression, after shrinkage.
    history_ : dict of array (n_replicates, epochs + 1)
        ``train`` (objective) and ``valid`` (held-out predictive log-likelihood), nats per row on the scale of the data.
    best_epoch_ : array (n_replicates,)
        Epoch whose weights each replicate kept; 0 is the regression.
    restarts_ : array (n_replicates,)
        How often a replicate diverged and was begun again.
    follow_up_ : float
        Largest time in the training rows.
    event_times_ : array
        Distinct times of events in the training rows.
    schema_, encoder_
        Of the covariates.
    n_features_in_, feature_names_in_, fit_time_
        As every estimator.

    References
    ----------
    Beaulac, Rosenthal & Hodgson (2018), A deep latent-variable model application to select treatment intensity in
    survival analysis. Cox (1972). Cheng, Wei & Ying (1995). Kingma & Welling (2013).

    Examples
    --------
    >>> import underlie as ul
    >>> data = ul.datasets.load_gbsg2()
    >>> X, y = data.drop(columns=["time", "event"]), ul.Surv(data["time"], data["event"])
    >>> model = ul.SurvivalVAE("horTh", n_replicates=2, max_epochs=3, random_state=0).fit(X, y)
    >>> model.predict_survival_function(X[:2], [365, 1825]).shape
    (2, 2)
    >>> list(model.treatment_effect(X[:2], 1460, "yes", "no").columns)
    ['effect', 'lower', 'upper', 'treated', 'control', 'supported']
    """

    model_: LatentModel
    generative_: Joint
    inference_: Joint
    treatments_: list[str | int]
    treatment_levels_: dict[str | int, list[Any]]
    heterogeneity_: float
    evidence_: dict[float, float]
    effective_parameters_: dict[str, float]
    history_: dict[str, Floats]
    best_epoch_: NDArray[np.int_]
    restarts_: NDArray[np.int_]
    follow_up_: float
    event_times_: Floats

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
        alpha: float = 1.0,
        objective: Literal["predictive", "elbo"] = "predictive",
        n_draws: int = 4,
        n_importance: int | Literal["auto"] = "auto",
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

    # ---- fitting ----
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
        strategy: str | None = None,
        callbacks: Sequence[Callback] | None = None,
    ) -> Self:
        """Fit the model to patients X and their outcomes y.

        Parameters
        ----------
        X : table or array (n, columns)
            Covariates and treatments. NaN or null where a covariate is missing; treatments must be there.
        y : structured array (n,), table or array (n, 2)
            From ``ul.Surv(time, event)``; see there for other forms, truncation and intervals.
        checkpoint : path or Checkpoint, optional
            File in which training keeps its state, once a minute, and from which the same call goes on if it was
            interrupted; see `Checkpoint`.
        strategy : {"ddp"}, optional
            Train in the processes that ``torchrun`` started, on the same X in each: they share the replicates, or the
            rows of every batch where replicates are fewer. All end with the whole model.
        callbacks : list of callable, optional
            Each is called with an `Epoch` before the first step and after each pass over the data. One that raises
            KeyboardInterrupt ends training, the best weights so far kept. `underlie.callbacks` has TensorBoard and
            MLflow.

        Returns
        -------
        SurvivalVAE
            Itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data cannot be used; the message names it, the row or column, and the remedy.
        CheckpointError
            If the checkpoint is of another training, or cannot be written.
        FloatingPointError
            If training diverged in every replicate in spite of restarts.

        Warns
        -----
        DataWarning
            If there are fewer than 10 events, or times of 0, which are moved to half the smallest positive time.
        """
        begun = clock.perf_counter()
        check_parameters(self)
        device = torch_device(self.device)
        if y is None:
            raise TypeError("y is missing: give ul.Surv(time, event), the outcome of each row of X.")
        outcome = checked_outcome(X, y)
        launch = launch_of(self, checkpoint, strategy, device, callbacks)
        seeds = drawn_seeds(self, launch)
        # Rows times squared terms, to first order: what a Newton step of the regression costs.
        with undone_on_error(self), few_threads(len(outcome) * (10.0 * len(column_names(X))) ** 2):
            self._read(X)
            self._train(X, outcome, launch, device, seeds)
        self.fit_time_ = clock.perf_counter() - begun
        return self

    def _read(self, X: Any) -> None:
        """Learn how to encode X."""
        self._rows = SurvivalRows.fit(X, treatment_list(self.treatments), self.kinds)
        names = self._rows.names
        self._describe(self._rows.covariate_encoder, [str(n) for n in names] if isinstance(names[0], str) else None)
        self.n_features_in_ = len(names)
        self.treatments_ = list(self._rows.treatments)
        self.treatment_levels_ = self._rows.treatment_levels(X)

    def _train(self, X: Any, y: NDArray[np.void], launch: Launch, device: torch.device, seeds: list[int]) -> None:
        x = self._rows.encode_covariates(X)
        self._basis = AdditiveBasis.of(self.schema_, x)
        patients = Patients(x, self._basis(x), self._rows.encode_treatments(X))
        plan = plan_of(self)
        parts = fit_parts(plan, y, self._rows.covariate_table(X), self._rows, patients, self._basis, self.likelihood)
        start = parts.start
        offset = float(log_slopes(y, start.axis).mean())
        width = parts.x_head.width + start.head.width
        settings = settings_of(self, len(y), width, device, launch.telling(offset))
        trained = train_survival(plan, parts, patients, y, settings, seeds)
        self.history_ = {k: v + offset for k, v in trained.history.items()}
        self.best_epoch_, self.restarts_ = trained.best_epoch, trained.restarts
        self.heterogeneity_, self.evidence_ = start.heterogeneity, start.evidence
        self.effective_parameters_ = start.regression.effective
        self.event_times_ = np.unique(y["time"][y["event"]])
        self._instead_of_zero = 0.5 * float(y["time"][y["time"] > 0].min())
        self.follow_up_ = float(y["time"].max())
        self._parts = parts
        self._settle(trained.model, start)

    def _settle(self, model: LatentModel, start: SurvivalStart) -> None:
        """Answer queries with a trained model."""
        self.model_ = model
        self.generative_, self.inference_ = model.generative, model.inference
        self._axis = start.axis
        self._predictor = Predictor(model, start.axis, importance_draws(self), seed=0)

    # ---- prediction ----
    def predict_survival_function(
        self,
        X: Any,
        times: Any,
        treatment: Any = None,
        *,
        proposal: Proposal = "guide",
        n_importance: int | None = None,
    ) -> Floats:
        r"""P(T > t) of each patient, averaged over latent health and replicates.

        .. math:: P(T > s \mid x, t) \approx \sum_l w_l\, P(T > s \mid x, t, z_l), \qquad
                  z_l \sim r(z), \quad w_l \propto p(x \mid z_l)\, p(z_l) / r(z_l)

        Parameters
        ----------
        X : like the data of `fit`, n rows
            The treatment columns may be left out where ``treatment`` is given.
        times : float or array (n_times,)
            In the unit of y.
        treatment : level, dict or array, optional
            What each patient is given: None for what X says; a level for all; with several treatment columns a dict
            from column to level; an array of n levels for each patient's own.
        proposal : {"guide", "prior"}
            Where z is drawn from: q(z | x), or p(z) with weights p(x | z) as in the original paper, which needs many
            more draws.
        n_importance : int, optional
            Draws per row and member of the ensemble; by default that of the estimator.

        Returns
        -------
        array (n, n_times)

        Warns
        -----
        ExtrapolationWarning
            If a time is beyond the follow-up of the training rows.
        ImportanceSamplingWarning
            If the Monte-Carlo standard error of some patients' probabilities is above .01.

        References
        ----------
        Beaulac, Rosenthal & Hodgson (2018), eqs 15-16. Vehtari et al. (2024) for the smoothing of weights.
        """
        patients, times = self._asked(X, treatment), checked_times(times)
        warn_beyond(times, self.follow_up_)
        predictor = self._predictor_with(proposal, n_importance)
        warn_if_poor(predictor, patients, float(np.median(self.event_times_)))
        return predictor.survival(patients, times)

    def predict_cumulative_hazard_function(self, X: Any, times: Any, treatment: Any = None) -> Floats:
        """-log P(T > t) of each patient, (n, n_times); arguments as for `predict_survival_function`."""
        with np.errstate(divide="ignore"):
            found: Floats = -np.log(self.predict_survival_function(X, times, treatment))
        return found

    def predict_hazard_function(self, X: Any, times: Any, treatment: Any = None) -> Floats:
        """f(t) / P(T > t) of each patient, events per unit of time, (n, n_times); see `predict_density`."""
        density = self.predict_density(X, times, treatment)
        patients = self._asked(X, treatment)
        survival = self._predictor.survival(patients, checked_times(times))
        return np.divide(density, survival, out=np.full_like(density, np.nan), where=survival > 0)

    def predict_density(self, X: Any, times: Any, treatment: Any = None) -> Floats:
        """Density of the time to the event, per unit of time, (n, n_times).

        On the population's axis it has a step wherever the axis changes its slope, as a histogram has.
        """
        patients, times = self._asked(X, treatment), checked_times(times)
        warn_beyond(times, self.follow_up_)
        return self._predictor.density(patients, times)

    def predict_quantile(self, X: Any, p: Any, treatment: Any = None) -> Floats:
        """Time by which a share p of patients like each of X has had the event.

        Parameters
        ----------
        X, treatment
            As for `predict_survival_function`.
        p : float or array (n_p,)
            Between 0 and 1.

        Returns
        -------
        array (n,), or (n, n_p) for an array

        Warns
        -----
        ExtrapolationWarning
            If a quantile is beyond the follow-up of the training rows.
        """
        share = np.atleast_1d(np.asarray(p, dtype=float))
        if share.ndim != 1 or not ((share > 0) & (share < 1)).all():
            raise ValueError(f"p must lie strictly between 0 and 1, got {p!r}.")
        found = self._quantiles(self._asked(X, treatment), share)
        return found[:, 0] if np.ndim(p) == 0 else found

    def _quantiles(self, patients: Patients, share: Floats) -> Floats:
        """Quantiles (n, n_p), with a warning where they lie beyond follow-up."""
        found = self._predictor.quantile(patients, share)
        warn_of_late_quantiles(found, self.follow_up_)
        return found

    def predict_median(self, X: Any, treatment: Any = None) -> Floats:
        """Median time to the event, (n,); see `predict_quantile`."""
        return self.predict_quantile(X, 0.5, treatment)

    def predict_rmst(self, X: Any, horizon: float, treatment: Any = None) -> Floats:
        r"""Restricted mean survival time, :math:`E[\min(T, h)] = \int_0^h P(T > s)\,ds`.

        Parameters
        ----------
        X, treatment
            As for `predict_survival_function`.
        horizon : float
            h, in the unit of y.

        Returns
        -------
        array (n,)
            In the unit of y.
        """
        patients, (horizon,) = self._asked(X, treatment), checked_times([horizon], "horizon")
        warn_beyond(np.array([horizon]), self.follow_up_)
        return restricted_mean(lambda s: self._predictor.survival(patients, s), self._axis, float(horizon))

    def predict_mean(self, X: Any, treatment: Any = None) -> Floats:
        """Expected time to the event, (n,), in the unit of y; infinite where the fitted tail has no expectation.

        Warns
        -----
        ExtrapolationWarning
            If more than 5 % of it, for some row, comes from beyond the follow-up of the training rows: prefer
            `predict_rmst`.
        """
        patients = self._asked(X, treatment)
        found, beyond = expectation(lambda s: self._predictor.survival(patients, s), self._axis, self.follow_up_)
        warn_of_long_tails(beyond, self.follow_up_)
        return found

    def predict(self, X: Any, treatment: Any = None) -> Floats:
        """Risk of each patient: the time expected to be lost before the end of follow-up. Higher is an earlier event.

        Returns
        -------
        array (n,)
            ``follow_up_`` less the restricted mean, in the unit of y.
        """
        check_is_fitted(self)
        return self.follow_up_ - self.predict_rmst(X, self.follow_up_, treatment)

    def prediction_quality(
        self, X: Any, time: float | None = None, *, proposal: Proposal = "guide", n_importance: int | None = None
    ) -> Quality:
        """Effective sample size, Pareto k and Monte-Carlo error of each patient's predictions.

        Parameters
        ----------
        X : like the data of `fit`, n rows
        time : float, optional
            Of the survival probability whose error is given; by default the median time of training events.
        proposal, n_importance
            As for `predict_survival_function`.

        Returns
        -------
        Quality
            ``ess``, ``pareto_k`` and ``se``, arrays (n,).
        """
        at = float(np.median(self.event_times_)) if time is None else float(checked_times([time], "time")[0])
        return self._predictor_with(proposal, n_importance).quality(self._asked(X, None, needed=False), at)

    # ---- decisions ----
    def propensity(self, X: Any) -> pd.DataFrame:
        """Probability of each treatment given the covariates, p(t | x).

        Returns
        -------
        DataFrame (n, levels)
            One column per level; with several treatment columns one per combination, "column=level, ...".

        Raises
        ------
        ValueError
            If a treatment is a dose, which has a density instead.
        """
        self._need_treatments()
        return propensities(self, X)

    def treatment_effect(
        self,
        X: Any,
        time: float,
        treatment: Any,
        control: Any,
        *,
        measure: Literal["survival", "rmst", "median"] = "survival",
        level: float = 0.95,
    ) -> pd.DataFrame:
        r"""What a treatment is predicted to change for each patient, in comparison with a control.

        .. math:: P(T > s \mid x, t_1) - P(T > s \mid x, t_0)

        The interval is that of the replicates: each is a draw from the posterior of the regression, with importance-
        sampling errors of its own, so their spread carries both; R / 2 degrees of freedom, since they come in mirrored
        pairs. It does not carry what no data can tell: confounding that was not measured.

        Parameters
        ----------
        X : like the data of `fit`, n rows
            Treatment columns may be left out.
        time : float
            s, in the unit of y; the horizon of the restricted mean. Not used for the median.
        treatment, control : level, dict or array
            As ``treatment`` of `predict_survival_function`.
        measure : {"survival", "rmst", "median"}
            Difference in survival probability, in restricted mean time, or in median time.
        level : float
            Of the interval.

        Returns
        -------
        DataFrame (n rows)
            ``effect``, ``lower``, ``upper``; ``treated`` and ``control``, the two numbers compared; ``supported``,
            whether both treatments were given to patients like this one, with probability p(t | x) of at least .02.

        Raises
        ------
        ValueError
            If the model has no treatments or one replicate only, or an argument cannot be used.
        """
        self._need_treatments()
        return treatment_effect(self, X, time, treatment, control, measure, level)

    def average_effect(
        self,
        X: Any,
        time: float,
        treatment: Any,
        control: Any,
        *,
        measure: Literal["survival", "rmst", "median"] = "survival",
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Mean effect over the patients of X, as if all were treated and all were not (standardisation).

        Parameters
        ----------
        X, time, treatment, control, measure, level
            As for `treatment_effect`.

        Returns
        -------
        DataFrame (1 row)
            ``effect``, ``lower``, ``upper``, ``treated``, ``control``, ``supported`` (share of patients for whom both
            treatments are) and ``n``. The patients of X are taken as given: the interval has no part for sampling them.

        References
        ----------
        Robins (1986), A new approach to causal inference (the g-formula).
        """
        self._need_treatments()
        return average_effect(self, X, time, treatment, control, measure, level)

    def recommend(
        self,
        X: Any,
        time: float,
        min_gain: float = 0.07,
        *,
        control: Any = None,
        rule: Any = "survival",
        level: float = 0.95,
    ) -> pd.DataFrame:
        """The treatment that each patient should be offered, by a rule that is stated beforehand.

        The clinicians' rule: leave the control only for the treatment with the largest gain, and only if it gains at
        least ``min_gain``. A physician may want another time, the restricted mean, or a rule of their own.

        Recommendations are those of a regression on observed covariates (see the class); they are withheld where the
        data hold too few patients like this one under the control, or under every alternative to it.

        Parameters
        ----------
        X : like the data of `fit`, n rows
        time : float
            Of the survival probability, or horizon of the restricted mean.
        min_gain : float
            Least gain worth a treatment: a probability, or a time for ``rule="rmst"``, or in the unit of the rule.
        control : level or dict, optional
            What is given otherwise; by default the first level.
        rule : {"survival", "rmst"} or callable
            A function ``rule(survival, treatment)`` of the survival probabilities (n,) at ``time`` under a treatment
            gives the utility of that treatment to each patient, (n,), higher is better.
        level : float
            Of the interval.

        Returns
        -------
        DataFrame (n rows)
            ``recommended`` (missing where not supported), ``gain`` over the control with ``lower`` and ``upper``,
            ``supported``, and ``survival <treatment>`` for each treatment.

        Raises
        ------
        ValueError
            If the model has no treatments, or a treatment is a dose with more than 12 values.
        """
        self._need_treatments()
        return recommend(self, X, time, min_gain, control, rule, level)

    # ---- latent space and likelihood ----
    def transform(self, X: Any) -> Floats:
        """Means of q(z | x), the outcome not shown to the guide: (n, n_latent).

        They are those of the first replicate: every replicate has latent axes of its own.
        """
        return self.posterior(X).mean

    def posterior(self, X: Any) -> Posterior:
        """Means and variances of the first replicate's guide q(z | x), the outcome not shown to it: (n, n_latent)."""
        patients = self._asked(X, None, needed=False)
        mean, variance = self._predictor.guide(patients)
        return Posterior(mean, variance)

    def impute(self, X: Any, *, n_importance: int = 32) -> Any:
        """Fill in missing covariates: E[x_mis | x_obs] of numeric ones, the most probable level of discrete ones.

        The latent space of this model is made for outcomes, and learned briefly: for imputation as an end in itself
        `VAE` is the better tool.

        Parameters
        ----------
        X : like the data of `fit`, n rows
            Treatment columns are handed on as they are.
        n_importance : int
            Draws of z per row and member of the ensemble.

        Returns
        -------
        Like X
            Observed cells are unchanged.
        """
        check_is_fitted(self)
        return impute(self, X, self._predictor_with("guide", n_importance))

    def sample(self, n: int = 1, random_state: RandomState = None) -> tuple[Any, NDArray[np.void]]:
        """n new patients with their outcomes, by ancestral sampling: z, then x, t and the uncensored time.

        Parameters
        ----------
        n : int
        random_state : int, Generator, RandomState or None
            Seeds the draws. None: that of the estimator.

        Returns
        -------
        X : like the data of `fit`, n rows
            Covariates and treatments.
        y : structured array (n,)
            Times at which the event happens; none is censored.
        """
        check_is_fitted(self)
        seed = as_generator(self.random_state if random_state is None else random_state).integers(2**31 - 1)
        generator = torch.Generator(self._predictor.device).manual_seed(int(seed))
        return sample(self, checked_count(n, "n"), generator)

    def covariates(self, X: Any) -> Any:
        """The columns of X that p(x | z) describes: all but the treatments.

        Parameters
        ----------
        X : like the data of `fit`, n rows

        Returns
        -------
        Like X, without the treatments.
        """
        check_is_fitted(self)
        return self._rows.covariate_table(X)

    def score_samples(self, X: Any, y: Any = None) -> Floats:
        """Predictive log-likelihood log p(y | x, t) of each patient, in nats on the scale of y.

        Parameters
        ----------
        X : like the data of `fit`, n rows
        y : outcomes, as for `fit`

        Returns
        -------
        array (n,)
            A log-density for an event, a log-probability for a censored row.
        """
        check_is_fitted(self)
        if y is None:
            raise TypeError("y is missing: the score is that of outcomes given X.")
        outcome = checked_outcome(X, y, self._instead_of_zero)
        terms = self._predictor.log_likelihood(self._asked(X, None), encode_outcome(outcome, self._axis))
        return terms + log_slopes(outcome, self._axis)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean predictive log-likelihood per patient, in nats; see `score_samples`. Higher is better."""
        return float(np.mean(self.score_samples(X, y)))

    # ---- saving ----
    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return state_of(self)

    def _restore(self, state: dict[str, Any], arrays: dict[str, Any]) -> None:
        restore_state(self, state, arrays)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.estimator_type = None
        tags.target_tags.required = True
        tags.transformer_tags = TransformerTags()
        tags.input_tags.three_d_array = False
        return tags

    # ---- parts ----
    def _asked(self, X: Any, treatment: Any, *, needed: bool = True) -> Patients:
        """The rows of X as patients, under a treatment; ``needed=False`` where treatments do not matter."""
        check_is_fitted(self)
        x = self._rows.encode_covariates(X)
        t = self._rows.encode_treatments(X, treatment) if needed else self._rows.any_treatment(len(x))
        return Patients(x, self._basis(x), t)

    def _predictor_with(self, proposal: Proposal, n_importance: int | None) -> Predictor:
        if proposal not in ("guide", "prior"):
            raise ValueError(f"proposal must be 'guide' or 'prior', got {proposal!r}.")
        n_draws = self._predictor.n_draws if n_importance is None else checked_count(n_importance, "n_importance")
        if proposal == "guide" and n_draws == self._predictor.n_draws:
            return self._predictor
        return Predictor(self.model_, self._axis, n_draws, seed=0, proposal=proposal)

    def _need_treatments(self) -> None:
        check_is_fitted(self)
        if not self.treatments_:
            raise ValueError(
                "the model was fitted without treatments: name their columns, SurvivalVAE(treatments=...)."
            )
