"""Classification by probabilistic PCA: one density per class, and Bayes' rule."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from underlie.estimators.base import LatentVariableModel, as_generator, checked_count
from underlie.estimators.labels import checked_labels, class_priors
from underlie.estimators.linear_fit import FitSettings, LinearFit, column_scale, fit_linear, largest_values
from underlie.estimators.scaled_gaussian import ScaledGaussian, checked_densities
from underlie.models.ppca import LinearGaussian, n_parameters, noise_floor
from underlie.models.ppca_table import MatrixTable
from underlie.warnings import DataWarning, warn

Floats = NDArray[np.float64]
RandomState = int | np.random.Generator | np.random.RandomState | None


@final
class PPCAClassifier(ClassifierMixin, LatentVariableModel):
    r"""Bayes' rule with one probabilistic PCA per class; missing cells allowed, at fit and at prediction.

    .. math:: p(y = k \mid x) \propto \pi_k \, N(x; \mu_k, W_k W_k' + \sigma_k^2 I)

    A generative classifier: between a Gaussian of equal variances per class (no components) and quadratic discriminant
    analysis (D - 1 of them). A row with missing cells is classified by what is observed in it, exactly; a row without
    observed cells gets the class priors.

    Parameters
    ----------
    n_components : int or "bic", default 2
        Number of latent dimensions of each class. "bic": chosen for each class. A class of n_k rows gets at most
        n_k - 2, and at most D - 1, with a DataWarning where that is less than what was asked for. A class of one row
        gets none, and the variance within the other classes, with a DataWarning.
    priors : None, "uniform", mapping or array-like of shape (K,), default None
        Class probabilities. None: the frequencies in the training data. An array follows the order of ``classes_``
        (sorted).
    standardize : bool, default True
        Fit columns divided by their standard deviations over all rows; see :class:`ProbabilisticPCA`.
    solver : {"auto", "eigh", "em"}, default "auto"
    tol : float, default 1e-6
    max_iter : int, default 1000
        As in :class:`ProbabilisticPCA`.
    random_state : int, Generator, RandomState or None
        Seed of ``sample`` and of the draws of ``impute`` where they are given none. ``fit`` uses no random numbers.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        Labels, sorted, of the type they were given in.
    class_prior_ : ndarray of shape (K,)
    n_components_ : ndarray of int, shape (K,)
    models_ : list of K LinearGaussian
        Of the numeric columns divided by ``scale_``.
    scale_ : ndarray of shape (D,)
    n_iter_ : int
        Largest number of EM steps of a class; 1 in closed form.
    n_parameters_ : int
        Of all classes, and K - 1 class probabilities where they were estimated.
    fit_time_ : float
        Seconds.
    encoder_, schema_, n_features_in_, feature_names_in_
        See :class:`~underlie.estimators.base.LatentVariableModel`.

    References
    ----------
    Tipping, M. E. and Bishop, C. M. (1999). Mixtures of probabilistic principal component analyzers. Neural Computation
    11, 443-482.

    Examples
    --------
    >>> import underlie as ul
    >>> digits = ul.datasets.load_digits()
    >>> train, test = slice(0, 1000), slice(1000, None)
    >>> model = ul.PPCAClassifier(n_components=8, standardize=False).fit(digits.data[train], digits.target[train])
    >>> bool(model.score(digits.data[test], digits.target[test]) > 0.9)
    True
    """

    classes_: NDArray[Any]
    class_prior_: Floats
    n_components_: NDArray[np.intp]
    models_: list[LinearGaussian]
    scale_: Floats
    n_iter_: int
    n_parameters_: int

    def __init__(
        self,
        n_components: int | Literal["bic"] = 2,
        *,
        priors: Literal["uniform"] | Mapping[Any, float] | ArrayLike | None = None,
        standardize: bool = True,
        solver: Literal["auto", "eigh", "em"] = "auto",
        tol: float = 1e-6,
        max_iter: int = 1000,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.priors = priors
        self.standardize = standardize
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    # ------------------------------------------------------------------------------------------------------- fitting

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit one model to the rows of each class.

        Parameters
        ----------
        X : table, array or images of n rows
            NaN or null where missing.
        y : array-like of shape (n,)
            Class labels of any sortable type, none missing.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X, y or a parameter is unusable, every class has one row, or a class has no observed cell in some column.

        Warns
        -----
        ConvergenceWarning
            If EM reached ``max_iter`` in a class.
        DataWarning
            If a class has fewer components than asked for, one row, or no noise.
        """
        start = time.perf_counter()
        if self.n_components is None:
            raise ValueError('n_components must be a whole number or "bic", got None.')
        checked = FitSettings(self.n_components, self.solver, None, self.tol, self.max_iter)
        self._fit_encoder(X)
        A = self.encoder_.numeric(X)
        labels = checked_labels(y, len(A), type(self).__name__)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        self.class_prior_ = class_priors(self.priors, self.classes_, codes)
        largest = largest_values(A, self.encoder_)
        scale = column_scale(MatrixTable(A)) if self.standardize else np.ones(A.shape[1])
        settings = replace(checked, n_dependent=self.schema_.kinds.count("categorical"))
        self._check_classes(A, codes)
        magnitude = float((largest / scale).max())
        fits = [self._fit_class(k, A, codes, scale, settings, magnitude) for k in range(len(self.classes_))]
        self._set_models([fit.model for fit in fits], scale)
        self.n_iter_ = max(fit.n_iter for fit in fits)
        self.fit_time_ = time.perf_counter() - start
        return self

    def _set_models(self, models: list[LinearGaussian], scale: Floats) -> None:
        self.models_, self.scale_ = models, scale
        self._gaussians = [ScaledGaussian(model, scale) for model in models]
        self.n_components_ = np.array([model.n_components for model in models])
        n_priors = len(models) - 1 if self.priors is None else 0
        self.n_parameters_ = n_priors + sum(n_parameters(m.n_features, m.n_components) for m in models)

    def _check_classes(self, A: Floats, codes: NDArray[np.intp]) -> None:
        sizes = np.bincount(codes)
        if sizes.max() < 2:
            raise ValueError(
                f"every class in y has 1 row (n_samples={len(codes)}), so that nothing varies within a class. "
                "Give more rows."
            )
        for k, label in enumerate(self.classes_.tolist()):
            unseen = np.isnan(A[codes == k]).all(axis=0)
            if unseen.any():
                name = self.encoder_.numeric_names[int(np.argmax(unseen))]
                raise ValueError(
                    f"column {name!r} of X is missing in every row of class {label!r}, so that its distribution there "
                    "is unknown. Leave out the column or the class, or impute it first."
                )

    def _fit_class(
        self, k: int, A: Floats, codes: NDArray[np.intp], scale: Floats, settings: FitSettings, magnitude: float
    ) -> LinearFit:
        part = A[codes == k]
        label = self.classes_.tolist()[k]
        if len(part) == 1:
            warn(
                f"class {label!r} has 1 row: it gets the variance within the other classes, and no components.",
                DataWarning,
            )
            noise = _pooled_variance(A / scale, codes, magnitude)
            model = LinearGaussian(part[0] / scale, np.zeros((A.shape[1], 0)), noise)
            return LinearFit(model, np.array([model.log_density(part / scale)[0]]), 1, True)
        if self.n_components == "bic":
            return fit_linear(part, scale, None, settings, magnitude)
        wanted = int(self.n_components)
        rank = max(0, min(wanted, part.shape[0] - 2, part.shape[1] - 1))
        if rank < wanted:
            warn(
                f"n_components={wanted} is reduced to {rank} for class {label!r}, which has {part.shape[0]} rows in "
                f"{part.shape[1]} numeric columns.",
                DataWarning,
            )
        return fit_linear(part, scale, rank, settings, magnitude)

    # ---------------------------------------------------------------------------------------------------- prediction

    def predict(self, X: Any) -> NDArray[Any]:
        """Most probable class of each row, given what is observed in it.

        Parameters
        ----------
        X : table, array or images of n rows

        Returns
        -------
        ndarray of shape (n,)
            Labels, of the type of ``classes_``.
        """
        joint = self._log_joint(X)
        best: NDArray[Any] = self.classes_[joint.argmax(axis=1)]
        return best

    def predict_log_proba(self, X: Any) -> Floats:
        """log p(y | what is observed in the row).

        Parameters
        ----------
        X : table, array or images of n rows

        Returns
        -------
        ndarray of shape (n, K)
            In the order of ``classes_``.
        """
        joint = self._log_joint(X)
        result: Floats = joint - logsumexp(joint, axis=1, keepdims=True)
        return result

    def predict_proba(self, X: Any) -> Floats:
        """p(y | what is observed in the row).

        Parameters
        ----------
        X : table, array or images of n rows

        Returns
        -------
        ndarray of shape (n, K)
            In the order of ``classes_``; rows sum to one.
        """
        return np.exp(self.predict_log_proba(X))

    def score_samples(self, X: Any) -> Floats:
        r"""Log-density of what is observed in each row, :math:`\log \sum_k \pi_k p(x_o \mid k)`.

        Parameters
        ----------
        X : table, array or images of n rows

        Returns
        -------
        ndarray of shape (n,)
            Nats, on the user's scale; 0 for a row without observed cells.
        """
        total: Floats = logsumexp(self._log_joint(X), axis=1)
        return total

    def score(self, X: Any, y: Any = None) -> float:
        """Accuracy where labels are given, mean log-likelihood per row where not.

        Parameters
        ----------
        X : table, array or images of n rows
        y : array-like of shape (n,), optional

        Returns
        -------
        float
            Share of rows whose class is predicted; without ``y`` the mean of :meth:`score_samples`, in nats.
        """
        if y is None:
            return float(np.mean(self.score_samples(X)))
        return float(accuracy_score(y, self.predict(X)))

    def _log_joint(self, X: Any) -> Floats:
        check_is_fitted(self)
        return self._log_joint_numeric(self.encoder_.numeric(X))

    def _log_joint_numeric(self, A: Floats) -> Floats:
        densities = np.column_stack([gaussian.log_density(A) for gaussian in self._gaussians])
        joint: Floats = checked_densities(densities, A, self.encoder_) + np.log(self.class_prior_)
        return joint

    # ----------------------------------------------------------------------------------------------- missing, sampling

    def impute(self, X: Any, n_draws: int | None = None, random_state: RandomState = None) -> Any:
        """X with its missing cells filled, the class of each row being unknown.

        Means are sum_k p(k | x_o) E[x_m | x_o, k]. A draw takes a class from p(k | x_o), then the cells from it.

        Parameters
        ----------
        X : table, array or images of n rows
        n_draws : int, optional
            Number of completed tables.
        random_state : int, Generator, RandomState or None
            Seed of the draws.

        Returns
        -------
        same type, columns and order as X; a list of ``n_draws`` of them where ``n_draws`` is given
        """
        check_is_fitted(self)
        A = self.encoder_.numeric(X)
        joint = self._log_joint_numeric(A)
        weights = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        if n_draws is None:
            mean = sum(w[:, None] * g.impute(A) for w, g in zip(weights.T, self._gaussians, strict=True))
            return self._completed(X, np.where(np.isnan(A), mean, A))
        rng = self._rng(random_state)
        return [self._completed(X, self._draw(A, weights, rng)) for _ in range(checked_count(n_draws, "n_draws"))]

    def _draw(self, A: Floats, weights: Floats, rng: np.random.Generator) -> Floats:
        codes = _draw_codes(weights, rng)
        drawn = A.copy()
        for k, gaussian in enumerate(self._gaussians):
            rows = codes == k
            drawn[rows] = gaussian.impute_draws(A[rows], 1, rng)[0]
        return drawn

    def _completed(self, X: Any, numeric: Floats) -> Any:
        return self.encoder_.fill(X, self.encoder_.encoded_from_numeric(numeric))

    def sample(self, n: int = 1, y: Any = None, random_state: RandomState = None) -> Any:
        """Draw new rows: a class from the priors (or as given), z from N(0, I), x given both.

        Parameters
        ----------
        n : int
        y : label, or array-like of n labels, optional
            Classes of the rows.
        random_state : int, Generator, RandomState or None
            None: that of the estimator.

        Returns
        -------
        same type as the X of ``fit``, n rows

        Raises
        ------
        ValueError
            If a label is none of ``classes_``, or y has another length than n.
        """
        check_is_fitted(self)
        n = checked_count(n, "n")
        rng = self._rng(random_state)
        if y is None:
            codes = _draw_codes(np.broadcast_to(self.class_prior_, (n, len(self.classes_))), rng)
        else:
            codes = self._codes_of(y, n)
        A = np.empty((n, len(self.scale_)))
        for k, gaussian in enumerate(self._gaussians):
            A[codes == k] = gaussian.sample(int((codes == k).sum()), rng)
        return self.encoder_.from_numeric(A)

    def _codes_of(self, y: Any, n: int) -> NDArray[np.intp]:
        labels = np.asarray(y)
        if labels.ndim == 0:
            labels = np.full(n, labels[()], dtype=labels.dtype)
        if labels.shape != (n,):
            raise ValueError(f"y has shape {labels.shape}, but one label or {n} of them are expected.")
        same = labels[:, None] == self.classes_[None, :]
        if not same.any(axis=1).all():
            row = int(np.argmin(same.any(axis=1)))
            raise ValueError(f"y, row {row}, is {labels[row]!r}: choose among the classes {self.classes_.tolist()}.")
        return same.argmax(axis=1)

    def exact_moments(self) -> tuple[Floats, Floats]:
        """E[x] and E[x x'] of the numeric columns under the model, the class being unknown.

        Returns
        -------
        mean : ndarray of shape (D,)
        second : ndarray of shape (D, D)
        """
        check_is_fitted(self)
        means = np.array([gaussian.mean for gaussian in self._gaussians])
        second = np.einsum("k,ki,kj->ij", self.class_prior_, means, means)
        for weight, gaussian in zip(self.class_prior_, self._gaussians, strict=True):
            second += weight * gaussian.covariance()
        return self.class_prior_ @ means, second

    def gaussian_components(self) -> tuple[Floats, Floats, list[Floats], list[Floats]]:
        """The model of the numeric columns as a mixture of one Gaussian N(mean, W W' + diag(noise)) for each class.

        Returns
        -------
        weights : ndarray of shape (K,)
        means : ndarray of shape (K, D)
        loadings : list of K ndarrays of shape (D, M)
        noise : list of K ndarrays of shape (D,)
        """
        check_is_fitted(self)
        means = np.array([gaussian.mean for gaussian in self._gaussians])
        loadings = [gaussian.loadings for gaussian in self._gaussians]
        return self.class_prior_, means, loadings, [gaussian.noise for gaussian in self._gaussians]

    # ----------------------------------------------------------------------------------------------------- internals

    def _rng(self, random_state: RandomState) -> np.random.Generator:
        return as_generator(self.random_state if random_state is None else random_state)

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        state = {
            "classes": self.classes_,
            "noise_variances": [model.noise_variance for model in self.models_],
            "n_iter": self.n_iter_,
            "fit_time": self.fit_time_,
        }
        arrays = {"class_prior": self.class_prior_, "scale": self.scale_}
        for k, model in enumerate(self.models_):
            arrays[f"mean.{k}"], arrays[f"loadings.{k}"] = model.mean, model.loadings
        return state, arrays

    def _restore(self, state: dict[str, Any], arrays: dict[str, Any]) -> None:
        models = [
            LinearGaussian(arrays[f"mean.{k}"], arrays[f"loadings.{k}"], noise_variance)
            for k, noise_variance in enumerate(state["noise_variances"])
        ]
        self.classes_, self.class_prior_ = state["classes"], arrays["class_prior"]
        if not len(models) == len(self.classes_) == len(self.class_prior_):
            raise ValueError(f"there are {len(models)} models, {len(self.classes_)} classes")
        if any(model.n_features != self.encoder_.n_numeric for model in models):
            raise ValueError(f"the models do not have the {self.encoder_.n_numeric} columns of the encoder")
        self._set_models(models, arrays["scale"])
        self.n_iter_, self.fit_time_ = int(state["n_iter"]), float(state["fit_time"])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        return tags


def _draw_codes(weights: Floats, rng: np.random.Generator) -> NDArray[np.intp]:
    """One class per row, with the probabilities in the rows of ``weights`` (n, K)."""
    below = np.cumsum(weights, axis=1) < rng.random((len(weights), 1))
    return np.minimum(below.sum(axis=1), weights.shape[1] - 1)


def _pooled_variance(scaled: Floats, codes: NDArray[np.intp], magnitude: float) -> float:
    """Variance of a cell around the mean of its class and column, unbiased, over all classes."""
    squares, freedom = 0.0, 0
    for k in range(int(codes.max()) + 1):
        part = scaled[codes == k]
        squares += float(np.nansum((part - np.nanmean(part, axis=0)) ** 2))
        freedom += int((~np.isnan(part)).sum()) - part.shape[1]
    return max(squares / max(freedom, 1), noise_floor(float(np.nanvar(scaled, axis=0).sum()), magnitude))
