"""The variational autoencoder as an estimator."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from underlie import nn as unn
from underlie.distributions import Likelihood, likelihood_for
from underlie.engine import Rows, Settings, train
from underlie.estimators.base import LatentVariableModel, as_generator, checked_count
from underlie.estimators.conditioning import Conditioner, Evidence
from underlie.estimators.feeding import engine_rows, mean_log_scale, seed_of, start_rows, torch_device
from underlie.estimators.parameters import (
    check_likelihood,
    check_number,
    check_widths,
    kinds_to_encode,
    undone_on_error,
)
from underlie.graph import Joint, LatentModel, elbo, importance_bound
from underlie.models.networks import Network, Networks, check_networks
from underlie.models.start import LinearStart, linear_start
from underlie.models.vae import vae

Floats = NDArray[np.float64]


@final
class VAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, LatentVariableModel):
    r"""Variational autoencoder for tables of mixed columns, arrays and images, with missing values.

    .. math::
        p(z) = N(0, I), \qquad p(x \mid z) = \prod_j p_j(x_j \mid \theta_j(z)), \qquad
        q(z \mid x) = N(\mu(x), \mathrm{diag}\,\sigma^2(x))

    Both networks are learned by gradient ascent on the evidence lower bound
    :math:`E_q[\log p(x_{obs} \mid z)] - \beta\,KL(q(z \mid x_{obs}) \,\|\, p(z))`, in which only observed cells count. Training
    starts where probabilistic PCA ends, holds out rows of its own, stops when they stop gaining, and keeps the best weights.

    Parameters
    ----------
    n_latent : int
        Dimension of z.
    hidden : tuple of int
        Widths of the encoder's hidden layers; the decoder has them in reverse.
    likelihood : str or dict
        "auto": each column by its kind (normal, lognormal, negative_binomial, bernoulli, categorical, ordinal,
        continuous_bernoulli). A name for all columns, or a dict from column to name.
    beta : float
        Weight of the divergence (beta-VAE); 1 is the evidence lower bound.
    n_draws : int
        Draws of z per row and step. One maximises the evidence lower bound; K > 1 the importance-weighted bound of Burda et al.
        (2016), tighter and K times dearer, which serves imputation.
    n_replicates : int
        Models trained side by side as one computation, each with its own start, held-out rows and end. The best on its
        held-out rows answers; `replicate` gives the others.
    max_epochs : int
        Passes over the data at most.
    batch_size : int
        Rows per step at most.
    learning_rate : float
        Of AdamW; it falls along a half cosine to a tenth.
    patience : int
        Epochs without a better held-out bound after which training stops.
    valid_fraction : float
        Share of the rows held out for that.
    activation : {"relu", "silu", "gelu"}
        Of the hidden layers.
    encoder, decoder : {"mlp", "conv"} or nn.Module
        Networks. A module of your own as the encoder maps rows (of shape (batch, columns), or images; with missing cells
        (batch, 2 columns), values then mask) to features of any width; as the decoder it maps (batch, n_latent) to the
        numbers that the likelihood needs, one per column for most.
    kinds : dict or str, optional
        Overrides the inferred kind of columns, see `Schema`.
    device : str
        "auto" uses a GPU where there is one.
    random_state : int, RandomState or None
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
        ``train`` and ``valid``: mean bound per row in nats, on the scale of the data. Epoch 0 is the start.
    best_replicate_ : int
        Replicate with the highest held-out bound.
    best_epoch_ : array (n_replicates,)
        Epoch whose weights each replicate kept.
    valid_bound_ : array (n_replicates,)
        Held-out bound there, in nats per row.
    restarts_ : array (n_replicates,)
        How often a replicate diverged and was begun again.
    n_parameters_ : int
        Weights and free parameters of the generative graph, one replicate.
    encoder_, schema_, n_features_in_, feature_names_in_, fit_time_
        As every estimator.

    References
    ----------
    Kingma & Welling (2013), Auto-encoding variational Bayes. Rezende, Mohamed & Wierstra (2014). Mattei & Frellsen (2019),
    MIWAE (missing values by importance sampling). Higgins et al. (2017), beta-VAE.

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
    restarts_: NDArray[np.int_]

    def __init__(
        self,
        n_latent: int = 2,
        *,
        hidden: Sequence[int] = (128, 128),
        likelihood: str | Mapping[str | int, str] = "auto",
        beta: float = 1.0,
        n_draws: int = 1,
        n_replicates: int = 1,
        max_epochs: int = 400,
        batch_size: int = 128,
        learning_rate: float = 2e-3,
        patience: int = 30,
        valid_fraction: float = 0.1,
        activation: str = "relu",
        encoder: Network = "mlp",
        decoder: Network = "mlp",
        kinds: Any = None,
        device: str = "auto",
        random_state: Any = None,
        verbose: bool = True,
    ) -> None:
        self.n_latent = n_latent
        self.hidden = hidden
        self.likelihood = likelihood
        self.beta = beta
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
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the model to the rows of X.

        Parameters
        ----------
        X : table, array (n, columns), images (n, height, width[, channels]) or row source
            NaN or null where missing.
        y : ignored
            Here for scikit-learn's conventions.

        Returns
        -------
        VAE
            Itself.

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; the message names it and the remedy.
        FloatingPointError
            If training diverged in every replicate in spite of restarts.
        """
        begun = time.perf_counter()
        device = _check_parameters(self)
        seeds = as_generator(self.random_state).integers(2**31 - 1, size=self.n_replicates)
        with undone_on_error(self):
            self._fit_encoder(X, kinds_to_encode(X, self.likelihood, self.kinds))
            self._train(X, device, seeds.tolist())
        self.fit_time_ = time.perf_counter() - begun
        return self

    def _train(self, X: Any, device: torch.device, seeds: list[int]) -> None:
        head, start, rows = self._prepare(X, device)
        settings = Settings(
            self.max_epochs,
            self.batch_size,
            self.learning_rate,
            self.patience,
            self.valid_fraction,
            self.n_draws,
            max_norm=float(head.width),
            device=device,
            verbose=self.verbose,
        )
        objective = partial(elbo, beta=self.beta) if self.n_draws == 1 else importance_bound
        trained = train(partial(self._build, head, start), objective, rows, settings, seeds, "VAE")
        offset = mean_log_scale(self.encoder_, rows)
        self.model_ = trained.model
        self.history_ = {k: v + offset for k, v in trained.history.items()}
        self.valid_bound_ = trained.best_value + offset
        self.best_epoch_, self.restarts_ = trained.best_epoch, trained.restarts
        self._settle(int(np.argmax(trained.best_value)))

    def _prepare(self, X: Any, device: torch.device) -> tuple[Likelihood, LinearStart, Rows]:
        """The likelihood, the linear start, and the rows as the engine reads them."""
        first = start_rows(X, self.encoder_)
        if len(first.encoded) < 2:
            raise ValueError("X has n_samples = 1 row: a VAE cannot be learned from one sample; give at least 2.")
        values = torch.as_tensor(first.encoded.values, dtype=torch.float32)
        observed = None if first.encoded.observed is None else torch.as_tensor(first.encoded.observed)
        self._with_mask = any(column.missing for column in self.schema_)
        head = likelihood_for(self.schema_, self.likelihood)
        self._build(head, None, torch.Generator().manual_seed(0))  # networks that do not fit the data are refused here
        start = linear_start(head, unn.Read(head, self._with_mask), values, observed, first.coordinates, self.n_latent)
        return head, start, engine_rows("x", X, self.encoder_, device)

    def _build(self, head: Likelihood, start: LinearStart | None, generator: torch.Generator) -> LatentModel:
        """One replicate; the two graphs are in `underlie.models.vae`."""
        networks = Networks(self.encoder_.row_shape, tuple(self.hidden), self.activation, self.encoder, self.decoder)
        n_in = unn.Read(head, self._with_mask).width
        encoder = networks.build_encoder(n_in, 2 * self.n_latent, generator, with_mask=self._with_mask)
        decoder = networks.build_decoder(self.n_latent, head.n_raw, generator)
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
        return int(self.n_latent)

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
        return self.encoder_.from_numeric(self.moments(Z)[0])

    def moments(self, z: Any) -> tuple[Floats, Floats]:
        """E[x | z] and Var[x | z], in the units of the data.

        Parameters
        ----------
        z : array (m, n_latent)

        Returns
        -------
        mean, variance : array (m, P)
            P numeric columns; a categorical column is one indicator per level.
        """
        conditioner = self._fitted()
        z = np.asarray(z, dtype=float)
        if z.ndim != 2 or z.shape[1] != self.n_latent:
            raise ValueError(f"z must have shape (m, {self.n_latent}), got {z.shape}.")
        return conditioner.moments(z)

    def sample_latent(self, n: int, random_state: Any = None) -> Floats:
        """n draws from the prior N(0, I): (n, n_latent)."""
        return as_generator(random_state).standard_normal((checked_count(n, "n"), self.n_latent))

    def posterior(self, X: Any, *, n_importance: int = 128, random_state: int = 0) -> Bunch:
        r"""Means and variances of z given what is observed in each row, :math:`p(z \mid x_{obs})`, by importance sampling.

        Parameters
        ----------
        X : like the data of `fit`, n rows
        n_importance : int
            Draws per row from the guide; 0 gives the guide's own moments.
        random_state : int
            Seeds the draws.

        Returns
        -------
        Bunch
            ``mean`` and ``variance``, (n, n_latent) each.
        """
        conditioner = self._fitted()
        if n_importance == 0:
            mean, variance = conditioner.encode(X)
        else:
            mean, variance = conditioner.posterior(X, n_importance, random_state)
        return Bunch(mean=mean, variance=variance)

    # ---- the data space ----
    def sample(self, n: int = 1, random_state: Any = None) -> Any:
        """n new rows by ancestral sampling, z from its prior and x from p(x | z).

        Parameters
        ----------
        n : int
            Number of rows.
        random_state : int, RandomState or None
            Seeds the draws.

        Returns
        -------
        Like the data of `fit`, n rows.
        """
        return self._fitted().sample(checked_count(n, "n"), seed_of(random_state))

    def reconstruct(self, X: Any) -> Any:
        """Each row as the model sees it: E[x | z] at the mean of q(z | x), missing cells included.

        Parameters
        ----------
        X : like the data of `fit`, n rows

        Returns
        -------
        Like X.
        """
        return self.inverse_transform(self.transform(X))

    def impute(self, X: Any, n_draws: int | None = None, *, n_importance: int = 512, random_state: int = 0) -> Any:
        r"""Fill in what is missing: one best value, or several draws that show how uncertain it is.

        One value: :math:`E[x_{mis} \mid x_{obs}]` for numeric columns, the most probable level for discrete ones. Draws: from
        :math:`p(x_{mis} \mid x_{obs})`, independent completed copies for multiple imputation (Rubin, 1987).

        Parameters
        ----------
        X : like the data of `fit`, n rows
            NaN or null where missing.
        n_draws : int, optional
            Number of completed copies.
        n_importance : int
            Draws per row and from the guide, weighted by how well they explain what was observed.
        random_state : int
            Seeds the draws.

        Returns
        -------
        Like X, or a list of n_draws of them
            Observed cells are unchanged.

        References
        ----------
        Mattei & Frellsen (2019), MIWAE: deep generative modelling and imputation of incomplete data sets.
        """
        conditioner = self._fitted()
        if n_draws is None:
            best = self.encoder_.encoded_from_numeric(conditioner.expected(X, n_importance, random_state))
            return self.encoder_.fill(X, best)
        parts = list(conditioner.draws(X, checked_count(n_draws, "n_draws"), n_importance, random_state))
        return [self.encoder_.fill(X, np.concatenate([values[d] for _, values in parts])) for d in range(n_draws)]

    # ---- likelihood ----
    def score_samples(self, X: Any, *, n_importance: int = 128, random_state: int = 0) -> Floats:
        r"""Log-likelihood of each row, :math:`\log p(x_{obs})`, in nats on the scale of the data.

        Estimated by importance sampling, :math:`\log \frac1S \sum_s p(x, z_s) / q(z_s \mid x)`, which is too low on average, by
        about half the squared standard error. See `log_likelihood` for that error.

        Parameters
        ----------
        X : like the data of `fit`, n rows
            Only what is observed counts.
        n_importance : int
            Draws per row.
        random_state : int
            Seeds the draws.

        Returns
        -------
        array (n,)

        Warns
        -----
        ImportanceSamplingWarning
            If more than a tenth of the rows have a Pareto k above 0.7.
        """
        return self.log_likelihood(X, n_importance=n_importance, random_state=random_state).value

    def log_likelihood(self, X: Any, *, n_importance: int = 128, random_state: int = 0) -> Evidence:
        """As `score_samples`, with the Monte-Carlo standard error, effective sample size and Pareto k of each row.

        Returns
        -------
        Evidence
            ``value``, ``se``, ``ess`` and ``pareto_k``, arrays (n,).

        References
        ----------
        Burda, Grosse & Salakhutdinov (2016), Importance weighted autoencoders.
        """
        return self._fitted().evidence(X, checked_count(n_importance, "n_importance"), random_state)

    def anomaly_score(self, X: Any, *, n_importance: int = 128, random_state: int = 0) -> Floats:
        """Minus the log-likelihood of each row per observed cell, in nats: higher is stranger.

        Parameters
        ----------
        X : like the data of `fit`, n rows

        Returns
        -------
        array (n,)
            Rows with nothing observed have 0.
        """
        return -self.score_samples(X, n_importance=n_importance, random_state=random_state)

    # ---- replicates ----
    def replicate(self, r: int) -> VAE:
        """The same estimator answering with replicate r instead of the best."""
        check_is_fitted(self)
        if not 0 <= r < self.n_replicates:
            raise ValueError(f"r must lie between 0 and {self.n_replicates - 1}, got {r}.")
        other = copy.copy(self)
        other._settle(r)
        return other

    def score_replicates(self, X: Any) -> Floats:
        """Mean log-likelihood per row of each replicate, in nats: (n_replicates,). Report its mean and spread."""
        return np.array([self.replicate(r).score(X) for r in range(self.n_replicates)])

    # ---- saving ----
    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        learned = ("history_", "best_epoch_", "valid_bound_", "restarts_", "fit_time_", "best_replicate_")
        state = {name: getattr(self, name) for name in learned} | {"with_mask": self._with_mask}
        return state, {name: tensor for name, tensor, _ in unn.tensors(self.model_)}

    def _restore(self, state: dict[str, Any], arrays: dict[str, Any]) -> None:
        self._with_mask = bool(state.pop("with_mask"))
        best = int(state.pop("best_replicate_"))
        for name in ("history_", "best_epoch_", "valid_bound_", "restarts_", "fit_time_"):
            setattr(self, name, state[name])
        head = likelihood_for(self.schema_, self.likelihood)
        blank = [self._build(head, None, torch.Generator().manual_seed(0)) for _ in range(self.n_replicates)]
        self.model_ = unn.stack(blank).eval()
        unn.fill(self.model_, arrays)
        self._settle(best)

    def _fitted(self) -> Conditioner:
        check_is_fitted(self)
        return self._conditioner


def _check_parameters(model: VAE) -> torch.device:
    """Refuse parameters that cannot be used, before any work; the device that was asked for."""
    for name in ("n_latent", "n_draws", "n_replicates", "max_epochs", "batch_size", "patience"):
        checked_count(getattr(model, name), name)
    check_widths(model.hidden, "hidden")
    check_number(model.beta, "beta", 0.0)
    check_number(model.learning_rate, "learning_rate", 0.0, above=True)
    check_number(model.valid_fraction, "valid_fraction", 0.0, 0.9)
    check_likelihood(model.likelihood)
    check_networks(model.activation, model.encoder, model.decoder)
    if model.n_draws > 1 and model.beta != 1.0:
        raise ValueError(
            f"beta is {model.beta!r} with n_draws={model.n_draws}: the importance-weighted bound has no beta; "
            "set one of them to 1."
        )
    return torch_device(model.device)
