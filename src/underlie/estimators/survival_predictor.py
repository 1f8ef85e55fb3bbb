"""A fitted survival model, asked about patients in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from underlie.data import Encoded
from underlie.distributions import EventTime
from underlie.engine import few_threads
from underlie.estimators.conditioning import normal_draws
from underlie.graph import Batch, LatentModel, Weighted, query
from underlie.models.time_axis import TimeAxis

Floats = NDArray[np.float64]

#: Numbers per chunk, rows x draws x the larger of times and network widths: what a processor keeps near.
_CHUNK = 1 << 21
#: Numbers of a curve at a time: what its nearest cache holds several of.
_NEAR = 1 << 16
#: Log encoded times between which quantiles are sought, and halvings of that range: to 1e-6 of the time.
_FARTHEST, _BISECTIONS = 40.0, 27


@final
@dataclass(frozen=True)
class Patients:
    """Encoded rows: covariates, their terms, treatments."""

    x: Encoded
    terms: Floats
    t: Encoded | None

    def __len__(self) -> int:
        return len(self.x)

    def some(self, most: int) -> Patients:
        """At most so many of the rows, evenly spaced."""
        return self._rows(np.unique(np.linspace(0, len(self) - 1, min(len(self), most)).astype(int)))

    def parts(self, n: int) -> Iterator[Patients]:
        """All rows, at most n at a time."""
        for start in range(0, len(self), n):
            yield self._rows(np.arange(start, min(start + n, len(self))))

    def _rows(self, rows: NDArray[np.intp]) -> Patients:
        def of(e: Encoded) -> Encoded:
            return Encoded(e.values[rows], None if e.observed is None else e.observed[rows])

        return Patients(of(self.x), self.terms[rows], None if self.t is None else of(self.t))

    def with_treatment(self, t: Encoded | None) -> Patients:
        """The same patients under other treatments."""
        return Patients(self.x, self.terms, t)


@final
@dataclass(frozen=True)
class Quality:
    """How far importance sampling can be trusted, one entry per row: the worst over replicates.

    Attributes
    ----------
    ess : array (n,)
        Effective number of draws of a replicate.
    pareto_k : array (n,)
        Pareto shape of the weights; NaN from fewer than 25 draws.
    se : array (n,)
        Monte-Carlo standard error of the survival probability at the median time, averaged over replicates.
    """

    ess: Floats
    pareto_k: Floats
    se: Floats


@final
@dataclass(frozen=True)
class Mixture:
    """Some rows' predictive distribution: raw numbers of the outcome's head for each draw, with weights.

    Attributes
    ----------
    rows : slice
    raw : Tensor (R, S, B, n_raw)
    weights : Tensor (R, S, B)
        Sum to one over the draws.
    """

    rows: slice
    raw: Tensor
    weights: Tensor


@final
class Predictor:
    """Predictive distributions of the time to an event, mixtures over draws of z and over replicates.

    Parameters
    ----------
    model : LatentModel
        All replicates.
    axis : TimeAxis
        Between the user's times and encoded ones.
    n_draws : int
        Draws of z per row and replicate.
    seed : int
        Of the draws, which are the same for all rows.
    proposal : {"guide", "prior"}
        Where they come from.
    """

    def __init__(
        self, model: LatentModel, axis: TimeAxis, n_draws: int, seed: int, proposal: Literal["guide", "prior"] = "guide"
    ) -> None:
        self.model = model.requires_grad_(False)
        self.axis = axis
        head = model.generative["y"].head
        assert isinstance(head, EventTime)
        self.head = head
        self.n_draws, self.proposal = n_draws, proposal
        self.n_latent = model.generative["z"].head.width
        parameters = next(model.parameters())
        self.device, self.n_replicates = parameters.device, parameters.shape[0]
        # Each replicate has its own scrambling: errors of the draws average out over replicates too.
        noise = [normal_draws(n_draws, self.n_latent, seed + r) for r in range(self.n_replicates)]
        self.noise = torch.cat(noise).to(self.device)

    # ---- one number or curve per row, averaged over draws and replicates ----
    def survival(self, patients: Patients, times: Floats) -> Floats:
        """P(T > t) of each row: (n, n_times), or (n, 1) where ``times`` has shape (n, 1)."""
        return self._average(patients, times, _survival)

    def by_replicate(self, patients: Patients, times: Floats) -> Floats:
        """P(T > t) of each row by each replicate: (R, n, n_times)."""
        n_times = np.shape(times)[-1]
        found = np.empty((self.n_replicates, len(patients), n_times))
        with few_threads(self._operations(patients, n_times)):
            for mixture in self.mixtures(patients, n_times):
                values = self.head.log_survival(mixture.raw, self._encoded(times, mixture.rows)).exp()
                found[:, mixture.rows] = (mixture.weights[..., None] * values).sum(1).double().cpu().numpy()
        return found

    def density(self, patients: Patients, times: Floats) -> Floats:
        """f(t) per unit of the user's time, (n, n_times)."""
        encoded = self._average(patients, times, lambda head, raw, u: head.log_density(raw, u).exp())
        with np.errstate(divide="ignore"):
            slope = np.exp(self.axis.log_slope(np.maximum(times, np.finfo(float).tiny)))
        return encoded * slope

    def log_likelihood(self, patients: Patients, outcome: Floats) -> Floats:
        """log p(y | x, t) on the encoded scale, (n,)."""
        y = torch.as_tensor(outcome, dtype=torch.float32, device=self.device)
        found = np.empty(len(patients))
        with few_threads(self._operations(patients, 1)):
            for mixture in self.mixtures(patients, 1):
                terms = self.head.log_prob(mixture.raw, y[mixture.rows]).sum(-1)
                value = torch.logsumexp(torch.log(mixture.weights) + terms, (0, 1)) - np.log(self.n_replicates)
                found[mixture.rows] = value.double().cpu().numpy()
        return found

    def quantile(self, patients: Patients, p: Floats) -> Floats:
        """Times by which a share p has had the event, (n, n_p)."""
        found = np.empty((len(patients), len(p)))
        with few_threads(self._operations(patients, len(p))):
            for mixture in self.mixtures(patients, len(p)):
                found[mixture.rows] = self._inverse(partial(self._mean, mixture, of=_survival), mixture, p)
        return found

    def quantile_by_replicate(self, patients: Patients, p: float) -> Floats:
        """The same by each replicate alone, for one share: (R, n)."""
        found = np.empty((self.n_replicates, len(patients)))
        with few_threads(self._operations(patients, 1)):
            for mixture in self.mixtures(patients, 1):
                curve = partial(self._of_members, mixture, of=_survival)
                found[:, mixture.rows] = self._inverse(curve, mixture, np.array([p]), self.n_replicates)[..., 0]
        return found

    def _inverse(self, curve: Callable[[Tensor], Tensor], mixture: Mixture, p: Floats, *members: int) -> Floats:
        """Where falling curves of encoded time reach 1 - p, by bisection in log time: (..., B, n_p), the user's times.

        There is one curve for each row, or for each of some members and row.
        """
        goal = torch.as_tensor(1.0 - p, dtype=torch.float32, device=self.device)
        low = torch.full((*members, mixture.raw.shape[2], len(p)), -_FARTHEST, device=self.device)
        high = -low
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            above = curve(middle.exp()) > goal
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        return self.axis.decode(torch.exp(0.5 * (low + high)).double().cpu().numpy())

    def quality(self, patients: Patients, time: float) -> Quality:
        """Effective sample size, Pareto shape, and the error of the survival probability at a time."""
        u = torch.as_tensor(self.axis.encode(np.array([time])), dtype=torch.float32, device=self.device)
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        with few_threads(self._operations(patients, 1)):
            for _, batch in self._batches(patients, 1):
                parts.append(self._quality_of(self._query(batch), u))
        join = [np.concatenate([p[i].double().cpu().numpy() for p in parts]) for i in range(3)]
        return Quality(*join)

    def _quality_of(self, weighted: Weighted, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The least effective sample size, the worst Pareto shape, and the error of the ensemble's survival at u."""
        survival = self.head.log_survival(self.model.generative["y"].raw(weighted.batch), u).exp()[..., 0]
        w = weighted.weights()
        mean = (w * survival).sum(1, keepdim=True)
        se = torch.sqrt((w.square() * (survival - mean).square()).sum(1))
        of_mean = torch.sqrt(se.square().sum(0)) / se.shape[0]
        return weighted.ess().amin(0), weighted.pareto_k().amax(0), of_mean

    # ---- the distributions themselves ----
    def mixtures(self, patients: Patients, n_times: int) -> Iterator[Mixture]:
        """The predictive distribution of some rows at a time, so many that ``n_times`` numbers of each fit."""
        for rows, batch in self._batches(patients, n_times):
            weighted = self._query(batch)
            raw = self.model.generative["y"].raw(weighted.batch)
            weights = weighted.weights()
            yield Mixture(rows, raw.expand(*weights.shape, raw.shape[-1]), weights)

    def log_propensity(self, patients: Patients) -> Floats:
        """log p(t | x) of each row's own treatments, column by column: (n, columns)."""
        factor = self.model.generative["t"]
        parts = []
        for _, batch in self._batches(patients, 1):
            cells = factor.head.log_prob(factor.raw(batch), batch.values["t"])
            parts.append(cells[0, 0].double().cpu().numpy())  # the regression of treatments is one for all replicates
        return np.concatenate(parts)

    def expected_covariates(self, patients: Patients) -> Floats:
        """E[x | x_obs] of the head's coordinates, averaged over members: (n, n_coordinates)."""
        factor = self.model.generative["x"]
        parts = []
        for _, batch in self._batches(patients, factor.head.n_coordinates):
            weighted = self._query(batch)
            mean = weighted.mean(factor.head.mean(factor.raw(weighted.batch)))
            parts.append(mean.mean(0).double().cpu().numpy())
        return np.concatenate(parts)

    def guide(self, patients: Patients) -> tuple[Floats, Floats]:
        """Mean and variance of the first replicate's q(z | x), (n, M) each."""
        factor = self.model.inference["z"]
        parts = []
        for _, batch in self._batches(patients, 1):
            raw = factor.raw(batch)[:1]
            moments = factor.head.mean(raw), factor.head.variance(raw)
            parts.append([m[0, 0].double().cpu().numpy() for m in moments])
        return np.concatenate([m for m, _ in parts]), np.concatenate([v for _, v in parts])

    # ---- parts ----
    def _average(self, patients: Patients, times: Floats, of: Callable[[EventTime, Tensor, Tensor], Tensor]) -> Floats:
        n_times = np.shape(times)[-1]
        found = np.empty((len(patients), n_times))
        with few_threads(self._operations(patients, n_times)):
            for mixture in self.mixtures(patients, n_times):
                u = self._encoded(times, mixture.rows)
                found[mixture.rows] = self._mean(mixture, u, of).double().cpu().numpy()
        return found

    def _operations(self, patients: Patients, n_times: int) -> float:
        return float(len(patients)) * n_times * self.n_draws * self.n_replicates

    def _mean(self, mixture: Mixture, u: Tensor, of: Callable[[EventTime, Tensor, Tensor], Tensor]) -> Tensor:
        """Weighted mean over draws and replicates, (B, n_times), some rows at a time, which a processor keeps near."""
        n_rows, n_times = mixture.raw.shape[2], u.shape[-1]
        step = max(1, _NEAR // (mixture.weights[:, :, 0].numel() * n_times))
        parts = []
        for start in range(0, n_rows, step):
            rows = slice(start, start + step)
            values = of(self.head, mixture.raw[:, :, rows], u[rows] if u.ndim == 2 else u)
            parts.append(torch.einsum("rsb,rsbt->bt", mixture.weights[:, :, rows], values))
        return torch.cat(parts) / self.n_replicates

    def _of_members(self, mixture: Mixture, u: Tensor, of: Callable[[EventTime, Tensor, Tensor], Tensor]) -> Tensor:
        """Weighted mean over the draws of each replicate at times of its own (R, B, n_times): of the same shape."""
        return torch.einsum("rsb,rsbt->rbt", mixture.weights, of(self.head, mixture.raw, u[:, None]))

    def _encoded(self, times: Floats, rows: slice) -> Tensor:
        times = np.asarray(times, dtype=float)
        own = times[rows] if times.ndim == 2 else times
        return torch.as_tensor(self.axis.encode(own), dtype=torch.float32, device=self.device)

    def _query(self, batch: Batch) -> Weighted:
        return query(self.model, batch, n_draws=self.n_draws, noise={"z": self.noise}, proposal=self.proposal)

    def _batches(self, patients: Patients, n_times: int) -> Iterator[tuple[slice, Batch]]:
        """Rows with an outcome that is not observed, so many at a time that draws and curves fit."""
        widest = max(self.model.generative["x"].head.n_raw, self.n_replicates * 64, n_times)
        step = max(1, _CHUNK // (self.n_draws * widest))
        for start in range(0, len(patients), step):
            rows = slice(start, min(len(patients), start + step))
            values = {"x": self._tensor(patients.x.values[rows]), "terms": self._tensor(patients.terms[rows])}
            n = rows.stop - rows.start
            values["y"] = torch.ones(self.n_replicates, 1, n, self.head.width, device=self.device)
            observed = {"y": torch.zeros_like(values["y"], dtype=torch.bool)}
            if patients.x.observed is not None:
                observed["x"] = torch.as_tensor(patients.x.observed[rows], device=self.device)[None, None]
            if patients.t is not None:
                values["t"] = self._tensor(patients.t.values[rows])
            yield rows, Batch(values, observed)

    def _tensor(self, array: Floats) -> Tensor:
        tensor = torch.as_tensor(array, dtype=torch.float32, device=self.device)
        return tensor.expand(self.n_replicates, 1, *tensor.shape)


def _survival(head: EventTime, raw: Tensor, u: Tensor) -> Tensor:
    return head.log_survival(raw, u).exp()
