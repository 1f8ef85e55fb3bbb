r"""A start from probabilistic PCA: nonlinear models begin where the exact linear one ends.

The pPCA of the standardised coordinates gives E[x | z] = c + z W and E[z | x]. A decoder that computes the link of the
former and an encoder that computes the latter make a model at least as good as the linear one before its first step;
training can only add to it. It is also a cure for posterior collapse, which begins with latent variables that carry
nothing (Lucas et al., 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from underlie.distributions import Likelihood
from underlie.models.ppca import LinearGaussian, fit_closed_form, fit_em
from underlie.nn import MLP, Read
from underlie.nn.conv import ConvDecoder

#: Rows that the start looks at; more would not change it.
START_ROWS = 5_000
_RIDGE = 1e-3
#: How far features, which come in float32, may lie from their coordinates, in standard deviations of these.
_ROUNDING = 1e-4


@final
@dataclass(frozen=True)
class LinearStart:
    """Weights and biases of a linear encoder and decoder, for `underlie.nn.MLP.start_linear`.

    Attributes
    ----------
    encoder_weight, encoder_bias : Tensor (features, 2 M), (2 M,)
        What the encoder reads -> mean and log standard deviation of z. Further rows are those of labels.
    decoder_weight, decoder_bias : Tensor (M, n_raw), (n_raw,)
        z -> raw numbers of the likelihood. Further rows are those of labels.
    """

    encoder_weight: Tensor
    encoder_bias: Tensor
    decoder_weight: Tensor
    decoder_bias: Tensor

    def apply(self, encoder: nn.Module, decoder: nn.Module) -> None:
        """Start those networks that can carry the linear maps; others keep their own starting weights."""
        if isinstance(encoder, MLP):
            encoder.start_linear(self.encoder_weight, self.encoder_bias)
        if isinstance(decoder, (MLP, ConvDecoder)):
            decoder.start_linear(self.decoder_weight, self.decoder_bias)


def linear_start(
    head: Likelihood,
    read: Read,
    values: Tensor,
    observed: Tensor | None,
    coordinates: NDArray[np.float64],
    n_latent: int,
    labels: Sequence[NDArray[np.float64]] = (),
) -> LinearStart:
    """Start of a VAE from the pPCA of its data, or of what labels leave unexplained of it.

    Parameters
    ----------
    head : Likelihood
        p(x | z); its free parameters are set to the marginal distribution.
    read : Read
        What the encoder reads of x.
    values, observed : Tensor (n, columns)
        Encoded rows and their mask.
    coordinates : array (n, P)
        The same rows as the head's coordinates (indicators for categoricals), NaN where missing.
    n_latent : int
        Dimension M of z. Dimensions beyond the rank of the data start as noise.
    labels : sequence of array (n, K)
        Features of each label of the rows (indicators of classes). Decoders that read them after z, and encoders that
        read them after x, start at their linear effects: else z alone would say everything in the beginning.
    """
    marginal = head.start(values, observed)
    scale = _spread(coordinates)
    scale = np.where(scale > 1e-6, scale, 1.0)
    standard = coordinates / scale
    design = np.column_stack([np.empty((len(standard), 0)), *labels])
    effects = _effects(design, standard)
    if labels:
        standard -= (design - design.mean(0)) @ effects
    pca = _fit(standard, min(n_latent, standard.shape[1] - 1, len(standard) - 2))
    rank = 0 if pca is None else pca.loadings.shape[1]
    if pca is None or rank == 0:
        zeros = torch.zeros(read.width, 2 * n_latent), torch.zeros(2 * n_latent)
        return LinearStart(*zeros, torch.zeros(n_latent, head.n_raw), marginal)
    weight, bias = _encoder(pca, read, values, observed, standard, n_latent, design)
    slope, centre = _decoder(head, marginal, pca, scale, n_latent)
    if labels:
        slope = torch.cat([slope, _label_slopes(head, pca, scale, labels, effects)])
    if np.any(head.location_family):
        head.start(_without_fit(head, values, pca, standard, scale), observed)
    return LinearStart(weight, bias, slope, centre)


def _without_fit(
    head: Likelihood, values: Tensor, pca: LinearGaussian, standard: NDArray[np.float64], scale: NDArray[np.float64]
) -> Tensor:
    """The values less what the linear model explains, where a distribution is only moved by the network.

    Its spread is then fitted to what z leaves unexplained. The residuals are those about a draw of z, not about its
    mean: they are widened by the posterior's own spread.
    """
    location = np.array(head.location_family)
    first = np.cumsum([0, *head.coordinates_per_column])[:-1][location]
    mean, covariance = pca.posterior(standard)
    loadings = pca.loadings[first]
    residual = (standard[:, first] - pca.mean[first]) - mean @ loadings.T
    around = np.einsum("jm,mk,jk->j", loadings, np.atleast_3d(covariance.mean(0))[..., 0], loadings)
    left = np.nanvar(residual, axis=0)
    widened = residual * np.sqrt(1.0 + around / np.maximum(left, 1e-12))
    moved = values.clone()
    columns = torch.as_tensor(np.flatnonzero(location))
    unexplained = (pca.mean[first] + np.nan_to_num(widened)) * scale[first]
    moved[:, columns] = torch.as_tensor(unexplained, dtype=values.dtype)
    return moved


def _fit(standard: NDArray[np.float64], rank: int) -> LinearGaussian | None:
    if rank < 1:
        return None
    if np.isnan(standard).any():
        return fit_em(standard, rank, tol=1e-4, max_iter=200).model
    return fit_closed_form(standard, rank)


def _encoder(
    pca: LinearGaussian,
    read: Read,
    values: Tensor,
    observed: Tensor | None,
    standard: NDArray[np.float64],
    n_latent: int,
    design: NDArray[np.float64],
) -> tuple[Tensor, Tensor]:
    """The best linear predictor of E[z | x] from what the encoder reads, and the average posterior spread."""
    features = read(values, observed).reshape(len(values), -1).double().numpy()
    if design.shape[1]:
        features = np.column_stack([features, design])
    predictor = _exact_predictor(pca, features, standard) or _fitted_predictor(pca, features, standard)
    rank = pca.n_components
    weight, bias = np.zeros((features.shape[1], 2 * n_latent)), np.zeros(2 * n_latent)
    weight[:, :rank] = predictor.slope
    bias[:rank] = predictor.constant
    bias[n_latent : n_latent + rank] = 0.5 * np.log(np.clip(predictor.spread, 1e-4, 1.0))
    return torch.as_tensor(weight, dtype=torch.float32), torch.as_tensor(bias, dtype=torch.float32)


@dataclass(frozen=True)
class _Predictor:
    """E[z | x] as a linear function of features, and the variance of z about it: (p, k), (k,), (k,)."""

    slope: NDArray[np.float64]
    constant: NDArray[np.float64]
    spread: NDArray[np.float64]


def _exact_predictor(
    pca: LinearGaussian, features: NDArray[np.float64], standard: NDArray[np.float64]
) -> _Predictor | None:
    """The posterior itself, where rows are complete and each feature is its coordinate, moved and scaled; else None."""
    if features.shape != standard.shape or not np.isfinite(standard.sum()):
        return None
    moved, centred = features - features.mean(0), standard - standard.mean(0)
    squares = np.einsum("ij,ij->j", centred, centred)
    varies = squares > 1e-12 * len(standard)
    per_unit = np.einsum("ij,ij->j", moved, centred) / np.where(varies, squares, 1.0)
    if not per_unit[varies].all():
        return None
    centred *= per_unit
    centred -= moved
    far = np.maximum(centred.max(0), -centred.min(0))
    if (far[varies] > _ROUNDING * np.abs(per_unit[varies])).any():
        return None
    precision = pca.loadings.T @ pca.loadings / pca.noise_variance + np.eye(pca.n_components)
    to_z = np.linalg.solve(precision, pca.loadings.T / pca.noise_variance).T
    slope = np.where(varies, 1.0 / np.where(varies, per_unit, 1.0), 0.0)[:, None] * to_z
    constant = (standard.mean(0) - pca.mean) @ to_z - features.mean(0) @ slope
    return _Predictor(slope, constant, np.diag(np.linalg.inv(precision)))


def _fitted_predictor(pca: LinearGaussian, features: NDArray[np.float64], standard: NDArray[np.float64]) -> _Predictor:
    """Ridge regression of the posterior means on the features."""
    mean, covariance = pca.posterior(standard)
    centre = features.mean(0)
    x = features - centre
    slope = _ridge(x, mean - mean.mean(0))
    # What the linear predictor misses of E[z | x] is added to the spread, so that q covers the posterior.
    missed = np.mean((mean - mean.mean(0) - x @ slope) ** 2, axis=0)
    spread = np.diagonal(covariance, axis1=-2, axis2=-1).mean(0) + missed
    return _Predictor(slope, mean.mean(0) - centre @ slope, spread)


def _spread(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation of the observed cells of each column."""
    # NumPy's way past missing cells takes three times as long, and of none missing there is nothing to pass by.
    complete = np.isfinite(coordinates.sum())
    return np.asarray(np.std(coordinates, axis=0) if complete else np.nanstd(coordinates, axis=0))


def _effects(design: NDArray[np.float64], standard: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear effects of the labels' features on each coordinate, (k, P)."""
    if not design.shape[1]:
        return np.zeros((0, standard.shape[1]))
    filled = np.nan_to_num(standard - np.nanmean(standard, axis=0))
    return _ridge(design - design.mean(0), filled)


def _label_slopes(
    head: Likelihood,
    pca: LinearGaussian,
    scale: NDArray[np.float64],
    labels: Sequence[NDArray[np.float64]],
    effects: NDArray[np.float64],
) -> Tensor:
    """What each feature of the labels adds to the raw numbers at z = 0, by the link: (k, n_raw)."""
    blocks = effects * scale
    moved, first = [], 0
    for features in labels:
        own = blocks[first : first + features.shape[1]]
        first += features.shape[1]
        # An indicator moves from the mean of its group to one; a number moves by one.
        moved.append(own - features.mean(0) @ own if features.shape[1] > 1 else own)
    centre = torch.as_tensor(pca.mean * scale, dtype=torch.float32)
    shifted = head.raw_from_mean(centre + torch.as_tensor(np.concatenate(moved), dtype=torch.float32))
    at_centre = head.raw_from_mean(centre)
    if shifted is None or at_centre is None:
        return torch.zeros(len(blocks), head.n_raw)
    return (shifted - at_centre).reshape(len(blocks), -1)


def _ridge(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ridge regression of y (n, k) on x (n, p), both centred: (p, k), from the smaller of the two Gram matrices."""
    n, p = x.shape
    if p <= n:
        slope: NDArray[np.float64] = np.linalg.solve(x.T @ x / n + _RIDGE * np.eye(p), x.T @ y / n)
        return slope
    return np.asarray(x.T @ np.linalg.solve(x @ x.T / n + _RIDGE * np.eye(n), y / n))


def _decoder(
    head: Likelihood, marginal: Tensor, pca: LinearGaussian, scale: NDArray[np.float64], n_latent: int
) -> tuple[Tensor, Tensor]:
    """The link of c + z W, made linear by its secant over one standard deviation of each z."""
    centre = torch.as_tensor(pca.mean * scale, dtype=torch.float32)
    loadings = torch.as_tensor(pca.loadings * scale[:, None], dtype=torch.float32).T  # (rank, P)
    weight = torch.zeros(n_latent, head.n_raw)
    above, below = head.raw_from_mean(centre + 0.5 * loadings), head.raw_from_mean(centre - 0.5 * loadings)
    at_centre = head.raw_from_mean(centre)
    if above is None or below is None or at_centre is None:
        return weight, marginal
    weight[: len(loadings)] = (above - below).reshape(len(loadings), -1)
    return weight, at_centre.reshape(-1)
