"""The variational autoencoder as an estimator."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from underlie import nn as unn
from underlie.distributions import Likelihood, likelihood_for, settled
from underlie.engine import Callback, Checkpoint, Launch, Objective, Rows, Settings, train
from underlie.estimators.base import LatentVariableModel, Posterior, as_generator, checked_count, is_whole
from underlie.estimators.conditioning import Conditioner, Evidence, normal_draws
from underlie.estimators.feeding import Pace, engine_rows, heavy_tails, mean_log_scale, start_rows, torch_device
from underlie.estimators.launching import drawn_seeds, launch_of
from underlie.estimators.moment_task import Task, check_finite_moments, order_weights
from underlie.estimators.parameters import (
    check_likelihood,
    check_number,
    check_widths,
    kinds_to_encode,
    undone_on_error,
)
from underlie.estimators.quasi_random import quasi_normal_batches
from underlie.graph import Joint, LatentModel, elbo, importance_bound
from underlie.models.moment_penalty import moment_penalty
from underlie.models.networks import Network, Networks, check_networks
from underlie.models.start import LinearStart, linear_start
from underlie.models.vae import vae

Floats = NDArray[np.float64]
RandomState = int | np.random.Generator | np.random.RandomState | None


@final
class VAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, LatentVariableModel):
    r"""Variational autoencoder for tables of mixed columns, arrays and images, with missing values.

    .. math::
        p(z) = N(0, I), \qquad p(x \mid z) = \prod_j p_j(x_j \mid \theta_j(z)), \qquad
        q(z \mid x) = N(\mu(x), \mathrm{diag}\,\sigma^2(x))

    Both networks are learned by gradient ascent on the evidence lower bound
    :math:`E_q[\log p(x_{obs} \mid z)] - \beta\,KL(q(z \mid x_{obs}) \,\|\, p(z))`, in which only observed cells count.
    Training starts where probabilistic PCA ends, holds out rows of its own, stops when they stop gaining, and keeps the
    best weights.

    Parameters
    ----------
    n_latent : int
        Dimension of z.
    hidden : tuple of int
        Widths of the encoder's hidden layers; the decoder has them in reverse.
    likelihood : str or dict
        "auto": each column by its kind (normal, lognormal, negative_binomial, bernoulli, categorical, ordinal,
        continuous_bernoulli), and student_t for continuous columns of tables whose excess kurtosis is above 4: a few
        outliers would otherwise dominate a normal likelihood. A name for all columns, or a dict from column to name.
    beta : float
        Weight of the divergence (beta-VAE); 1 is the evidence lower bound.
    mega : float
        Weight :math:`\alpha` of the moment gap between model and data (`mega`) in training; 0 is the bound alone.
        With it what is maximised is the bound minus :math:`\alpha \sum_k w_k g_k^{1/k}`, :math:`g_k` the Frobenius norm
        of the gap of order k: the model's samples, as a whole, get the moments of the data, at some cost in likelihood.
        Moments are those of standardised columns; of images, of pixels in [0, 1]. Begin with 1, with 10 for images of
        hundreds of pixels, where `mega` finds a gap above its floor. `compare` marks such models, since a
        gap that was trained on no longer judges.
    mega_order : int or dict from int to float
        Orders of that gap: k for 1 to k, each with weight 1, or the weight of each order, up to 4.
    mega_draws : int
        Points of z by which the model's moments are found at each step. 512 are about as precise as 2,000 independent
        draws, or 5,000 and more in few latent dimensions.
    n_draws : int or "auto"
        Draws of z per row and step. One maximises the evidence lower bound; K > 1 the importance-weighted bound of
        Burda et al. (2016), tighter and dearer, which serves imputation. "auto" is 8 for tables with missing cells and
        beta = 1, else 1.
    n_replicates : int
        Models trained side by side as one computation, each with its own start, held-out rows and end. The best on its
        held-out rows answers; `replicate` gives the others.
    max_epochs : int or "auto"
        Passes over the data at most. "auto" is 400, or fewer where that would take more than 12,000 steps.
    batch_size : int or "auto"
        Rows per step at most. "auto" is a twelfth of the rows, between 32 and 512.
    learning_rate : float
        Of AdamW; it falls along a half cosine to a tenth.
    patience : int or "auto"
        Epochs without a better held-out bound after which training stops. "auto" is an eighth of ``max_epochs``,
        between 10 and 30.
    valid_fraction : float
        Share of the rows held out for that.
    activation : {"relu", "silu", "gelu"}
        Of the hidden layers.
    encoder, decoder : {"mlp", "conv"} or nn.Module
        Networks. A module of your own as the encoder maps rows (of shape (batch, columns), or images; a categorical
        column is one indicator per level; with missing cells a mask of the columns follows, in one axis) to features of
        any width; as the decoder it maps (batch, n_latent) to the numbers that the likelihood needs, one per column for
        most. Each replicate trains a copy, with new starting weights from its layers' ``reset_parameters``.
    kinds : dict or str, optional
        Overrides the inferred kind of columns, see `Schema`.
    device : str
        "auto" uses a GPU where there is one.
    random_state : int, Generator, RandomState or None
        Seeds everything. Replicate r is the same whatever the number of replicates.
    verbose : bool
        Whether to show a progress bar on a terminal.

    Attributes
    ----------
    model_ : LatentModel
        The two graphs; print it. All replicates are in it.
    generative_, inference_ : Joint
        Its two halves.
    history_ : dict of array (n_replicates, epochs + 1)
        ``train`` and ``valid``: mean bound per row in nats, on the scale of the data. Epoch 0 is the start. With
        ``mega`` both are the bound minus ``mega`` times ``penalty``, which is there too, as are the gaps ``gap_1``,
        ``gap_2`` and so on of each order.
    likelihood_ : dict of str
        The likelihood of each column.
    best_replicate_ : int
        Replicate with the highest held-out bound (with ``mega``: minus the penalty).
    best_epoch_ : array (n_replicates,)
        Epoch whose weights each replicate kept.
    valid_bound_ : array (n_replicates,)
        Held-out bound there, in nats per row, without the penalty.
    penalised_moments_ : tuple of int
        Orders of the moment gaps that were trained on; empty without ``mega``.
    restarts_ : array (n_replicates,)
        How often a replicate diverged and was begun again.
    n_parameters_ : int
        Weights and free parameters of the generative graph, one replicate.
    encoder_, schema_, n_features_in_, feature_names_in_, fit_time_
        As every estimator.

    References
    ----------
    Kingma & Welling (2013), Auto-encoding variational Bayes. Rezende, Mohamed & Wierstra (2014). Mattei & Frellsen
    (2019), MIWAE (missing values by importance sampling). Higgins et al. (2017), beta-VAE. Beaulac (2021), A
    moment-matching metric for latent variable generative models.

    Examples
    --------
    >>> import underlie as ul
    >>> X = ul.datasets.load_gbsg2()[["age", "tsize", "pnodes", "menostat"]]
    >>> model = ul.VAE(n_latent=2, max_epochs=20, random_state=0).fit(X)
    >>> model.transform(X).shape
    (686, 2)
    >>> list(model.sample(3, random_state=0).columns)
    ['age', 'tsize', 'pnodes', 'menostat']
    """

    model_: LatentModel
    generative_: Joint
    inference_: Joint
    history_: dict[str, NDArray[np.float64]]
    best_replicate_: int
    best_epoch_: NDArray[np.int_]
    valid_bound_: NDArray[np.float64]
    likelihood_: dict[str | int, str]
    restarts_: NDArray[np.int_]
    penalised_moments_: tuple[int, ...]

    def __init__(
        self,
        n_latent: int = 2,
        *,
        hidden: Sequence[int] = (128, 128),
        likelihood: str | Mapping[str | int, str] = "auto",
        beta: float = 1.0,
        mega: float = 0.0,
        mega_order: int | Mapping[int, float] = 2,
        mega_draws: int = 512,
        n_draws: int | Literal["auto"] = "auto",
        n_replicates: int = 1,
        max_epochs: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: float = 2e-3,
        patience: int | Literal["auto"] = "auto",
        valid_fraction: float = 0.1,
        activation: str = "relu",
        encoder: Network = "mlp",
        decoder: Network = "mlp",
        kinds: Any = None,
        device: str = "auto",
        random_state: RandomState = None,
        verbose: bool = True,
    ) -> None:
        self.n_latent = n_latent
        self.hidden = hidden
        self.likelihood = likelihood
        self.beta = beta
        self.mega = mega
        self.mega_order = mega_order
        self.mega_draws = mega_draws
        self.n_draws = n_draws
        self.n_replicates = n_replicates
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.valid_fraction = valid_fraction
        self.activation = activation
        self.encoder = encoder
        self.decoder = decoder
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
        """Fit the model to the rows of X.

        Parameters
        ----------
        X : table, array (n, columns), images (n, height, width[, channels]) or row source
            NaN or null where missing.
        y : ignored
            Here for scikit-learn's conventions.
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
        VAE
            Itself.

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; the message names it and the remedy.
        CheckpointError
            If the checkpoint is of another training, or cannot be written.
        FloatingPointError
            If training diverged in every replicate in spite of restarts.
        """
        begun = time.perf_counter()
        device = _check_parameters(self)
        launch = launch_of(self, checkpoint, strategy, device, callbacks)
        seeds = drawn_seeds(self, launch)
        with undone_on_error(self):
            self._fit_encoder(X, kinds_to_encode(X, self.likelihood, self.kinds))
            self._train(X, launch, device, seeds)
        self.fit_time_ = time.perf_counter() - begun
        return self

    def _train(self, X: Any, launch: Launch, device: torch.device, seeds: list[int]) -> None:
        head, start, rows = self._prepare(X, device)
        pace = Pace.of(len(rows), self.batch_size, self.max_epochs, self.patience)
        n_draws = self.n_draws
        if n_draws == "auto":
            n_draws = 8 if self._with_mask and self.beta == 1.0 and len(self.encoder_.row_shape) == 1 else 1
        offset = mean_log_scale(self.encoder_, rows)
        settings = Settings(
            pace.max_epochs,
            pace.batch_size,
            self.learning_rate,
            pace.patience,
            self.valid_fraction,
            n_draws,
            max_norm=float(head.width),
            device=device,
            verbose=self.verbose,
            launch=launch.telling(offset),
        )
        bound: Objective = partial(elbo, beta=self.beta) if n_draws == 1 else importance_bound
        task = self._task(bound, head, rows, device)
        trained = train(
            partial(self._build, head, start),
            task.objective,
            rows,
            settings,
            seeds,
            "VAE",
            task.judge,
            task.monitor,
        )
        self.model_ = trained.model
        self.history_ = {k: v + offset if k in ("train", "valid") else v for k, v in trained.history.items()}
        self.valid_bound_ = task.bound_of(trained) + offset
        self.penalised_moments_ = task.orders
        self.best_epoch_, self.restarts_ = trained.best_epoch, trained.restarts
        self._settle(int(np.argmax(trained.best_value)))

    def _task(self, bound: Objective, head: Likelihood, rows: Rows, device: torch.device) -> Task:
        """What to maximise: the bound, or the bound minus the moment penalty."""
        if self.mega == 0:
            return Task(bound)
        orders = order_weights(self.mega_order)
        check_finite_moments(orders, self.likelihood_)
        draws = int(self.mega_draws)
        is_table = len(self.encoder_.row_shape) == 1
        penalty = moment_penalty(head, rows, orders, self.n_latent, draws, device, standardize=is_table)
        return Task(bound, penalty, float(self.mega))

    def _prepare(self, X: Any, device: torch.device) -> tuple[Likelihood, LinearStart, Rows]:
        """The likelihood, the linear start, and the rows as the engine reads them."""
        first = start_rows(X, self.encoder_)
        if len(first.encoded) < 2:
            raise ValueError(
                "X has n_samples = 1 row: a VAE cannot be learned from one sample; give at least 2. "
                "(more: underlie explain too-few-rows)"
            )
        values = torch.as_tensor(first.encoded.values, dtype=torch.float32)
        observed = None if first.encoded.observed is None else torch.as_tensor(first.encoded.observed)
        self._with_mask = any(column.missing for column in self.schema_)
        self.likelihood_ = settled(self.schema_, self.likelihood, heavy_tails(first.encoded, self.encoder_.row_shape))
        head = likelihood_for(self.schema_, self.likelihood_)
        self._build(head, None, torch.Generator().manual_seed(0))  # networks that do not fit the data are refused here
        start = linear_start(head, unn.Read(head, self._with_mask), values, observed, first.coordinates, self.n_latent)
        return head, start, engine_rows("x", X, self.encoder_, device)

    def _build(self, head: Likelihood, start: LinearStart | None, generator: torch.Generator) -> LatentModel:
        """One replicate; the two graphs are in `underlie.models.vae`."""
        shape, n_rows = self.encoder_.row_shape, 1 if self.batch_size == 1 else 2
        networks = Networks(shape, tuple(self.hidden), self.activation, self.encoder, self.decoder, n_rows)
        n_in = unn.Read(head, self._with_mask).width
        encoder = networks.build_encoder([n_in], 2 * self.n_latent, generator, with_mask=self._with_mask)
        decoder = networks.build_decoder([self.n_latent], head.n_raw, generator)
        if start is not None:
            start.apply(encoder, decoder)
        return vae(head, self.n_latent, encoder, decoder, with_mask=self._with_mask)

    def _settle(self, best: int) -> None:
        """Answer queries with one replicate."""
        self.best_replicate_ = best
        self.generative_, self.inference_ = self.model_.generative, self.model_.inference
        self._conditioner = Conditioner(self.encoder_, unn.take(self.model_, [best]))
        self.n_parameters_ = sum(p.numel() for p in self._conditioner.model.generative.parameters())

    @property
    def _n_features_out(self) -> int:
        return self._conditioner.n_latent

    # ---- the latent space ----
    def transform(self, X: Any) -> Floats:
        """Means of the guide q(z | x): the coordinates of each row in latent space.

        Parameters
        ----------
        X : like the data of `fit`, n rows
            NaN or null where missing.

        Returns
        -------
        array (n, n_latent)
        """
        return self._fitted().encode(X)[0]

    def inverse_transform(self, Z: Any) -> Any:
        """Rows that points of the latent space stand for: E[x | z], whole numbers and levels rounded to the nearest.

        Parameters
        ----------
        Z : array (m, n_latent)

        Returns
        -------
        Like the data of `fit`, m rows.
        """
        return self.encoder_.from_numeric(self.moments(Z, order=1)[0], like=Z)

    def moments(self, z: Any, order: int = 2) -> tuple[Floats, ...]:
        r"""Means and central moments of the columns given z, in the units of the data.

        .. math:: E[x_j \mid z], \qquad E[(x_j - E[x_j \mid z])^k \mid z], \quad k = 2, \dots, \mathrm{order}

        Parameters
        ----------
        z : array (m, n_latent)
        order : {1, 2, 3, 4}
            Highest order.

        Returns
        -------
        tuple of ``order`` arrays (m, P)
            Mean, variance, third and fourth central moments of P numeric columns, in units of the data to the power of
            their order; a categorical column is one indicator per level. In a Student t column of too few degrees of
            freedom the third is NaN (up to 3), the fourth infinite (up to 4).

        Raises
        ------
        ValueError
            If z has another shape, is not finite or too far from the prior for finite means and variances, or the
            order is not 1 to 4.

        Examples
        --------
        >>> import numpy as np, underlie as ul
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> model = ul.VAE(n_latent=1, max_epochs=2, random_state=0).fit(X)
        >>> mean, variance, third, fourth = model.moments(np.zeros((1, 1)), order=4)
        >>> bool(np.allclose(fourth, 3 * variance**2))      # given z the columns are normal
        True
        """
        conditioner = self._fitted()
        if not is_whole(order) or not 1 <= order <= 4:
            raise ValueError(f"order must be 1, 2, 3 or 4, got {order!r}.")
        z = np.asarray(z, dtype=float)
        if z.ndim != 2 or len(z) == 0 or z.shape[1] != conditioner.n_latent:
            raise ValueError(f"z must have shape (m, {conditioner.n_latent}) and at least one row, got {z.shape}.")
        return conditioner.moments(z, int(order))

    def sample_latent(self, n: int = 1, random_state: RandomState = None) -> Floats:
        """Draw z from its prior N(0, I).

        Parameters
        ----------
        n : int
        random_state : int, Generator, RandomState or None
            None: that of the estimator.

        Returns
        -------
        array (n, n_latent)
        """
        self._fitted()
        return self._rng(random_state).standard_normal((checked_count(n, "n"), self._n_features_out))

    def quasi_latent(self, n: int = 1, random_state: RandomState = None, n_batches: int | None = None) -> Floats:
        """Scrambled Sobol points as draws of z from its prior: even coverage, so that means over them vary less.

        Parameters
        ----------
        n : int
            Powers of two serve best.
        random_state : int, Generator, RandomState or None
            Seeds the scrambling. None: that of the estimator.
        n_batches : int, optional
            So many independent sets of n points: the spread of their means is the error of such a mean.

        Returns
        -------
        array (n, n_latent), or (n_batches, n, n_latent)

        References
        ----------
        Owen (1998), Scrambling Sobol' and Niederreiter-Xing points.
        """
        self._fitted()
        n, width = checked_count(n, "n"), self._n_features_out
        if n_batches is not None:
            n_batches = checked_count(n_batches, "n_batches")
            return quasi_normal_batches(n_batches, n, width, self._rng(random_state))
        return normal_draws(n, width, self._seed(random_state))[0, :, 0].double().numpy()

    def posterior(self, X: Any, *, n_importance: int = 128, random_state: RandomState = 0) -> Posterior:
        r"""Means and variances of :math:`p(z \mid x_{obs})`, z given what is observed in a row, by importance sampling.

        Parameters
        ----------
        X : like the data of `fit`, n rows
        n_importance : int
            Draws per row from the guide; 0 gives the guide's own moments.
        random_state : int, Generator, RandomState or None
            Seeds the draws. None: that of the estimator.

        Returns
        -------
        Posterior
            ``mean`` and ``variance``, (n, n_latent) each.
        """
        conditioner = self._fitted()
        if is_whole(n_importance) and n_importance == 0:
            return Posterior(*conditioner.encode(X))
        n_importance = checked_count(n_importance, "n_importance")
        return Posterior(*conditioner.posterior(X, n_importance, self._seed(random_state)))

    # ---- the data space ----
    def sample(self, n: int = 1, random_state: RandomState = None) -> Any:
        """n new rows by ancestral sampling, z from its prior and x from p(x | z).

        Parameters
        ----------
        n : int
            Number of rows.
        random_state : int, Generator, RandomState or None
            Seeds the draws. None: that of the estimator.

        Returns
        -------
        Like the data of `fit`, n rows.
        """
        return self._fitted().sample(checked_count(n, "n"), self._seed(random_state))

    def reconstruct(self, X: Any) -> Any:
        """Each row as the model sees it: E[x | z] at the mean of q(z | x), missing cells included.

        Parameters
        ----------
        X : like the data of `fit`, n rows

        Returns
        -------
        Like X.
        """
        return self.encoder_.from_numeric(self.moments(self.transform(X), order=1)[0], like=X)

    def impute(
        self, X: Any, n_draws: int | None = None, *, n_importance: int = 512, random_state: RandomState = 0
    ) -> Any:
        r"""Fill in what is missing: one best value, or several draws that show how uncertain it is.

        One value: :math:`E[x_{mis} \mid x_{obs}]` for numeric columns, the most probable level for discrete ones.
        Draws: from :math:`p(x_{mis} \mid x_{obs})`, independent completed copies for multiple imputation (Rubin, 1987).

        Parameters
        ----------
        X : like the data of `fit`, n rows
            NaN or null where missing.
        n_draws : int, optional
            Number of completed copies.
        n_importance : int
            Draws per row, weighted by how well they explain what was observed: from the guide, and from the prior in
            proportion to what is missing, up to half of them, so that a guide that is wrong does no harm.
        random_state : int, Generator, RandomState or None
            Seeds the draws. None: that of the estimator.

        Returns
        -------
        Like X, or a list of n_draws of them
            Observed cells are unchanged.

        Warns
        -----
        ImportanceSamplingWarning
            If more than a tenth of the rows with missing cells have a Pareto k above 0.7.

        References
        ----------
        Mattei & Frellsen (2019), MIWAE: deep generative modelling and imputation of incomplete data sets. Owen & Zhou
        (2000), Safe and effective importance sampling (the mixture of guide and prior).
        """
        conditioner = self._fitted()
        checked_count(n_importance, "n_importance")
        n_copies = None if n_draws is None else checked_count(n_draws, "n_draws")
        return conditioner.impute(X, n_copies, n_importance, self._seed(random_state))

    # ---- likelihood ----
    def score_samples(self, X: Any, *, n_importance: int = 128, random_state: RandomState = 0) -> Floats:
        r"""Log-likelihood of each row, :math:`\log p(x_{obs})`, in nats on the scale of the data.

        Estimated by importance sampling, :math:`\log \frac1S \sum_s p(x, z_s) / q(z_s \mid x)`, which is too low on
        average, by about half the squared standard error. See `log_likelihood` for that error. Of rows with missing
        cells some draws come from the prior, as in `impute`.

        Parameters
        ----------
        X : like the data of `fit`, n rows
            Only what is observed counts.
        n_importance : int
            Draws per row.
        random_state : int, Generator, RandomState or None
            Seeds the draws. None: that of the estimator.

        Returns
        -------
        array (n,)

        Warns
        -----
        ImportanceSamplingWarning
            If more than a tenth of the rows have a Pareto k above 0.7.
        """
        n_importance = checked_count(n_importance, "n_importance")
        return self._fitted().evidence(X, n_importance, self._seed(random_state)).value

    def log_likelihood(self, X: Any, *, n_importance: int = 128, random_state: RandomState = 0) -> Evidence:
        """As `score_samples`, with the Monte-Carlo standard error, effective sample size and Pareto k of each row.

        Returns
        -------
        Evidence
            ``value``, ``se``, ``ess`` and ``pareto_k``, arrays (n,).

        References
        ----------
        Burda, Grosse & Salakhutdinov (2016), Importance weighted autoencoders.
        """
        if checked_count(n_importance, "n_importance") < 2:
            raise ValueError("n_importance must be at least 2 here: one draw has no standard error.")
        return self._fitted().evidence(X, n_importance, self._seed(random_state))

    def anomaly_score(self, X: Any, *, n_importance: int = 128, random_state: RandomState = 0) -> Floats:
        """How surprising each row is: minus its log-likelihood. Higher is more anomalous.

        A row with fewer observed cells has a density of fewer dimensions; compare rows with the same cells observed.

        Parameters
        ----------
        X : like the data of `fit`, n rows
        n_importance, random_state
            As for `score_samples`.

        Returns
        -------
        array (n,)
            Nats; near 0 for a row with nothing observed.
        """
        return -self.score_samples(X, n_importance=n_importance, random_state=random_state)

    # ---- replicates ----
    def replicate(self, r: int) -> VAE:
        """The same estimator answering with replicate r instead of the best."""
        check_is_fitted(self)
        last = len(self.valid_bound_) - 1
        if not is_whole(r) or not 0 <= r <= last:
            raise ValueError(f"r must be a whole number between 0 and {last}, got {r!r}.")
        other = copy.copy(self)
        other._settle(r)
        return other

    def score_replicates(self, X: Any) -> Floats:
        """Mean log-likelihood per row of each replicate, in nats: (n_replicates,). Report its mean and spread."""
        return np.array([self.replicate(r).score(X) for r in range(len(self.valid_bound_))])

    # ---- saving ----
    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        learned = (
            "history_",
            "best_epoch_",
            "valid_bound_",
            "restarts_",
            "fit_time_",
            "best_replicate_",
            "likelihood_",
            "penalised_moments_",
        )
        state = {name: getattr(self, name) for name in learned} | {"with_mask": self._with_mask}
        return state, {name: tensor for name, tensor, _ in unn.tensors(self.model_)}

    def _restore(self, state: dict[str, Any], arrays: dict[str, Any]) -> None:
        self._with_mask = bool(state.pop("with_mask"))
        best = int(state.pop("best_replicate_"))
        self.penalised_moments_ = tuple(state.pop("penalised_moments_", ()))  # files of earlier versions have none
        for name in ("history_", "best_epoch_", "valid_bound_", "restarts_", "fit_time_", "likelihood_"):
            setattr(self, name, state[name])
        head = likelihood_for(self.schema_, self.likelihood_)
        self.model_ = unn.filled(partial(self._build, head, None), self.n_replicates, arrays)
        self._settle(best)

    def _fitted(self) -> Conditioner:
        check_is_fitted(self)
        return self._conditioner

    def _rng(self, random_state: RandomState) -> np.random.Generator:
        return as_generator(self.random_state if random_state is None else random_state)

    def _seed(self, random_state: RandomState) -> int:
        return int(self._rng(random_state).integers(2**31 - 1))


def _check_parameters(model: VAE) -> torch.device:
    """Refuse parameters that cannot be used, before any work; the device that was asked for."""
    for name in ("n_latent", "n_replicates", "mega_draws"):
        checked_count(getattr(model, name), name)
    for name in ("n_draws", "max_epochs", "batch_size", "patience"):
        if getattr(model, name) != "auto":
            checked_count(getattr(model, name), name)
    check_widths(model.hidden, "hidden")
    check_number(model.beta, "beta", 0.0)
    check_number(model.mega, "mega", 0.0)
    order_weights(model.mega_order)
    check_number(model.learning_rate, "learning_rate", 0.0, above=True)
    check_number(model.valid_fraction, "valid_fraction", 0.0, 0.9)
    check_likelihood(model.likelihood)
    check_networks(model.activation, model.encoder, model.decoder)
    if model.n_draws not in (1, "auto") and model.beta != 1.0:
        raise ValueError(
            f"beta is {model.beta!r} with n_draws={model.n_draws}: the importance-weighted bound has no beta; "
            "set one of them to 1."
        )
    return torch_device(model.device)
