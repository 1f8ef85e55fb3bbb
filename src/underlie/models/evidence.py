r"""Regression of any likelihood on many terms, shrunk as far as the data themselves advise.

The numbers that a likelihood head needs are linear in the terms, with normal priors whose variances are shared by
groups of coefficients:

.. math:: \mathrm{raw}_i = C\, (b + \Theta \phi_i), \qquad \theta_k \sim N(0, 1 / \lambda_{g(k)})

The coefficients are at their posterior mode, the precisions where the approximate evidence
:math:`\log \int p(y \mid \theta)\, p(\theta \mid \lambda)\, d\theta` no longer rises: there the number of effective
parameters of a group equals :math:`\lambda_g \sum_{k \in g} \theta_k^2`. No setting is left for the user.

References: MacKay (1992), Bayesian interpolation; Wood & Fasiolo (2017), A generalized Fellner-Schall method for
smoothing parameter optimization; Tierney & Kadane (1986) for the approximation.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dtrtri
from torch import Tensor

from underlie.distributions import Likelihood

Floats = NDArray[np.float64]

#: A group of this name is hardly shrunk: its precision is fixed, at coefficients of sd 5 (terms have variance 1).
FREE = "free"
_FREE_PRECISION = 0.04
_INTERCEPT_PRECISION = 1e-6
_PRECISION_RANGE = (1e-2, 1e6)
_START_PRECISION = 10.0
_OUTER, _INNER = 40, 10
_GAIN_TOLERANCE = 1e-3
_PRECISION_TOLERANCE, _INNER_TOLERANCE = 0.05, 0.02
_DIFFERENCE = 1e-5


@final
@dataclass(frozen=True)
class Regression:
    """A fitted regression: posterior mode, its normal approximation, and how much each group was shrunk.

    Attributes
    ----------
    intercept : ndarray (c,)
        b, for each component.
    weight : ndarray (c, p)
        Θ; 0 where a component has no such term.
    precision : dict of str to float
        λ of each group.
    effective : dict of str to float
        Effective number of parameters of each group.
    log_evidence : float
        Laplace's approximation, in nats.
    """

    intercept: Floats
    weight: Floats
    precision: dict[str, float]
    effective: dict[str, float]
    log_evidence: float
    _places: NDArray[np.intp]
    _mode: Floats
    _cholesky: Floats

    def draw(self, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """Intercept and weight, drawn from the normal approximation of their posterior."""
        noise = generator.standard_normal(len(self._mode))
        theta = self._mode + solve_triangular(self._cholesky, noise, lower=True, trans="T")
        return _unpack(theta, self._places, self.weight.shape)

    def mirrored(self, drawn: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        """The draw on the other side of the mode: a pair has the posterior's mean exactly."""
        return 2.0 * self.intercept - drawn[0], 2.0 * self.weight - drawn[1]


def blank_regression(n_components: int, n_terms: int) -> Regression:
    """A regression whose coefficients are all 0, without a posterior."""
    empty = np.zeros((0, 0))
    return Regression(
        np.zeros(n_components), np.zeros((n_components, n_terms)), {}, {}, 0.0, np.zeros((0, 2), np.intp), empty, empty
    )


def regress(
    head: Likelihood,
    terms: Floats,
    groups: Sequence[Sequence[str | None]],
    outcome: Floats,
    *,
    components: Floats | None = None,
    near: Regression | None = None,
) -> Regression:
    r"""Fit a regression with precisions by evidence.

    Parameters
    ----------
    head : Likelihood
        Of the outcome; raw = 0 is about its marginal distribution. Its free parameters stay as they are.
    terms : ndarray (n, p)
        :math:`\phi`, of order one.
    groups : sequence of c sequences of length p
        For each component, the group of each term's coefficient; None where it has none.
    outcome : ndarray (n, width)
        Encoded.
    components : ndarray (n_raw, c), optional
        C; by default the identity.
    near : Regression, optional
        The fit of a model much like this one, where to begin.

    Returns
    -------
    Regression
    """
    n, p = terms.shape
    matrix = np.eye(head.n_raw) if components is None else np.asarray(components, dtype=float)
    places, labels = _layout(groups, p)
    prior = _Prior.of(labels)
    columns = [np.column_stack([np.ones(n), terms])[:, 1 + places[places[:, 0] == c, 1]] for c in range(len(groups))]
    likelihood = _LogLikelihood(columns, _slopes_of(head, outcome, matrix))
    begun = near or blank_regression(len(groups), p)
    precision = np.array([begun.precision.get(name, _START_PRECISION) for name in prior.names])
    here = likelihood.near(np.column_stack([begun.intercept, begun.weight])[places[:, 0], 1 + places[:, 1]])
    here, precision = _fitted(likelihood, here, prior, precision)
    penalty = prior.penalty(precision)
    factor = here.factor(penalty)
    effective = prior.effective(penalty, factor)
    evidence = (
        here.value
        - 0.5 * float(penalty @ here.theta**2)
        + 0.5 * float(np.log(penalty).sum())
        - float(np.log(np.diag(factor)).sum())
    )
    intercept, weight = _unpack(here.theta, places, (len(groups), p))
    return Regression(
        intercept,
        weight,
        dict(zip(prior.names, precision.tolist(), strict=True)),
        dict(zip(prior.names, effective.tolist(), strict=True)),
        evidence,
        places,
        here.theta,
        factor,
    )


def _fitted(
    likelihood: _LogLikelihood, here: _Quadratic, prior: _Prior, precision: Floats
) -> tuple[_Quadratic, Floats]:
    """Newton's steps for the coefficients, with each of which precisions settle on the quadratic that it rests on."""
    for _ in range(_OUTER):
        target, settled = _settled(here, prior, precision)
        penalty = prior.penalty(settled)
        there = _climbed(likelihood, here, target, penalty)
        gain = there.penalised(penalty) - here.penalised(penalty)
        change = np.abs(np.log(settled / precision)).max(initial=0.0)
        here, precision = there, settled
        if gain < _GAIN_TOLERANCE and change < _PRECISION_TOLERANCE:
            break
    return here, precision


def _layout(groups: Sequence[Sequence[str | None]], p: int) -> tuple[NDArray[np.intp], list[str | None]]:
    """(component, term) of each parameter, term -1 for the intercept, and its group, None for the intercept."""
    places: list[tuple[int, int]] = []
    labels: list[str | None] = []
    for c, of_component in enumerate(groups):
        if len(of_component) != p:
            raise ValueError(f"groups[{c}] has {len(of_component)} entries for {p} terms.")
        places.append((c, -1))
        labels.append(None)
        for j, label in enumerate(of_component):
            if label is not None:
                places.append((c, j))
                labels.append(label)
    return np.array(places, dtype=np.intp), labels


def _unpack(theta: Floats, places: NDArray[np.intp], shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    full = np.zeros((shape[0], shape[1] + 1))
    full[places[:, 0], places[:, 1] + 1] = theta
    return full[:, 0], full[:, 1:]


@final
@dataclass(frozen=True)
class _Prior:
    """Normal priors of the coefficients, whose precisions are fixed, or shared by a group.

    Attributes
    ----------
    names : list of str
        The groups.
    member : ndarray (k,)
        Group of each coefficient; the number of groups where its precision is fixed.
    fixed : ndarray (k,)
        What it is fixed at.
    """

    names: list[str]
    member: NDArray[np.intp]
    fixed: Floats

    @classmethod
    def of(cls, labels: Sequence[str | None]) -> _Prior:
        names = sorted({label for label in labels if label not in (None, FREE)})
        member = np.array([names.index(label) if label in names else len(names) for label in labels])
        return cls(names, member, np.where([label is None for label in labels], _INTERCEPT_PRECISION, _FREE_PRECISION))

    def penalty(self, precision: Floats) -> Floats:
        """Precision of each coefficient."""
        shared = self.member < len(self.names)
        return np.where(shared, np.append(precision, 0.0)[self.member], self.fixed)

    def effective(self, penalty: Floats, factor: Floats) -> Floats:
        """Effective number of parameters of each group, given the Cholesky factor of the posterior's precision."""
        inverse, _ = dtrtri(factor, lower=1)
        return self._by_group(1.0 - penalty * np.einsum("ij,ij->j", inverse, inverse))

    def refitted(self, theta: Floats, penalty: Floats, factor: Floats) -> Floats:
        """The precisions at which the evidence would no longer rise, were the posterior to stay as it is."""
        # The small constants are a weak prior on the variance: they keep an empty group's precision finite.
        found = (self.effective(penalty, factor) + 1e-3) / (self._by_group(theta**2) + 1e-6)
        return np.clip(found, *_PRECISION_RANGE)

    def _by_group(self, values: Floats) -> Floats:
        total: Floats = np.bincount(self.member, values, len(self.names) + 1).astype(float)
        return total[: len(self.names)]


@final
@dataclass(frozen=True)
class _Quadratic:
    """The log-likelihood near some parameters: its value, gradient and negative curvature there."""

    theta: Floats
    value: float
    gradient: Floats
    curvature: Floats

    def factor(self, penalty: Floats) -> Floats:
        """Lower Cholesky factor of the posterior's precision."""
        # The ridge keeps a direction that the data say nothing of, and no prior holds, from running away.
        lower: Floats = cholesky(self.curvature + np.diag(penalty + 1e-8), lower=True)
        return lower

    def mode(self, factor: Floats) -> Floats:
        """The posterior's mode, were the log-likelihood quadratic."""
        found: Floats = cho_solve((factor, True), self.gradient + self.curvature @ self.theta)
        return found

    def penalised(self, penalty: Floats) -> float:
        return self.value - 0.5 * float(penalty @ self.theta**2)


def _settled(near: _Quadratic, prior: _Prior, precision: Floats) -> tuple[Floats, Floats]:
    """Parameters and precisions that belong together where the log-likelihood is taken for quadratic."""
    for _ in range(_INNER):
        penalty = prior.penalty(precision)
        factor = near.factor(penalty)
        before, precision = precision, prior.refitted(near.mode(factor), penalty, factor)
        if np.abs(np.log(precision / before)).max(initial=0.0) < _INNER_TOLERANCE:
            break
    return near.mode(near.factor(prior.penalty(precision))), precision


def _climbed(likelihood: _LogLikelihood, here: _Quadratic, target: Floats, penalty: Floats) -> _Quadratic:
    """A step towards the target, halved until the penalised log-likelihood does not fall."""
    length = 1.0
    while length > 1e-4:
        there = likelihood.near(here.theta + length * (target - here.theta))
        if there.penalised(penalty) >= here.penalised(penalty) - 1e-9:
            return there
        length *= 0.5
    return here


#: scores (n, c) -> value (n,), gradient (n, c), negative curvature (n, c, c)
_Slopes = Callable[[Floats], tuple[Floats, Floats, Floats]]


@final
@dataclass(frozen=True)
class _LogLikelihood:
    """The design of each component, intercept first, and the likelihood of scores."""

    columns: list[Floats]
    slopes: _Slopes

    def near(self, theta: Floats) -> _Quadratic:
        ends = np.cumsum([c.shape[1] for c in self.columns])
        parts = np.split(theta, ends[:-1])
        value, first, second = self.slopes(np.column_stack([c @ t for c, t in zip(self.columns, parts, strict=True)]))
        gradient = np.concatenate([c.T @ first[:, i] for i, c in enumerate(self.columns)])
        total = float(value.sum())
        return _Quadratic(theta, total if math.isfinite(total) else -math.inf, gradient, self._curvature(second))

    def _curvature(self, second: Floats) -> Floats:
        ends = np.cumsum([0, *(c.shape[1] for c in self.columns)])
        places = [slice(*pair) for pair in pairwise(ends)]
        found = np.empty((ends[-1], ends[-1]))
        for i, a in enumerate(self.columns):
            for j, b in enumerate(self.columns[: i + 1]):
                block = (a * second[:, i, j, None]).T @ b
                found[places[i], places[j]], found[places[j], places[i]] = block, block.T
        return found


def _slopes_of(head: Likelihood, outcome: Floats, matrix: Floats) -> _Slopes:
    """The log-likelihood of rows as a function of their components' scores, with its gradient and curvature."""
    frozen = copy.deepcopy(head).double().requires_grad_(False)
    x = torch.as_tensor(outcome, dtype=torch.float64)[None, None]
    to_raw = torch.as_tensor(matrix, dtype=torch.float64).T
    # Rows do not interact, so one difference of gradients gives a column of every row's curvature. Heads need not be
    # differentiable twice; in float64 the difference is right to five digits.
    moves = _DIFFERENCE * torch.eye(matrix.shape[1] + 1, matrix.shape[1], dtype=torch.float64).roll(1, 0)

    def evaluate(scores: Floats) -> tuple[Floats, Floats, Floats]:
        at = (torch.as_tensor(scores)[None] + moves[:, None]).requires_grad_()
        with torch.enable_grad():
            value = frozen.log_prob((at @ to_raw)[None], x).sum(-1)[0]
            (slope,) = torch.autograd.grad(value.sum(), at)
        second = (slope[0] - slope[1:]).movedim(0, 1) / _DIFFERENCE
        return value[0].detach().numpy(), slope[0].numpy(), _positive(second).numpy()

    return evaluate


def _positive(curvature: Tensor) -> Tensor:
    """The nearest matrices (n, c, c) that curve downhill: where a row's likelihood is not concave, steps stay safe."""
    symmetric = torch.nan_to_num(0.5 * (curvature + curvature.mT))
    if symmetric.shape[-1] == 1:
        return symmetric.clamp(min=0.0)
    if symmetric.shape[-1] == 2:
        return _positive_pairs(symmetric)
    roots, axes = torch.linalg.eigh(symmetric)
    nearest: Tensor = (axes * roots.clamp(min=0.0)[..., None, :]) @ axes.mT
    return nearest


def _positive_pairs(symmetric: Tensor) -> Tensor:
    """The same of 2 x 2 matrices: m I + d, with d of mean 0, has the eigenvalues m +- r and the eigenvectors of d."""
    mean = 0.5 * symmetric.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]
    identity = torch.eye(2, dtype=symmetric.dtype)
    departure = symmetric - mean * identity
    r = torch.linalg.vector_norm(departure[:, 0], dim=-1)[:, None, None]
    high, low = (mean + r).clamp(min=0.0), (mean - r).clamp(min=0.0)
    nearest: Tensor = 0.5 * ((high + low) * identity + (high - low) / r.clamp(min=1e-300) * departure)
    return nearest
