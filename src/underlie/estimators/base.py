"""What every estimator shares: checking X through the encoder, the mean score, saving."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self, TypeGuard, final

import narwhals as nw
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags

from underlie.data.encoder import Encoder
from underlie.data.rules import Kinds
from underlie.data.schema import Schema


@final
@dataclass(frozen=True, eq=False)
class Posterior:
    """Distribution of the latent variables of each row, given what is observed in it.

    Attributes
    ----------
    mean : ndarray of shape (n, M)
    variance : ndarray of shape (n, M)
    covariance : ndarray of shape (n, M, M) or None
        None where the model gives the variances only.
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    covariance: NDArray[np.float64] | None = None


class Estimator(ABC, BaseEstimator):
    """Base of every estimator of this package.

    It holds no model. It fits the encoder, checks later tables against it, and saves. Classes that inherit from it are
    final, or abstract.

    Attributes
    ----------
    encoder_ : Encoder
        Turns tables, arrays or images into numbers and back.
    schema_ : Schema
        What was found in the columns of X.
    n_features_in_ : int
        Number of columns of X, or of pixels of one image.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Names of the columns; only after fitting a table whose columns are named by strings.
    fit_time_ : float
        Seconds that ``fit`` took.
    """

    encoder_: Encoder
    schema_: Schema
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    fit_time_: float

    @abstractmethod
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the model to the rows of X."""

    @abstractmethod
    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Everything that ``fit`` learned beside the encoder: plain values, and named arrays or tensors."""

    @abstractmethod
    def _restore(self, state: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Set the fitted attributes from what :meth:`_state` gave; ValueError where it does not fit."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, which ``underlie.load`` reads.

        Parameters
        ----------
        path : path
            An existing file is replaced, only once the new one is complete.

        Raises
        ------
        NotFittedError
            If the model was not fitted.
        FileNotFoundError
            If the folder does not exist.
        """
        from underlie.estimators.persistence import save

        save(self, path)

    def _fit_encoder(self, X: Any, kinds: Kinds = None) -> None:
        """Fit the encoder to X, which checks it, and set the attributes that describe it."""
        self._describe(Encoder.fit(X, kinds), _string_names(X))

    def _describe(self, encoder: Encoder, names: list[str] | None) -> None:
        self.encoder_ = encoder
        self.schema_ = encoder.schema
        self.n_features_in_ = int(np.prod(encoder.row_shape))
        if names is not None:
            self.feature_names_in_ = np.asarray(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _adopt(self, encoder: dict[str, Any], names: list[str] | None) -> None:
        """Take the encoder from a file instead of from data."""
        self._describe(Encoder.from_json(encoder), names)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.three_d_array = True
        return tags


class LatentVariableModel(Estimator):
    """Base of the estimators that give a density to rows: averages the score."""

    @abstractmethod
    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Log-likelihood of each row, in nats on the scale of the data."""

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log-likelihood per row, in nats.

        Parameters
        ----------
        X : table, array or images of n rows
            NaN or null where missing; only what is observed counts.
        y : ignored
            Here for scikit-learn's conventions.

        Returns
        -------
        float
            The mean of :meth:`score_samples`.
        """
        return float(np.mean(self.score_samples(X)))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "density_estimator"
        return tags


def _string_names(X: Any) -> list[str] | None:
    """Column names of a table, where all of them are strings."""
    if not nw.dependencies.is_into_dataframe(X):
        return None
    names = list(nw.from_native(X, eager_only=True).columns)
    return names if names and all(isinstance(n, str) for n in names) else None


def as_generator(random_state: int | np.random.Generator | np.random.RandomState | None) -> np.random.Generator:
    """A NumPy Generator from a seed, a Generator (used as it is), a RandomState (which moves on), or None (fresh).

    Raises
    ------
    TypeError
        If it is something else.
    """
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(0, 2**31, size=4))
    if isinstance(random_state, np.random.Generator) or random_state is None:
        return np.random.default_rng(random_state)
    if is_whole(random_state):
        if random_state < 0:
            raise ValueError(f"random_state must not be negative, got {random_state}.")
        return np.random.default_rng(int(random_state))
    raise TypeError(
        f"random_state must be an integer, a Generator, a RandomState or None, got a {type(random_state).__name__}."
    )


def checked_count(value: Any, name: str) -> int:
    """``value`` as an int of at least one.

    Raises
    ------
    ValueError, TypeError
        If it is not, naming the argument.
    """
    if not is_whole(value):
        raise TypeError(f"{name} must be a whole number, got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value!r}.")
    return int(value)


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether a value is an integer of Python or NumPy, and no boolean."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
