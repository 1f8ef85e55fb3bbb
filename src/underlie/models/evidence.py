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
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from torch import Tensor

from underlie.distributions import Likelihood

Floats = NDArray[np.float64]

#: A group of this name is hardly shrunk: its precision is fixed, at coefficients of sd 5 (terms have variance 1).
FREE = "free"
_FREE_PRECISION = 0.04
_INTERCEPT_PRECISION = 1e-6
_PRECISION_RANGE = (1e-2, 1e6)
_START_PRECISION = 10.0
_OUTER, _FIRST, _INNER = 40, 12, 2
_STEP_TOLERANCE = 1e-3
_PRECISION_TOLERANCE = 0.05
_DIFFERENCE = 1e-4


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

    Returns
    -------
    Regression
    """
    n, p = terms.shape
    matrix = np.eye(head.n_raw) if components is None else np.asarray(components, dtype=float)
    places, labels = _layout(groups, p)
    names = sorted({label for label in labels if label not in (None, FREE)})
    member = np.array([names.index(label) if label in names else -1 for label in labels])
    precision = np.full(len(names), _START_PRECISION)
    fixed = np.where([label is None for label in labels], _INTERCEPT_PRECISION, _FREE_PRECISION)
    value_and_slopes = _objective(head, outcome, matrix)
    columns = [np.column_stack([np.ones(n), terms])[:, 1 + places[places[:, 0] == c, 1]] for c in range(len(groups))]
    theta = np.zeros(len(labels))
    effective = np.zeros(len(names))
    state = _State(columns, value_and_slopes)
    factor: Floats = np.eye(len(theta))
    log_likelihood = 0.0
    for outer in range(_OUTER):
        penalty = np.where(member >= 0, precision[member] if len(names) else 0.0, fixed)
        theta, log_likelihood, curvature = _maximise(state, theta, penalty, _INNER if outer else _FIRST)
        factor = np.linalg.cholesky(curvature + np.diag(penalty))
        inverse = np.einsum("ij,ij->j", *(2 * [solve_triangular(factor, np.eye(len(theta)), lower=True)]))
        shares = 1.0 - penalty * inverse
        effective = np.array([shares[member == g].sum() for g in range(len(names))])
        squares = np.array([(theta[member == g] ** 2).sum() for g in range(len(names))])
        # The small constants are a weak prior on the variance: they keep an empty group's precision finite.
        new = np.clip((effective + 1e-3) / (squares + 1e-6), *_PRECISION_RANGE)
        change = np.abs(np.log(new / precision)).max() if len(names) else 0.0
        precision = new
        if change < _PRECISION_TOLERANCE:
            break
    penalty = np.where(member >= 0, precision[member] if len(names) else 0.0, fixed)
    evidence = (
        log_likelihood
        - 0.5 * float(penalty @ theta**2)
        + 0.5 * float(np.log(penalty).sum())
        - float(np.log(np.diag(factor)).sum())
    )
    intercept, weight = _unpack(theta, places, (len(groups), p))
    return Regression(
        intercept,
        weight,
        dict(zip(names, precision.tolist(), strict=True)),
        dict(zip(names, effective.tolist(), strict=True)),
        evidence,
        places,
        theta,
        factor,
    )


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


#: scores (n, c) -> value (n,), and with slopes: gradient (n, c), negative curvature (n, c, c)
_Slopes = Callable[[Floats, bool], tuple[Floats, Floats, Floats]]


def _objective(head: Likelihood, outcome: Floats, matrix: Floats) -> _Slopes:
    """The log-likelihood of rows as a function of their components' scores, with its gradient and curvature."""
    frozen = copy.deepcopy(head).double().requires_grad_(False)
    x = torch.as_tensor(outcome, dtype=torch.float64)[None, None]
    to_raw = torch.as_tensor(matrix, dtype=torch.float64).T

    def rows(scores: Tensor) -> Tensor:
        value: Tensor = frozen.log_prob((scores @ to_raw)[None, None], x).sum(-1)[0, 0]
        return value

    def gradient(scores: Tensor) -> tuple[Tensor, Tensor]:
        at = scores.detach().requires_grad_()
        with torch.enable_grad():
            value = rows(at)
            (first,) = torch.autograd.grad(value.sum(), at)
        return value.detach(), first

    def evaluate(scores: Floats, slopes: bool) -> tuple[Floats, Floats, Floats]:
        at = torch.as_tensor(scores, dtype=torch.float64)
        if not slopes:
            with torch.no_grad():
                return rows(at).numpy(), scores, scores
        value, first = gradient(at)
        # Rows do not interact, so one difference of gradients gives a column of every row's curvature. Heads need not
        # be differentiable twice; in float64 the difference is right to 1e-8.
        steps = _DIFFERENCE * torch.eye(at.shape[1], dtype=torch.float64)
        second = [(gradient(at + step)[1] - gradient(at - step)[1]) / (2.0 * _DIFFERENCE) for step in steps]
        return value.numpy(), first.numpy(), _positive(-torch.stack(second, dim=1)).numpy()

    return evaluate


def _positive(curvature: Tensor) -> Tensor:
    """The nearest matrices (n, c, c) that curve downhill: where a row's likelihood is not concave, steps stay safe."""
    symmetric = torch.nan_to_num(0.5 * (curvature + curvature.mT))
    if symmetric.shape[-1] == 1:
        return symmetric.clamp(min=0.0)
    roots, axes = torch.linalg.eigh(symmetric)
    nearest: Tensor = (axes * roots.clamp(min=0.0)[..., None, :]) @ axes.mT
    return nearest


@final
@dataclass(frozen=True)
class _State:
    """The design of each component, intercept first, and the likelihood of scores."""

    columns: list[Floats]
    slopes: _Slopes

    def scores(self, theta: Floats) -> Floats:
        ends = np.cumsum([c.shape[1] for c in self.columns])
        return np.column_stack([c @ t for c, t in zip(self.columns, np.split(theta, ends[:-1]), strict=True)])

    def value(self, theta: Floats) -> float:
        total = float(self.slopes(self.scores(theta), False)[0].sum())
        return total if math.isfinite(total) else -math.inf

    def local(self, theta: Floats) -> tuple[float, Floats, Floats]:
        value, first, second = self.slopes(self.scores(theta), True)
        gradient = np.concatenate([c.T @ first[:, i] for i, c in enumerate(self.columns)])
        blocks = [
            [(a * second[:, i, j, None]).T @ b for j, b in enumerate(self.columns)] for i, a in enumerate(self.columns)
        ]
        return float(value.sum()), gradient, np.block(blocks)


def _maximise(state: _State, theta: Floats, penalty: Floats, steps: int) -> tuple[Floats, float, Floats]:
    """Damped Newton steps on the penalised log-likelihood: the new parameters, their likelihood and its curvature."""
    value, gradient, curvature = state.local(theta)
    for _ in range(steps):
        inside = value - 0.5 * float(penalty @ theta**2)
        # The ridge keeps a direction that the data say nothing of, and no prior holds, from running away.
        matrix = curvature + np.diag(penalty + 1e-8)
        step = cho_solve(cho_factor(matrix), gradient - penalty * theta)
        length = 1.0
        while length > 1e-4:
            trial = theta + length * step
            if state.value(trial) - 0.5 * float(penalty @ trial**2) >= inside - 1e-9:
                break
            length *= 0.5
        else:
            break
        theta = theta + length * step
        value, gradient, curvature = state.local(theta)
        if np.abs(length * step).max() < _STEP_TOLERANCE:
            break
    return theta, value, curvature
