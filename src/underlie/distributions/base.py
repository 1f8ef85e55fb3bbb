"""What every likelihood head offers, and the few operations on tensors that they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Likelihood(nn.Module, ABC):
    r"""A conditional distribution of ``width`` columns, fed by ``n_raw`` numbers per row from a network.

    .. math:: p(x \mid \mathrm{raw}) = \prod_j p_j(x_j \mid \mathrm{raw}, \theta), \qquad
              \theta \text{ free parameters of the head}

    Every tensor has the shape (R, S..., B, columns): replicates, samples, rows, columns; leading axes broadcast.
    Free parameters and fitted constants have the shape (R, k), so that heads of R replicates are heads of one
    replicate, concatenated.

    Attributes
    ----------
    width : int
        Columns of the encoded variable.
    n_raw : int
        Numbers per row that the network supplies.
    n_coordinates, n_features : int
        Columns of ``mean`` and the central moments, and of ``features``: one for each column, but K for a categorical
        one with K levels.
    coordinates_per_column, features_per_column : tuple of int
        The same, column by column.

    Parameters
    ----------
    width : int
        Columns of the variable.
    n_raw : int
        Numbers per row from the network.
    coordinates_per_column : sequence of int, optional
        Length ``width``; one each by default.
    features_per_column : sequence of int, optional
        Length ``width``; as ``coordinates_per_column`` by default.
    """

    def __init__(
        self,
        width: int,
        n_raw: int,
        coordinates_per_column: Sequence[int] | None = None,
        features_per_column: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(width, bool) or not isinstance(width, int) or width < 1:
            raise ValueError(f"width must be a positive whole number of columns, got {width!r}.")
        self.width = width
        self.n_raw = n_raw
        self.coordinates_per_column = (
            tuple(coordinates_per_column) if coordinates_per_column is not None else (1,) * width
        )
        self.features_per_column = (
            tuple(features_per_column) if features_per_column is not None else self.coordinates_per_column
        )
        self.n_coordinates = sum(self.coordinates_per_column)
        self.n_features = sum(self.features_per_column)

    @property
    def location_family(self) -> tuple[bool, ...]:
        """For each column, whether the network only moves its distribution: x - E[x | raw] has one law for all rows."""
        return (False,) * self.width

    @property
    def exclusive(self) -> list[list[int]]:
        """Groups of coordinates of which exactly one is 1: within a group E[x_i x_j | z] = 0 for i ≠ j."""
        return []

    @abstractmethod
    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """Log-density or log-probability of each cell, in nats on the encoded scale.

        Parameters
        ----------
        raw : Tensor (..., B, n_raw)
            Output of the network.
        x : Tensor (..., B, width)
            Encoded values; leading axes broadcast against those of ``raw``.

        Returns
        -------
        Tensor (..., B, width)
        """

    def row_log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """Log-density of a whole row, the sum of its cells' `log_prob`: (..., B)."""
        return self.log_prob(raw, x).sum(-1)

    @abstractmethod
    def mean(self, raw: Tensor) -> Tensor:
        """E[x | raw] of each coordinate, (..., B, n_coordinates), in encoded units."""

    @abstractmethod
    def variance(self, raw: Tensor) -> Tensor:
        """Var[x | raw] of each coordinate, (..., B, n_coordinates), in squared encoded units."""

    def third_moment(self, raw: Tensor) -> Tensor:
        """E[(x - E x)^3 | raw] of each coordinate, (..., B, n_coordinates), in cubed encoded units.

        NaN where the distribution has no such moment. Powers of the largest values that a head can express overflow
        float32: give ``raw`` in float64 where they matter. Distributions of times to an event refuse: their outcomes
        are censored, so there is no moment of data to hold theirs against.
        """
        raise NotImplementedError(f"{type(self).__name__} states no moments beyond mean and variance.")

    def fourth_moment(self, raw: Tensor) -> Tensor:
        """E[(x - E x)^4 | raw] of each coordinate, (..., B, n_coordinates), in encoded units to the fourth.

        Infinite where the distribution has no such moment; otherwise as `third_moment`.
        """
        raise NotImplementedError(f"{type(self).__name__} states no moments beyond mean and variance.")

    @abstractmethod
    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of every cell, (..., B, width), in encoded units; the generator is on the device of ``raw``."""

    @abstractmethod
    def features(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """What a network that has this variable as a parent should see: of order one, 0 where missing.

        Parameters
        ----------
        x : Tensor (..., B, width)
            Encoded values.
        observed : bool Tensor (..., B, width), optional
            False where a cell is missing.

        Returns
        -------
        Tensor (..., B, n_features)
        """

    @abstractmethod
    def start(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Fit the marginal distribution by the method of moments; set the free parameters of all replicates by it.

        Parameters
        ----------
        x : Tensor (n, width)
            Encoded rows.
        observed : bool Tensor (n, width), optional
            False where a cell is missing.

        Returns
        -------
        Tensor (n_raw,)
            Raw values of the marginal distribution: the bias to start the network's last layer with.
        """

    @abstractmethod
    def raw_from_mean(self, mean: Tensor) -> Tensor | None:
        """The link: raw values whose mean is the one given (clipped to what the head can express).

        Parameters
        ----------
        mean : Tensor (..., n_coordinates)
            Means of the coordinates, from a linear model perhaps, hence possibly out of range.

        Returns
        -------
        Tensor (..., n_raw), or None where no sensible link exists
        """

    @abstractmethod
    def notation(self, parents: str) -> str:
        """The distribution in mathematical notation, given the names of the parents: ``"Normal(mu(z), sigma_j^2)"``."""

    def extra_repr(self) -> str:
        return f"{self.width}"


def across_rows(parameter: Tensor, ndim: int) -> Tensor:
    """A parameter (R, ...) shaped to broadcast against values (R, S..., B, ...) of ``ndim`` axes, columns included."""
    replicates = parameter.shape[0]
    if replicates == 1:  # trailing axes broadcast by themselves, which saves an operation in every step
        return parameter[0] if ndim == 1 or parameter.ndim > 2 else parameter
    return parameter.view(replicates, *(1,) * (ndim - 2), *parameter.shape[1:])


def lifted(raw: Tensor, x: Tensor) -> Tensor:
    """Raw values (R, ..., B, n_raw) given the axes that x has more, after the replicates.

    The constant raw of a variable without parents meets values with any number of sample axes.
    """
    missing = x.ndim - raw.ndim
    if missing <= 0 or raw.ndim < 3:
        return raw
    return raw.view(raw.shape[0], *(1,) * missing, *raw.shape[1:])


def where_observed(features: Tensor, observed: Tensor | None) -> Tensor:
    """Features with 0 in missing cells."""
    return features if observed is None else torch.where(observed, features, 0.0)


def fill(parameter: Tensor, value: Tensor) -> None:
    """Set a parameter or buffer (R, k) to the value (k,) or scalar in every replicate."""
    with torch.no_grad():
        parameter.copy_(value.to(parameter))


def uniform(shape: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform draws on [0, 1) on the device and of the type of ``like``."""
    return torch.rand(tuple(shape), generator=generator, dtype=like.dtype, device=like.device)


def standard_normal(shape: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal draws on the device and of the type of ``like``."""
    return torch.randn(tuple(shape), generator=generator, dtype=like.dtype, device=like.device)


# torch.sigmoid, softplus, logaddexp and atanh may differ in the last bit with an element's place in memory, because
# their vector and scalar code differ, and so with the replicates that stand beside it. These compositions do not.


def logistic(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), precise in both tails."""
    return F.logsigmoid(x).exp()


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x))."""
    return -F.logsigmoid(-x)


def of(symbol: str, parents: str) -> str:
    """A function's name and arguments, ``mu(z)``; the bare symbol where there are no parents."""
    return f"{symbol}({parents})" if parents else symbol
