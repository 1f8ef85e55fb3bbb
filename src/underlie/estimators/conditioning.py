"""A fitted graph, asked about rows of data in chunks of bounded memory: what gradient-learned estimators share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

from underlie.data import Encoded, Encoder, as_source
from underlie.data.sources import is_source
from underlie.distributions import Categorical
from underlie.graph import Batch, LatentModel, Weighted, log_weights, query
from underlie.warnings import ImportanceSamplingWarning, warn

Floats = NDArray[np.float64]
#: By label, its encoded values (n, 1) and in which rows it was seen (n, 1).
Labels = Mapping[str, tuple[Floats, NDArray[np.bool_]]]

#: Numbers per chunk and variable; bounds the memory of scoring and imputing.
_CHUNK = 1 << 22
#: A row whose Pareto shape is above this is not estimated dependably (Vehtari et al., 2024).
_POOR_PARETO_K = 0.7
#: Share of such rows from which a warning is raised.
_POOR_SHARE = 0.1

#: Share of draws that come from the prior for a row of nothing observed; for others in proportion to what is missing.
_PRIOR_SHARE = 0.5


@final
@dataclass(frozen=True)
class Chunk:
    """Some rows, encoded: which rows of X, their values, and which cells of them were observed."""

    rows: slice
    batch: Batch
    observed: NDArray[np.bool_] | None


@final
@dataclass(frozen=True)
class Evidence:
    """Importance-sampling estimates of log p(x) and how far to trust them, one entry per row.

    Attributes
    ----------
    value : array (n,)
        log p(x_obs), in nats on the scale of the data.
    se : array (n,)
        Monte-Carlo standard error.
    ess : array (n,)
        Effective number of draws.
    pareto_k : array (n,)
        Pareto shape of the weights; above 0.7 the row is not to be trusted. NaN from fewer than 25 draws.
    """

    value: Floats
    se: Floats
    ess: Floats
    pareto_k: Floats


@final
class Conditioner:
    """Encoding, decoding, scoring, conditioning and sampling with a fitted model of one replicate.

    Parameters
    ----------
    encoder : Encoder
        Between the user's rows and encoded values.
    model : LatentModel
        One replicate, a copy of its own; its variable ``x`` holds the rows, ``z`` the latent variables.
    """

    def __init__(self, encoder: Encoder, model: LatentModel) -> None:
        self.encoder, self.model = encoder, model.requires_grad_(False)  # to answer takes no gradients
        self.head = model.generative["x"].head
        self.n_latent = model.generative["z"].head.width
        self.device = next(model.parameters()).device

    # ---- one direction at a time ----
    def encode(self, X: Any) -> tuple[Floats, Floats]:
        """Mean and variance of the guide q(z | x): (n, n_latent) each."""
        factor = self.model.inference["z"]
        parts = []
        for chunk in self.chunks(X, 1):
            raw = factor.raw(chunk.batch)
            parts.append((_rows(factor.head.mean(raw)), _rows(factor.head.variance(raw))))
        return np.concatenate([m for m, _ in parts]), np.concatenate([v for _, v in parts])

    def moments(self, z: Floats, order: int = 2, labels: Mapping[str, Floats] | None = None) -> tuple[Floats, ...]:
        """E[x | z] and the central moments given z (m, n_latent) up to an order, in numeric units: (m, P) each.

        ``labels`` are further parents of x, (m, width) each, where there are any.
        """
        head = self.head
        asked = (head.mean, head.variance, head.third_moment, head.fourth_moment)[:order]
        step = max(1, _CHUNK // self._width())
        parts = []
        for i in range(0, len(z), step):
            given = self.batch("z", z[i : i + step])
            for name, values in (labels or {}).items():
                given = _joined(given, self.batch(name, values[i : i + step]))
            raw = self._raw(given)
            if order > 2:  # third and fourth powers of large values overflow float32
                raw = raw if self.device.type == "mps" else raw.double()
            parts.append([_rows(moment(raw)) for moment in asked])
        moments = [np.concatenate(chunks) for chunks in zip(*parts, strict=True)]
        # A mean and a variance always exist; whether higher moments do is a matter of the column, not of z.
        wrong = np.flatnonzero(~np.logical_and.reduce([np.isfinite(m).all(1) for m in moments[:2]]))
        if len(wrong):
            raise ValueError(
                f"z, row {wrong[0]}, is {z[wrong[0]]}: not finite, or too far from the prior for a finite answer."
            )
        return self.encoder.numeric_moments(*moments)

    def sample(self, n: int, seed: int) -> Any:
        """n rows by ancestral sampling, as a container like the one fitted."""
        generator = torch.Generator(self.device).manual_seed(seed)
        step = max(1, _CHUNK // self._width())
        parts = []
        for i in range(0, n, step):
            drawn = self.model.generative.sample((1, 1, min(step, n - i)), generator)
            parts.append(_rows(drawn.values["x"]))
        return self.encoder.decode(np.concatenate(parts))

    # ---- given the rows ----
    def evidence(self, X: Any, n_importance: int, seed: int, labels: Labels | None = None) -> Evidence:
        """log p(x_obs), or log p(x_obs, labels), of each row by importance sampling from the guide."""
        parts: list[tuple[Floats, ...]] = []
        noise = self.noise(n_importance, seed)
        for chunk in self.chunks(X, n_importance, labels):
            scale = self.encoder.log_abs_det(chunk.observed, chunk.rows.stop - chunk.rows.start)
            log_w = log_weights(self.model, chunk.batch, noise, self._prior_share(chunk))  # labels are summed out
            weighted = Weighted(chunk.batch, log_w)
            found = weighted.log_evidence(), weighted.log_evidence_se(), weighted.ess(), weighted.pareto_k()
            value, *rest = (t[0].double().cpu().numpy() for t in found)
            parts.append((value + scale, *rest))
        evidence = Evidence(*(np.concatenate(p) for p in zip(*parts, strict=True)))
        _warn_if_poor(evidence.pareto_k)
        return evidence

    def posterior(self, X: Any, n_importance: int, seed: int) -> tuple[Floats, Floats]:
        """Mean and variance of z given what is observed in each row: (n, n_latent) each."""
        parts, shapes = [], []
        for _, weighted in self.condition(X, n_importance, seed):
            z = weighted.batch.values["z"]
            mean = weighted.mean(z)
            variance = weighted.mean((z - mean[:, None]) ** 2)
            parts.append((mean[0].double().cpu().numpy(), variance[0].double().cpu().numpy()))
            shapes.append(weighted.pareto_k()[0].cpu().numpy())
        _warn_if_poor(np.concatenate(shapes))
        return np.concatenate([m for m, _ in parts]), np.concatenate([v for _, v in parts])

    def expected(self, X: Any, n_importance: int, seed: int) -> Floats:
        """E[x | x_obs] of every cell, in numeric units: (n, P)."""
        parts, shapes = [], []
        for _, weighted in self.condition(X, n_importance, seed):
            of_chunk = weighted.mean(self.head.mean(self._raw(weighted.batch)))
            parts.append(of_chunk[0].double().cpu().numpy())
            shapes.append(weighted.pareto_k()[0].cpu().numpy())
        _warn_if_poor(np.concatenate(shapes))
        mean = np.concatenate(parts)
        return self.encoder.numeric_moments(mean, np.zeros_like(mean))[0]

    def draws(self, X: Any, n: int, n_importance: int, seed: int) -> Floats:
        """n draws of every cell from p(x | x_obs), encoded: (n, rows, columns)."""
        return self.joint_draws(X, n, n_importance, seed)[1]

    def joint_draws(self, X: Any, n: int, n_importance: int, seed: int) -> tuple[Floats, Floats]:
        """n draws from p(z, x | x_obs), x encoded: (n, rows, n_latent) and (n, rows, columns)."""
        generator = torch.Generator(self.device).manual_seed(seed)
        latent, rows, shapes = [], [], []
        for _, weighted in self.condition(X, max(n_importance, n), seed):
            drawn = weighted.resample(n, generator)
            latent.append(drawn.values["z"][0].double().cpu().numpy())
            rows.append(self.head.sample(self._raw(drawn), generator)[0].double().cpu().numpy())
            shapes.append(weighted.pareto_k()[0].cpu().numpy())
        _warn_if_poor(np.concatenate(shapes))
        return np.concatenate(latent, axis=1), np.concatenate(rows, axis=1)

    def impute(self, X: Any, n_copies: int | None, n_importance: int, seed: int) -> Any:
        """X with its missing cells at their best values, or ``n_copies`` of it with draws in their place."""
        encoded = self.encoder.encode(X)
        rows, holed = incomplete(encoded)
        if len(rows) == 0:
            drawn = np.empty((n_copies or 1, 0, self.encoder.n_columns))
        elif n_copies is None:
            drawn = self.encoder.encoded_from_numeric(self.expected(holed, n_importance, seed))[None]
        else:
            drawn = self.draws(holed, n_copies, n_importance, seed)
        completed, values = [], encoded.values.copy()
        for draw in drawn:
            values[rows] = draw
            completed.append(self.encoder.fill(X, values))
        return completed[0] if n_copies is None else completed

    def condition(self, X: Any, n_importance: int, seed: int) -> Iterator[tuple[Chunk, Weighted]]:
        """Weighted draws of z given each row's observed cells, chunk by chunk; the same draws for every row."""
        noise, generator = self.noise(n_importance, seed), torch.Generator(self.device).manual_seed(seed)
        ask = partial(query, self.model, n_draws=n_importance, noise=noise, generator=generator)
        for chunk in self.chunks(X, n_importance):
            yield chunk, ask(chunk.batch, prior_share=self._prior_share(chunk))

    def chunks(self, X: Any, n_draws: int, labels: Labels | None = None) -> Iterator[Chunk]:
        """X, encoded or yet to be, chunk by chunk, of a length that suits the number of draws per row."""
        step = max(1, _CHUNK // (self._width() * n_draws))
        source = as_source(X) if is_source(X) else None
        whole = X if isinstance(X, Encoded) else self.encoder.encode(X) if source is None else None
        n = len(source) if source is not None else len(whole or ())
        for start in range(0, n, step):
            rows = slice(start, min(n, start + step))
            if source is not None:
                encoded = self.encoder.encode(source[rows])
            else:
                assert whole is not None
                encoded = _some(whole, rows)
            batch = self.batch("x", encoded.values, encoded.observed)
            for name, (known, seen) in (labels or {}).items():
                batch = _joined(batch, self.batch(name, known[rows], seen[rows]))
            yield Chunk(rows, batch, encoded.observed)

    def batch(self, name: str, values: Floats, observed: NDArray[np.bool_] | None = None) -> Batch:
        """Rows of one variable, (n, width), as the graphs take them; a mask that hides nothing is left out."""
        rows = torch.as_tensor(values, dtype=torch.float32, device=self.device)[None, None]
        if observed is None or (name != "x" and observed.all()):
            return Batch({name: rows})
        return Batch({name: rows}, {name: torch.as_tensor(observed, device=self.device)[None, None]})

    def noise(self, n_draws: int, seed: int) -> dict[str, torch.Tensor]:
        """Quasi-random draws for each continuous latent variable, those of all variables jointly even."""
        latent = {f.name: f.head.width for f in self.model.inference if hasattr(f.head, "rsample")}
        draws = normal_draws(n_draws, sum(latent.values()), seed).to(self.device)
        return dict(zip(latent, draws.split(list(latent.values()), dim=-1), strict=True))

    def _prior_share(self, chunk: Chunk) -> torch.Tensor | None:
        """Share of each row's draws that come from the prior, which of less observed rows tells more; None without."""
        if chunk.observed is None:
            return None
        missing = 1.0 - chunk.observed.mean(axis=1)
        return torch.as_tensor(_PRIOR_SHARE * missing, dtype=torch.float32, device=self.device)

    def _raw(self, given: Batch) -> torch.Tensor:
        return self.model.generative["x"].raw(given)

    def _width(self) -> int:
        """Numbers per row and draw where the model is widest, roughly, all classes of its labels together."""
        classes = math.prod(f.head.n_raw for f in self.model.inference if isinstance(f.head, Categorical))
        return max(self.head.n_raw, self.head.n_coordinates, self.head.n_features, 64) * classes


def _joined(batch: Batch, other: Batch) -> Batch:
    """Two batches of the same rows."""
    return Batch({**batch.values, **other.values}, {**batch.observed, **other.observed})


def incomplete(encoded: Encoded) -> tuple[NDArray[np.intp], Encoded]:
    """Rows with missing cells: their positions, and the rows."""
    if encoded.observed is None:
        return np.empty(0, dtype=np.intp), _some(encoded, slice(0, 0))
    rows = np.flatnonzero(~encoded.observed.all(axis=1))
    return rows, _some(encoded, rows)


def _some(encoded: Encoded, rows: slice | NDArray[np.intp]) -> Encoded:
    return Encoded(encoded.values[rows], None if encoded.observed is None else encoded.observed[rows])


def normal_draws(n_draws: int, width: int, seed: int) -> torch.Tensor:
    """Scrambled Sobol points as standard normal draws, the same for every row: (1, n_draws, 1, width).

    The same draws for every row make a row's result independent of the rows beside it, and differences between rows and
    between models precise; their low discrepancy covers the space better than independent draws would (Owen, 1998).
    """
    if width > qmc.Sobol.MAXDIM:
        return torch.randn(1, n_draws, 1, width, generator=torch.Generator().manual_seed(seed))
    sobol = qmc.Sobol(width, scramble=True, rng=np.random.default_rng(seed))
    points = sobol.random_base2(max(0, (n_draws - 1).bit_length()))[:n_draws]
    draws = ndtri(np.clip(points, 1e-9, 1 - 1e-9))
    return torch.as_tensor(draws, dtype=torch.float32).reshape(1, n_draws, 1, width)


def _warn_if_poor(pareto_k: Floats) -> None:
    poor = float(np.mean(pareto_k > _POOR_PARETO_K))
    if poor > _POOR_SHARE:
        warn(
            f"importance sampling is not dependable for {poor:.0%} of the rows (Pareto k above {_POOR_PARETO_K}); "
            "if they are few, raise n_importance; if many, take fewer latent dimensions or wider hidden layers. "
            "(more: underlie explain pareto-k)",
            ImportanceSamplingWarning,
        )


def _rows(tensor: torch.Tensor) -> Floats:
    """(1, 1, B, k) as an array (B, k)."""
    array: Floats = tensor[0, 0].double().cpu().numpy()
    return array
