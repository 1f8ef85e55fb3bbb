"""The semi-supervised variational autoencoder (M2, and with an auxiliary variable the SDGM) as an estimator."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, TransformerMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import nn

from underlie import nn as unn
from underlie.data import as_source
from underlie.data.sources import is_source
from underlie.distributions import likelihood_for, settled
from underlie.engine import Callback, Checkpoint, Launch
from underlie.estimators.base import LatentVariableModel, as_generator, checked_count, is_whole
from underlie.estimators.conditioning import Conditioner
from underlie.estimators.feeding import (
    StartRows,
    engine_rows,
    heavy_tails,
    ink_on_paper,
    mean_log_scale,
    start_rows,
)
from underlie.estimators.labelled_fit import (
    Architecture,
    automatic_alpha,
    groups_of,
    labels_of,
    train_labelled,
)
from underlie.estimators.labelled_law import LabelledLaw
from underlie.estimators.labelled_parameters import check_labels, check_parameters, settings_of, trust
from underlie.estimators.labelled_queries import LabelledQueries, as_evidence, great_circle
from underlie.estimators.launching import drawn_seeds, launch_of
from underlie.estimators.neighbour_hints import neighbour_hints
from underlie.estimators.parameters import (
    kinds_to_encode,
    undone_on_error,
)
from underlie.estimators.targets import Targets
from underlie.graph import Joint, LatentModel
from underlie.models.networks import Network, Networks

Floats = NDArray[np.float64]
RandomState = int | np.random.Generator | np.random.RandomState | None


@final
class SemiSupervisedVAE(ClassifierMixin, TransformerMixin, LatentVariableModel):
    r"""Variational autoencoder of rows of which some are labelled: M2, and with an auxiliary variable the SDGM.

    .. math::
        p(z) = N(0, I), \quad p(y), \quad p(x \mid z, y), \qquad q(y \mid x), \quad q(z \mid x, y)

    The label y says what a row is, the style z how it looks beside that. All rows teach the model what x looks like,
    the labelled ones what y means. Training maximises

    .. math::
        \frac{1}{n_l} \sum_{labelled} \big[\log q(y \mid x) + \alpha L(x, y)\big]
        + \frac{\alpha}{n_u} \sum_{unlabelled} U(x), \qquad
        U(x) = \sum_y q(y \mid x)\, L(x, y) + H(q(y \mid x)),

    L being the evidence lower bound of a labelled row, the sum over y exact. At :math:`\alpha = 0` it is the classifier
    alone. With ``label_weight=1`` the means are sums: the objective of Kingma et al. (2014) with the weight
    :math:`1/\alpha` on the classifier.

    Parameters
    ----------
    n_latent : int
        Dimension of the style z.
    auxiliary : bool or int
        Whether the guide has an auxiliary variable a, of ``n_latent`` dimensions or of the number given: q(a | x),
        q(y | a, x), q(z | a, x, y) and p(a | z, y), p(x | a, z, y). Slower, and the better classifier.
    hidden : tuple of int
        Widths of the hidden layers of encoder, decoder and auxiliary networks.
    classifier : {"mlp", "lenet5"} or nn.Module, optional
        Of q(y | x); None is "mlp". A module of your own maps rows (of shape (batch, columns), or images) to features.
    classifier_hidden : tuple of int, optional
        Widths of the hidden layers of an MLP as the classifier; by default those of ``hidden``.
    alpha : float or "auto"
        Weight of the generative part. "auto" is :math:`\min(1, 10\, n_l / n)`.
    label_weight : float or "auto"
        How much a labelled row counts beside an unlabelled one; "auto" is :math:`n_u / n_l`.
    neighbours : bool or float
        Whether the prior of an unlabelled row's label is, in training, what the row's neighbours say: labels are spread
        over the graph of nearest neighbours, and trusted as far as they find labels that were hidden from them. Without
        this the bound has many optima that sort the rows by something other than the labels. Rows read from a source
        have no neighbours, unless a ``space`` is given. A number says how many times this evidence counts, True is ten
        times: a decoder that takes columns as independent given y and z is too sure of itself.
    likelihood : str or dict
        Of x, as in `VAE`, but for images of ink on paper (at least two thirds of their cells exactly black or white,
        as MNIST has): there "auto" is "bernoulli", the expected log-likelihood of the image binarised at random
        (Salakhutdinov & Murray, 2008). That is no density of intensities, and its values are compared with those of
        no other likelihood; "continuous_bernoulli" is a density, but generates less well.
    n_draws : int
        Draws of z (and a) per row and step.
    n_replicates : int
        Models trained side by side. Their predictions are averaged; one of them has the styles and generates.
    max_epochs : int or "auto"
        Passes over the data. "auto" takes 1,500 to 6,000 steps, at most 200 passes.
    batch_size : int or "auto"
        Unlabelled rows per step, and labelled rows per step. "auto" is a twelfth of the rows, between 32 and 200.
    learning_rate : float
        Of AdamW; it falls along a half cosine to a tenth.
    weight_decay : float
        Of AdamW.
    valid_fraction : float
        Share of the rows held out, of the labelled and of the unlabelled ones, to stop by. By default none: labels are
        few, and the training is short.
    patience : int or "auto"
        Epochs without a better value on held-out rows after which training stops. "auto" is an eighth of
        ``max_epochs``, at least 10.
    classes : sequence, optional
        The classes of y where some have no labelled row, or none has any.
    activation : {"relu", "silu", "gelu"}
    encoder, decoder : {"mlp", "conv"} or nn.Module
        As in `VAE`. A module as the decoder reads z, the labels (a class as one indicator per class) and a, side by
        side.
    precision : {"auto", "float32", "bfloat16"}
        Of matrix products in training; "auto" is bfloat16 where the processor has matrix units for it.
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
    classes_ : array (K,), or list of them for several columns of labels
        None in place of the classes of a continuous label.
    targets_ : Targets
        The columns of labels.
    model_ : LatentModel
        The two graphs; print it. All replicates are in it.
    generative_, inference_ : Joint
        Its two halves.
    alpha_ : float
        Weight of the generative part.
    history_ : dict of array (n_replicates, epochs + 1)
        ``train`` and ``valid``: the objective, in nats per row on the scale of the data.
    likelihood_ : dict of str
        The likelihood of each column.
    spread_ : array (n, m) or None
        What neighbours said of each row of `fit`, as codes of classes; -1 where they said nothing.
    best_replicate_ : int
        Replicate with the highest objective, which generates.
    best_epoch_, restarts_ : array (n_replicates,)
        As of `VAE`.
    n_parameters_ : int
        Weights and free parameters of the generative graph, one replicate.
    encoder_, schema_, n_features_in_, feature_names_in_, fit_time_
        As every estimator.

    References
    ----------
    Kingma, Rezende, Mohamed & Welling (2014), Semi-supervised learning with deep generative models. Maaløe, Sønderby,
    Sønderby & Winther (2016), Auxiliary deep generative models. Zhou et al. (2004), Learning with local and global
    consistency. Beaulac & Rosenthal (2022), Introducing a new high-resolution handwritten digits data set with writer
    characteristics.

    Examples
    --------
    >>> import numpy as np, underlie as ul
    >>> digits = ul.datasets.load_digits()
    >>> y = np.where(np.arange(len(digits)) < 100, digits.target, -1)       # the first hundred labels are known
    >>> model = ul.SemiSupervisedVAE(8, hidden=(64,), max_epochs=30, random_state=0).fit(digits.data, y)
    >>> bool(model.score(digits.data[100:], digits.target[100:]) > 0.8)
    True
    >>> model.sample(2, y=7, random_state=0).shape
    (2, 8, 8)
    """

    classes_: Any
    targets_: Targets
    model_: LatentModel
    generative_: Joint
    inference_: Joint
    alpha_: float
    history_: dict[str, Floats]
    likelihood_: dict[str | int, str]
    spread_: NDArray[np.intp] | None
    best_replicate_: int
    best_epoch_: NDArray[np.int_]
    restarts_: NDArray[np.int_]

    def __init__(
        self,
        n_latent: int = 20,
        *,
        auxiliary: bool | int = False,
        hidden: Sequence[int] = (200,),
        classifier: Literal["mlp", "lenet5"] | nn.Module | None = None,
        classifier_hidden: Sequence[int] | None = None,
        alpha: float | Literal["auto"] = "auto",
        label_weight: float | Literal["auto"] = "auto",
        neighbours: bool | float = True,
        likelihood: str | Mapping[str | int, str] = "auto",
        n_draws: int = 1,
        n_replicates: int = 1,
        max_epochs: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        valid_fraction: float = 0.0,
        patience: int | Literal["auto"] = "auto",
        classes: Sequence[Any] | None = None,
        activation: str = "relu",
        encoder: Network = "mlp",
        decoder: Network = "mlp",
        precision: str = "auto",
        kinds: Any = None,
        device: str = "auto",
        random_state: RandomState = None,
        verbose: bool = True,
    ) -> None:
        self.n_latent = n_latent
        self.auxiliary = auxiliary
        self.hidden = hidden
        self.classifier = classifier
        self.classifier_hidden = classifier_hidden
        self.alpha = alpha
        self.label_weight = label_weight
        self.neighbours = neighbours
        self.likelihood = likelihood
        self.n_draws = n_draws
        self.n_replicates = n_replicates
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.valid_fraction = valid_fraction
        self.patience = patience
        self.classes = classes
        self.activation = activation
        self.encoder = encoder
        self.decoder = decoder
        self.precision = precision
        self.kinds = kinds
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    # ---- fitting ----
    def fit(
        self,
        X: Any,
        y: Any = None,
        space: ArrayLike | None = None,
        *,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
        strategy: str | None = None,
        callbacks: Sequence[Callback] | None = None,
    ) -> Self:
        """Fit the model to the rows of X, labelled or not.

        Parameters
        ----------
        X : table, array (n, columns), images (n, height, width[, channels]) or row source
            NaN or null where missing.
        y : array-like (n,) or (n, m), or table of m columns
            Labels: classes of any sortable type, or floats (a continuous label). -1 among whole numbers, NaN, None or
            null where a row has no label; columns may lack labels in different rows.
        space : array (n, k), optional
            Coordinates of the rows in which their neighbours are looked for, from `VAE.transform` for example; by
            default their principal components.
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
        SemiSupervisedVAE
            Itself.

        Raises
        ------
        ValueError
            If a parameter, the data or the labels cannot be used; the message names it and the remedy.
        CheckpointError
            If the checkpoint is of another training, or cannot be written.
        FloatingPointError
            If training diverged in every replicate in spite of restarts.
        """
        begun = time.perf_counter()
        device = check_parameters(self)
        launch = launch_of(self, checkpoint, strategy, device, callbacks)
        seeds = drawn_seeds(self, launch)
        with undone_on_error(self):
            self._fit_encoder(X, kinds_to_encode(X, self.likelihood, self.kinds))
            self._train(X, y, space, launch, device, seeds)
        self.fit_time_ = time.perf_counter() - begun
        return self

    def _train(self, X: Any, y: Any, space: Any, launch: Launch, device: torch.device, seeds: list[int]) -> None:
        rows = engine_rows("x", X, self.encoder_, device)
        n = len(rows)
        self.targets_ = Targets.fit(y, n, self.classes)
        self._name_classes()
        encoded, seen = self.targets_.encode(y, n)
        check_labels(self, seen)
        blank, first = self._blank_for(X, encoded, seen)
        self.alpha_ = automatic_alpha(seen) if self.alpha == "auto" else float(self.alpha)
        weight = None if self.label_weight == "auto" else float(self.label_weight)
        with_unlabelled = self.alpha_ > 0
        settings = settings_of(self, n if with_unlabelled else int(seen.any(axis=1).sum()), device)
        offset = self.alpha_ * mean_log_scale(self.encoder_, rows)
        settings = replace(settings, launch=launch.telling(offset))
        hints: dict[str, Floats] = {}
        self.spread_ = None
        if self.neighbours and with_unlabelled and not seen.all() and (space is not None or not is_source(X)):
            hints, self.spread_ = neighbour_hints(X, space, self.encoder_, blank.labels, encoded, seen, trust(self))
        architecture = blank.started(first, encoded, seen, self.spread_)
        groups = groups_of(
            rows, encoded, seen, hints, settings.batch_size, weight, device, with_unlabelled=with_unlabelled
        )
        trained = train_labelled(architecture, groups, self.alpha_, settings, seeds, hinted=bool(hints))
        self.model_ = trained.model
        self.history_ = {k: v + offset for k, v in trained.history.items()}
        self.best_epoch_, self.restarts_ = trained.best_epoch, trained.restarts
        self._settle(int(np.argmax(trained.best_value)))

    def _blank_for(self, X: Any, encoded: Floats, seen: NDArray[np.bool_]) -> tuple[Architecture, StartRows]:
        """Everything of which replicates of a model of X are built, and the rows that they are to start from."""
        first = start_rows(X, self.encoder_)
        self._with_mask = any(column.missing for column in self.schema_)
        ink = self.likelihood == "auto" and ink_on_paper(first, self.encoder_)
        asked = "bernoulli" if ink else self.likelihood
        self.likelihood_ = settled(self.schema_, asked, heavy_tails(first.encoded, self.encoder_.row_shape))
        blank = self._blank(labels_of(self.targets_.columns, encoded, seen))
        blank.build(torch.Generator().manual_seed(0))  # networks that do not fit the data are refused here
        return blank, first

    def _blank(self, labels: Any) -> Architecture:
        """Everything of which replicates are built, without a start."""
        n_rows = 1 if self.batch_size == 1 else 2
        return Architecture(
            likelihood_for(self.schema_, self.likelihood_),
            labels,
            self.n_latent,
            self.n_latent if self.auxiliary is True else int(self.auxiliary),
            Networks(self.encoder_.row_shape, tuple(self.hidden), self.activation, self.encoder, self.decoder, n_rows),
            "mlp" if self.classifier is None else self.classifier,
            tuple(self.hidden if self.classifier_hidden is None else self.classifier_hidden),
            self._with_mask,
        )

    def _name_classes(self) -> None:
        found = [target.classes for target in self.targets_.columns]
        self.classes_ = found[0] if self.targets_.single else found

    def _settle(self, best: int) -> None:
        """Generate with one replicate, predict with all."""
        self.best_replicate_ = best
        self.generative_, self.inference_ = self.model_.generative, self.model_.inference
        self._conditioner = Conditioner(self.encoder_, unn.take(self.model_, [best]))
        self._queries = LabelledQueries(self._conditioner, self.model_.requires_grad_(False), self.targets_)
        self.n_parameters_ = sum(p.numel() for p in self._conditioner.model.generative.parameters())

    # ---- labels ----
    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row, or the mean of a continuous label.

        Parameters
        ----------
        X : like the data of `fit`, n rows

        Returns
        -------
        array (n,), or (n, m) for several columns of labels
        """
        found = self._fitted().most_probable(X)
        return self.targets_.decode(found)

    def predict_proba(self, X: Any, *, n_importance: int = 0, random_state: RandomState = 0) -> Any:
        r"""Probabilities of the classes of each row.

        Parameters
        ----------
        X : like the data of `fit`, n rows
        n_importance : int
            0 asks the classifier q(y | x), averaged over the replicates. A positive number asks the generative graph of
            one replicate, :math:`p(y \mid x) \propto p(x, y)`, by so many draws of z for each class.
        random_state : int, Generator, RandomState or None
            Seeds the draws. None: that of the estimator.

        Returns
        -------
        array (n, K), or a list of them, one for each column of labels
            A continuous label has none: asking for it is refused.
        """
        queries = self._fitted()
        for target in self.targets_.columns:
            if target.is_continuous:
                raise ValueError(f"label {target.name!r} is continuous and has no class probabilities; use predict.")
        if is_whole(n_importance) and n_importance == 0:
            found = queries.predictions(X)
        else:
            found = queries.posterior(X, checked_count(n_importance, "n_importance"), self._seed(random_state))
        return found[0] if self.targets_.single else found

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Accuracy of `predict` (R² for a continuous label), or without y the mean log-likelihood of the rows.

        Parameters
        ----------
        X : like the data of `fit`, n rows
        y : like the labels of `fit`, optional
            Rows without a label do not count. Of several columns the mean is taken.
        sample_weight : array (n,), optional
            Weights of the rows.

        Returns
        -------
        float
        """
        if y is None:
            return float(np.mean(self.score_samples(X)))
        found = self._fitted().most_probable(X)
        true, seen = self.targets_.encode(y, len(found))
        weights = np.ones(len(found)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
        scores = []
        for j, target in enumerate(self.targets_.columns):
            rows = seen[:, j]
            if not rows.any():
                raise ValueError(f"no row has a label in {target.name!r}: there is nothing to score.")
            measure = r2_score if target.is_continuous else accuracy_score
            scores.append(measure(true[rows, j], found[rows, j], sample_weight=weights[rows]))
        return float(np.mean(scores))

    # ---- style ----
    def transform(self, X: Any, y: Any = None) -> Floats:
        """Style of each row: means of the guide q(z | x, y).

        Parameters
        ----------
        X : like the data of `fit`, n rows
        y : like the labels of `fit`, optional
            What the rows show, where it is known; elsewhere the prediction is taken.

        Returns
        -------
        array (n, n_latent)
        """
        queries = self._fitted()
        return queries.styles(X, self._completed_labels(X, y))

    def inverse_transform(self, Z: Any, y: Any) -> Any:
        """Rows of given styles and labels: E[x | z, y].

        Parameters
        ----------
        Z : array (n, n_latent)
        y : label, or array-like (n,) of them; a row of labels, or (n, m), for several columns

        Returns
        -------
        Like the data of `fit`, n rows.
        """
        queries = self._fitted()
        Z = np.asarray(Z, dtype=float)
        if Z.ndim != 2 or not len(Z) or Z.shape[1] != self.n_latent:
            raise ValueError(f"Z must have shape (n, {self.n_latent}) and at least one row, got {Z.shape}.")
        return self.encoder_.from_numeric(queries.expected(Z, self._asked_labels(y, len(Z))), like=None)

    def sample(self, n: int = 1, y: Any = None, random_state: RandomState = None) -> Any:
        """n new rows: of the labels given, in styles from the prior.

        Parameters
        ----------
        n : int
        y : label, or array-like (n,) of them; a row of labels, or (n, m), for several columns; optional
            None draws labels from p(y).
        random_state : int, Generator, RandomState or None
            None: that of the estimator.

        Returns
        -------
        Like the data of `fit`, n rows.
        """
        queries, n = self._fitted(), checked_count(n, "n")
        return queries.sample(n, None if y is None else self._asked_labels(y, n), self._seed(random_state))[0]

    def sample_labelled(self, n: int = 1, random_state: RandomState = None) -> tuple[Any, NDArray[Any]]:
        """n new rows, and the labels they were drawn with.

        Returns
        -------
        rows : like the data of `fit`
        labels : array (n,), or (n, m)
        """
        rows, labels = self._fitted().sample(checked_count(n, "n"), None, self._seed(random_state))
        return rows, self.targets_.decode(labels)

    def marginal(self) -> LabelledLaw:
        """The law of x when nothing is known of the labels: a mixture over them, as `underlie.mega` reads it.

        Returns
        -------
        LabelledLaw
            With ``sample_latent``, ``moments`` and ``sample``, of the replicate that generates.
        """
        return LabelledLaw(self._fitted())

    def restyle(self, X: Any, y: Any, from_y: Any = None) -> Any:
        r"""The same styles with other labels: :math:`E[x \mid z, y]` at the style z of each row.

        Parameters
        ----------
        X : like the data of `fit`, n rows
        y : label, or array-like (n,) of them; a row of labels, or (n, m), for several columns
            What the new rows are to show.
        from_y : like the labels of `fit`, optional
            What the rows of X show, where it is known; elsewhere the prediction is taken.

        Returns
        -------
        Like X.
        """
        return self.inverse_transform(self.transform(X, from_y), y)

    def interpolate(self, X: Any, n_steps: int = 8, y: Any = None, from_y: Any = None) -> Any:
        """From the style of one row to that of another, in equal steps along a great circle.

        Styles are nearly normal, so that a straight line would pass through improbable ones.

        Parameters
        ----------
        X : like the data of `fit`, 2 rows
            Where to start and where to end.
        n_steps : int
            Rows to give, both ends among them; at least 2.
        y : label or row of labels, optional
            What all of them are to show; by default what the first row shows.
        from_y : two labels, optional
            What the rows of X show, where it is known.

        Returns
        -------
        Like X, n_steps rows.

        References
        ----------
        White (2016), Sampling generative networks.
        """
        if checked_count(n_steps, "n_steps") < 2:
            raise ValueError("n_steps must be at least 2: both ends are among the steps.")
        labels = self._completed_labels(X, from_y)
        if len(labels) != 2:
            raise ValueError(f"X must have 2 rows, where to start and where to end, got {len(labels)}.")
        first, last = self._fitted().styles(X, labels)
        path = great_circle(first, last, n_steps)
        shown = np.repeat(labels[:1], n_steps, axis=0) if y is None else self._asked_labels(y, n_steps)
        return self.encoder_.from_numeric(self._fitted().expected(path, shown), like=None)

    def reconstruct(self, X: Any, y: Any = None) -> Any:
        """Each row as the model sees it: E[x | z, y] at its own style and label, missing cells included.

        Parameters
        ----------
        X : like the data of `fit`, n rows
        y : like the labels of `fit`, optional
            What the rows show, where it is known; elsewhere the prediction is taken.

        Returns
        -------
        Like X.
        """
        queries, labels = self._fitted(), self._completed_labels(X, y)
        return self.encoder_.from_numeric(queries.expected(queries.styles(X, labels), labels), like=X)

    # ---- likelihood and missing cells ----
    def score_samples(self, X: Any, y: Any = None, *, n_importance: int = 32, random_state: RandomState = 0) -> Floats:
        r"""Log-likelihood of each row, :math:`\log p(x)`, or :math:`\log p(x, y)` where labels are given.

        Labels that are not given are summed out, styles are drawn, as in `VAE.score_samples`.

        Parameters
        ----------
        X : like the data of `fit`, n rows
        y : like the labels of `fit`, optional
        n_importance : int
            Draws of z per row and class.
        random_state : int, Generator, RandomState or None
            Seeds the draws. None: that of the estimator.

        Returns
        -------
        array (n,)
            Nats, on the scale of the data.
        """
        self._fitted()
        n_importance, seed = checked_count(n_importance, "n_importance"), self._seed(random_state)
        if y is None:
            return self._conditioner.evidence(X, n_importance, seed).value
        rows = as_source(X) if is_source(X) else self.encoder_.encode(X)
        encoded, seen = self.targets_.encode(y, len(rows))
        value = self._conditioner.evidence(rows, n_importance, seed, as_evidence(encoded, seen)).value
        return value - seen @ np.log([target.scale for target in self.targets_.columns])

    def impute(
        self, X: Any, n_draws: int | None = None, *, n_importance: int = 256, random_state: RandomState = 0
    ) -> Any:
        """Fill in what is missing, the label of each row being unknown; see `VAE.impute`.

        Parameters
        ----------
        X : like the data of `fit`, n rows
        n_draws : int, optional
            Number of completed copies; None gives one best value.
        n_importance : int
            Draws of label and style per row, weighted by how well they explain what was observed.
        random_state : int, Generator, RandomState or None
            Seeds the draws. None: that of the estimator.

        Returns
        -------
        Like X, or a list of n_draws of them
        """
        self._fitted()
        checked_count(n_importance, "n_importance")
        n_copies = None if n_draws is None else checked_count(n_draws, "n_draws")
        return self._conditioner.impute(X, n_copies, n_importance, self._seed(random_state))

    # ---- replicates ----
    def replicate(self, r: int) -> SemiSupervisedVAE:
        """The same estimator predicting and generating with replicate r alone."""
        check_is_fitted(self)
        last = len(self.best_epoch_) - 1
        if not is_whole(r) or not 0 <= r <= last:
            raise ValueError(f"r must be a whole number between 0 and {last}, got {r!r}.")
        other = copy.copy(self)
        other.n_replicates = 1
        other.model_ = unn.take(self.model_, [r])
        other.history_ = {name: values[[r]] for name, values in self.history_.items()}
        other.best_epoch_, other.restarts_ = self.best_epoch_[[r]], self.restarts_[[r]]
        other._settle(0)
        return other

    # ---- saving ----
    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        learned = (
            "history_",
            "best_epoch_",
            "restarts_",
            "fit_time_",
            "best_replicate_",
            "likelihood_",
            "alpha_",
            "spread_",
        )
        state = {name: getattr(self, name) for name in learned} | {"with_mask": self._with_mask}
        state["targets"] = self.targets_.to_state()
        return state, {name: tensor for name, tensor, _ in unn.tensors(self.model_)}

    def _restore(self, state: dict[str, Any], arrays: dict[str, Any]) -> None:
        self._with_mask = bool(state.pop("with_mask"))
        best = int(state.pop("best_replicate_"))
        self.targets_ = Targets.from_state(state.pop("targets"))
        self._name_classes()
        for name, value in state.items():
            setattr(self, name, value)
        blank = self._blank(labels_of(self.targets_.columns, *self.targets_.none_seen()))
        self.model_ = unn.filled(blank.build, self.n_replicates, arrays)
        self._settle(best)

    # ---- inside ----
    def _fitted(self) -> LabelledQueries:
        check_is_fitted(self)
        return self._queries

    def _completed_labels(self, X: Any, y: Any) -> Floats:
        """Encoded labels (n, m), predicted where y does not give them."""
        predicted = self._fitted().most_probable(X)
        if y is None:
            return predicted
        encoded, seen = self.targets_.encode(y, len(predicted))
        return np.where(seen, encoded, predicted)

    def _asked_labels(self, y: Any, n: int) -> Floats:
        """Encoded labels (n, m) from one label, one row of labels, or n of them; every one must be there."""
        m = len(self.targets_.columns)
        if isinstance(y, str) or np.ndim(y) == 0:
            y = [y] * n
        elif m > 1 and not hasattr(y, "columns") and np.ndim(y) == 1:
            y = [list(y)] * n
        encoded, seen = self.targets_.encode(y, n)
        if not seen.all():
            raise ValueError(f"y, row {int(np.argmin(seen.all(axis=1)))}, lacks a label: say what it is to show.")
        return encoded

    def _rng(self, random_state: RandomState) -> np.random.Generator:
        return as_generator(self.random_state if random_state is None else random_state)

    def _seed(self, random_state: RandomState) -> int:
        return int(self._rng(random_state).integers(2**31 - 1))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        return tags
