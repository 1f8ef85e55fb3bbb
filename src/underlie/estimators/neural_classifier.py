"""Classification by neural networks: one, or a committee trained as one computation."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Sequence
from typing import Any, Literal, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from underlie import nn as unn
from underlie.data import Encoder
from underlie.data.rules import Kinds
from underlie.data.schema import abridge
from underlie.distributions import Categorical
from underlie.engine import Callback, Checkpoint, Launch, ResidentRows, Rows, Settings, suitable_precision, train
from underlie.estimators.base import Estimator, checked_count, is_whole
from underlie.estimators.feeding import Pace, engine_rows, torch_device
from underlie.estimators.labels import checked_labels
from underlie.estimators.launching import drawn_seeds, launch_of
from underlie.estimators.parameters import check_number, check_widths, undone_on_error
from underlie.estimators.predictors import Predictor, SideBySide
from underlie.graph import LatentModel, elbo
from underlie.models.classifier import ClassifierNetwork, check_classifier, classifier, classifier_network
from underlie.nn.lenet import SMALLEST_IMAGE
from underlie.warnings import DataWarning, warn

Floats = NDArray[np.float64]
RandomState = int | np.random.Generator | np.random.RandomState | None

#: Rows times members of which classes are predicted at a time.
_CHUNK = 4096
_MAX_STEPS, _MAX_EPOCHS, _MIN_EPOCHS = 4000, 200, 10


@final
class NeuralClassifier(ClassifierMixin, Estimator):
    r"""Neural network that tells classes of rows or images; or a committee of them, whose probabilities are averaged.

    .. math:: p(y \mid x) = \frac1R \sum_r \mathrm{Categorical}(\mathrm{softmax}\, f_r(x))

    Each member is learned by gradient ascent on log p(y | x), holds out rows of its own, stops when they stop gaining,
    and keeps its best weights. Cells may be missing: the network is told which.

    Parameters
    ----------
    network : {"auto", "mlp", "lenet5"} or nn.Module
        "auto" is LeNet-5 for images of at least 12 x 12, a multilayer perceptron otherwise. A module of your own maps
        rows (of shape (batch, columns), or images; a categorical column is one indicator per level; with missing cells
        a mask of the columns follows, in one axis) to features of any width, from which an affine layer makes the
        classes. Each member trains a copy, with new starting weights from its layers' ``reset_parameters``.
    hidden : tuple of int
        Widths of the hidden layers of a multilayer perceptron.
    n_replicates : int
        Members of the committee, trained side by side as one computation, each with its own start, held-out rows and
        end.
    max_epochs : int or "auto"
        Passes over the data at most. "auto" is as many as 4,000 steps take, between 10 and 200.
    batch_size : int or "auto"
        Rows per step at most. "auto" is a fiftieth of the rows, between 32 and 256.
    learning_rate : float
        Of AdamW; it falls along a half cosine to a tenth.
    weight_decay : float
        Of AdamW.
    patience : int or "auto"
        Epochs without better held-out log-probabilities after which a member stops. "auto" is an eighth of
        ``max_epochs``, between 10 and 30.
    valid_fraction : float
        Share of the rows that each member holds out for that; 0 trains on all rows for ``max_epochs``. That may gain
        accuracy where rows are few and labels free of error, but probabilities become far too sure where they are not.
    activation : {"relu", "silu", "gelu"}
        Of the hidden layers of a multilayer perceptron.
    precision : {"auto", "float32", "bfloat16"}
        Of matrix products and convolutions in training; predictions are made in float32. "auto" is bfloat16 where the
        device has units for it.
    kinds : dict or str, optional
        Overrides the inferred kind of columns of X, see `Schema`.
    device : str
        "auto" uses a GPU where there is one.
    random_state : int, Generator, RandomState or None
        Seeds everything. Member r is the same whatever the number of members.
    verbose : bool
        Whether to show a progress bar on a terminal.

    Attributes
    ----------
    classes_ : array (K,)
        Labels, sorted, of the type they were given in.
    model_ : LatentModel
        The network of all members; print it.
    extra_encoder_ : Encoder or None
        Of the further predictors.
    history_ : dict of array (n_replicates, epochs + 1)
        ``train`` and ``valid``: mean log p(y | x) per row, in nats. Epoch 0 is the start.
    best_epoch_ : array (n_replicates,)
        Epoch whose weights each member kept.
    restarts_ : array (n_replicates,)
        How often a member diverged and was begun again.
    n_parameters_ : int
        Weights of one member.
    encoder_, schema_, n_features_in_, feature_names_in_, fit_time_
        As every estimator.

    References
    ----------
    LeCun, Bottou, Bengio & Haffner (1998), Gradient-based learning applied to document recognition. Hansen & Salamon
    (1990), Neural network ensembles.

    Examples
    --------
    >>> import underlie as ul
    >>> digits = ul.datasets.load_digits()
    >>> model = ul.NeuralClassifier(max_epochs=10, random_state=0).fit(digits.data[:1200], digits.target[:1200])
    >>> bool(model.score(digits.data[1200:], digits.target[1200:]) > 0.85)
    True
    """

    classes_: NDArray[Any]
    model_: LatentModel
    extra_encoder_: Encoder | None
    history_: dict[str, Floats]
    best_epoch_: NDArray[np.int_]
    restarts_: NDArray[np.int_]
    n_parameters_: int

    def __init__(
        self,
        network: Literal["auto"] | ClassifierNetwork = "auto",
        *,
        hidden: Sequence[int] = (256, 256),
        n_replicates: int = 1,
        max_epochs: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: float = 2e-3,
        weight_decay: float = 0.01,
        patience: int | Literal["auto"] = "auto",
        valid_fraction: float = 0.1,
        activation: str = "relu",
        precision: str = "auto",
        kinds: Kinds = None,
        device: str = "auto",
        random_state: RandomState = None,
        verbose: bool = True,
    ) -> None:
        self.network = network
        self.hidden = hidden
        self.n_replicates = n_replicates
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.patience = patience
        self.valid_fraction = valid_fraction
        self.activation = activation
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
        extra: Any = None,
        *,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
        strategy: str | None = None,
        callbacks: Sequence[Callback] | None = None,
    ) -> Self:
        """Fit the network to rows and their classes.

        Parameters
        ----------
        X : table, array (n, columns), images (n, height, width[, channels]) or row source
            NaN or null where missing.
        y : array-like (n,)
            Class of each row, of any sortable type, none missing.
        extra : table or array of n rows, optional
            Further predictors, beside images above all; needed again for predictions. LeNet-5 reads them in its first
            dense layer.
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
        NeuralClassifier
            Itself.

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; the message names it and the remedy.
        CheckpointError
            If the checkpoint is of another training, or cannot be written.
        FloatingPointError
            If training diverged in every member in spite of restarts.

        Warns
        -----
        DataWarning
            If a class has a single row.
        """
        begun = time.perf_counter()
        device = _check_parameters(self)
        launch = launch_of(self, checkpoint, strategy, device, callbacks)
        seeds = drawn_seeds(self, launch)
        with undone_on_error(self):
            self._fit_encoder(X, self.kinds)
            rows = engine_rows("x", X, self.encoder_, device)
            codes = self._fit_labels(y, len(rows))
            predictors = {"x": Predictor.fit(X, self.encoder_)}
            beside = [rows, ResidentRows({"y": torch.as_tensor(codes[:, None], dtype=torch.float32, device=device)})]
            self.extra_encoder_ = None
            if extra is not None:
                self.extra_encoder_ = Encoder.fit(extra)
                predictors["extra"] = Predictor.fit(extra, self.extra_encoder_)
                beside.append(self._extra_rows(extra, len(rows), device))
            self._predictors = predictors
            self._train(SideBySide(beside), launch, device, seeds)
        self.fit_time_ = time.perf_counter() - begun
        return self

    def _fit_labels(self, y: Any, n: int) -> NDArray[np.intp]:
        """Codes of the classes (n,)."""
        labels = checked_labels(y, n, type(self).__name__)
        self.classes_, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class only, {self.classes_.tolist()[0]!r} (n_samples={n}): there is nothing to tell apart. "
                "Give rows of a second class."
            )
        if single := [repr(label) for label in self.classes_[counts == 1].tolist()]:
            warn(
                f"class(es) {abridge(single)} of y have a single row, from which little is learned: give more rows, or "
                "join such classes.",
                DataWarning,
            )
        return codes

    def _extra_rows(self, extra: Any, n: int, device: torch.device) -> Rows:
        assert self.extra_encoder_ is not None
        rows = engine_rows("extra", extra, self.extra_encoder_, device)
        if len(rows) != n:
            raise ValueError(f"extra has {len(rows)} rows, but X has {n}: give one row of it per row of X.")
        return rows

    def _train(self, rows: SideBySide, launch: Launch, device: torch.device, seeds: list[int]) -> None:
        self._build(torch.Generator().manual_seed(0))  # networks that do not fit the data are refused here
        pace = _pace(len(rows), self.batch_size, self.max_epochs, self.patience)
        settings = Settings(
            pace.max_epochs,
            pace.batch_size,
            self.learning_rate,
            pace.patience,
            self.valid_fraction,
            weight_decay=self.weight_decay,
            precision=suitable_precision(self.precision, device),
            device=device,
            verbose=self.verbose,
            launch=launch,
        )
        trained = train(self._build, elbo, rows, settings, seeds, type(self).__name__)
        self.history_, self.best_epoch_, self.restarts_ = trained.history, trained.best_epoch, trained.restarts
        self._settle(trained.model)

    def _build(self, generator: torch.Generator) -> LatentModel:
        """One member; the graph is in `underlie.models.classifier`."""
        # A generator of its own for the network: a classifier within a larger model starts alike.
        seed = int(torch.randint(2**31 - 1, (1,), generator=generator, device=generator.device))
        own = torch.Generator().manual_seed(seed)
        reads = {name: unn.Read(p.head(), p.with_mask) for name, p in self._predictors.items()}
        widths, shape, n_classes = [read.width for read in reads.values()], self.encoder_.row_shape, len(self.classes_)
        network = self.network
        if network == "auto":
            network = "lenet5" if len(shape) > 1 and min(shape[:2]) >= SMALLEST_IMAGE else "mlp"
        net = classifier_network(network, shape, widths, n_classes, tuple(self.hidden), self.activation, own)
        return classifier(Categorical(n_classes), reads, net)

    def _settle(self, model: LatentModel) -> None:
        self.model_ = model
        one = unn.take(model, [0])
        self.n_parameters_ = sum(p.numel() for p in one.parameters() if p.requires_grad)

    # ---- predictions ----
    def predict_proba(self, X: Any, extra: Any = None) -> Floats:
        """p(y | x) of each class, averaged over the members.

        Parameters
        ----------
        X : like the data of `fit`, n rows
        extra : like the ``extra`` of `fit`, n rows
            Exactly if there was one.

        Returns
        -------
        array (n, K)
            In the order of ``classes_``; rows sum to one.

        Raises
        ------
        ValueError
            If X or extra cannot be used, or extra is missing, or was not there at fit.
        """
        return np.concatenate([np.exp(logs).mean(axis=0) for logs in self._log_proba(X, extra)])

    def predict_log_proba(self, X: Any, extra: Any = None) -> Floats:
        """Logarithms of `predict_proba`: array (n, K), in nats."""
        members = self._log_proba(X, extra)
        return np.concatenate([np.logaddexp.reduce(logs, axis=0) - np.log(len(logs)) for logs in members])

    def predict(self, X: Any, extra: Any = None) -> NDArray[Any]:
        """Most probable class of each row.

        Parameters
        ----------
        X, extra
            As for `predict_proba`.

        Returns
        -------
        array (n,)
            Labels, of the type of ``classes_``.
        """
        chosen = self.predict_proba(X, extra).argmax(axis=1)
        best: NDArray[Any] = self.classes_[chosen]
        return best

    def score(self, X: Any, y: Any, extra: Any = None) -> float:
        """Accuracy: the share of rows whose class is predicted.

        Parameters
        ----------
        X, extra
            As for `predict_proba`.
        y : array-like (n,)
            Classes of the rows.
        """
        return float(accuracy_score(y, self.predict(X, extra)))

    @torch.no_grad()
    def _log_proba(self, X: Any, extra: Any) -> list[Floats]:
        """log p(y | x) by each member, (R, rows, K), of consecutive rows."""
        check_is_fitted(self)
        if (extra is None) != (self.extra_encoder_ is None):
            when = "was fitted with extra predictors" if extra is None else "was fitted without extra"
            remedy = "give them as extra=" if extra is None else "leave it out"
            raise ValueError(f"this model {when}: {remedy}.")
        factor = self.model_.generative["y"]
        device = next(factor.parameters()).device
        rows = [engine_rows("x", X, self.encoder_, device)]
        if extra is not None:
            rows.append(self._extra_rows(extra, len(rows[0]), device))
        together, n_members, found = SideBySide(rows), len(self.best_epoch_), []
        for index in torch.arange(len(together), device=device).split(max(64, _CHUNK // n_members)):
            raw = factor.raw(together.take(index.expand(n_members, -1)))[:, 0]
            found.append(torch.log_softmax(raw.double(), dim=-1).cpu().numpy())
        return found

    def replicate(self, r: int) -> NeuralClassifier:
        """The same estimator answering with member r alone.

        Raises
        ------
        ValueError
            If there is no such member.
        """
        check_is_fitted(self)
        last = len(self.best_epoch_) - 1
        if not is_whole(r) or not 0 <= r <= last:
            raise ValueError(f"r must be a whole number between 0 and {last}, got {r!r}.")
        other = copy.copy(self)
        other.n_replicates = 1
        other.history_ = {name: values[[r]] for name, values in self.history_.items()}
        other.best_epoch_, other.restarts_ = self.best_epoch_[[r]], self.restarts_[[r]]
        other._settle(unn.take(self.model_, [r]).eval())
        return other

    # ---- saving ----
    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        learned = ("classes_", "history_", "best_epoch_", "restarts_", "fit_time_")
        state = {name: getattr(self, name) for name in learned}
        state["extra_encoder"] = None if self.extra_encoder_ is None else self.extra_encoder_.to_json()
        state["likelihoods"] = [[name, p.likelihood] for name, p in self._predictors.items()]
        return state, {name: tensor for name, tensor, _ in unn.tensors(self.model_)}

    def _restore(self, state: dict[str, Any], arrays: dict[str, Any]) -> None:
        for name in ("classes_", "history_", "best_epoch_", "restarts_", "fit_time_"):
            setattr(self, name, state[name])
        stored = state["extra_encoder"]
        self.extra_encoder_ = None if stored is None else Encoder.from_json(stored)
        schemas = {"x": self.schema_}
        if self.extra_encoder_ is not None:
            schemas["extra"] = self.extra_encoder_.schema
        self._predictors = {name: Predictor(schemas[name], v) for name, v in state["likelihoods"]}
        self._settle(unn.filled(self._build, len(self.best_epoch_), arrays))


def _pace(n: int, batch_size: int | str, max_epochs: int | str, patience: int | str) -> Pace:
    batch = min(256, max(32, n // 50)) if isinstance(batch_size, str) else int(batch_size)
    epochs = min(_MAX_EPOCHS, max(_MIN_EPOCHS, _MAX_STEPS // -(-n // batch)))
    return Pace.of(n, batch, epochs if isinstance(max_epochs, str) else max_epochs, patience)


def _check_parameters(model: NeuralClassifier) -> torch.device:
    """Refuse parameters that cannot be used, before any work; the device that was asked for."""
    checked_count(model.n_replicates, "n_replicates")
    for name in ("max_epochs", "batch_size", "patience"):
        if getattr(model, name) != "auto":
            checked_count(getattr(model, name), name)
    check_widths(model.hidden, "hidden")
    check_number(model.learning_rate, "learning_rate", 0.0, above=True)
    check_number(model.weight_decay, "weight_decay", 0.0)
    check_number(model.valid_fraction, "valid_fraction", 0.0, 0.9)
    check_classifier(
        "mlp" if isinstance(model.network, str) and model.network == "auto" else model.network, model.activation
    )
    device = torch_device(model.device)
    suitable_precision(model.precision, device)
    return device
