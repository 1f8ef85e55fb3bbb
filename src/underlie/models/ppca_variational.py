"""Variational EM for Bayesian probabilistic PCA with missing cells: q(W) q(z), point estimates of the rest."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np

from underlie.models.ppca_evidence import solve_spectrum
from underlie.models.ppca_incomplete import IncompleteRows
from underlie.models.ppca_rows import Array, Mask, pack
from underlie.models.ppca_steps import Expectation, Parameters, expectation, solve_columns, starting_point

__all__ = ["Variational", "climb_variational", "fit_variational", "initial", "step"]

# A column with less support than this some rounds after the start is on its way out, which takes very many more rounds.
_GONE = 0.2
_SETTLING = 5
# A column with more support than this is needed beyond doubt.
_CERTAIN = 30.0
_WINDOW = 3
# Slow directions hide behind fast ones: gains to come have been found to be up to this many times their estimate.
_GAP_SAFETY = 1000.0
_MEMORY = 8
_LONGEST_LOG_STEP = 1.0


@dataclass(frozen=True, eq=False)
class Variational:
    """q(w_d) = N(loadings_d, spread_d) for each column d of the table, with the point estimates; working units.

    Attributes
    ----------
    loadings : (D, M);  spread : (D, M, M);  mean : (D,);  noise_variance : float;  alpha : (M,)
    bound : lower bound of the log-evidence, per informative row
    n_iter : passes over the data;  converged : whether the bound is as close to its maximum as was asked for
    """

    loadings: Array
    spread: Array
    mean: Array
    noise_variance: float
    alpha: Array
    bound: float = -np.inf
    n_iter: int = 0
    converged: bool = False

    @property
    def n_latent(self) -> int:
        return len(self.alpha)


def initial(rows: IncompleteRows, n_latent: int) -> Variational:
    """From the pairwise-available covariance, as certain of the loadings as the number of rows warrants."""
    start = starting_point(rows, n_latent)
    counts = rows.counts[:, None, None]
    spread = start.noise_variance / (1 + counts) * np.eye(n_latent)
    loadings = start.loadings
    alpha = len(loadings) / ((loadings**2).sum(axis=0) + np.einsum("dmm->m", spread))
    return Variational(loadings, spread, start.mean, start.noise_variance, alpha)


def step(rows: IncompleteRows, state: Variational) -> tuple[float, Variational]:
    """Bound at a state (q(z) at its best), and the state after one round of updates; the bound cannot fall."""
    second = pack(state.loadings, state.loadings)
    lower = np.tril_indices(state.n_latent)
    second += state.spread[:, lower[0], lower[1]]
    parameters = Parameters(np.column_stack([state.loadings, state.mean]), state.noise_variance)
    found = expectation(rows, parameters, second)
    divergence = _divergence(state)
    return found.log_likelihood - divergence / rows.n_informative, _rotated(found, _updated(rows, state, found))


def _divergence(state: Variational) -> float:
    """Sum over the columns of the table of KL(q(w_d) || prior)."""
    if state.n_latent == 0:
        return 0.0
    squares = (state.loadings**2).sum(axis=0) + np.einsum("dmm->m", state.spread)
    log_dets = np.linalg.slogdet(state.spread)[1].sum()
    n_columns = len(state.loadings)
    expected = float(squares @ state.alpha) - n_columns * state.n_latent
    return 0.5 * (expected - float(log_dets) - n_columns * float(np.log(state.alpha).sum()))


def _updated(rows: IncompleteRows, state: Variational, found: Expectation) -> Variational:
    penalty = np.append(state.alpha, 0.0) * state.noise_variance
    precision = found.gram.copy()
    order = np.arange(state.n_latent + 1)
    precision[:, order, order] += penalty
    coefficients = solve_columns(precision, found.cross)
    spread: Array = np.asarray(np.linalg.inv(precision[:, :-1, :-1]) * state.noise_variance, dtype=np.float64)
    fitted = np.einsum("dij,dj->di", found.gram, coefficients)
    residual = float(rows.sum_squares.sum() - (coefficients * (2 * found.cross - fitted)).sum())
    residual += float(np.einsum("dij,dij->", found.gram[:, :-1, :-1], spread))
    noise = max(residual / rows.n_observed, rows.noise_floor)
    return replace(state, loadings=coefficients[:, :-1], mean=coefficients[:, -1], spread=spread, noise_variance=noise)


def _rotated(found: Expectation, state: Variational) -> Variational:
    """The linear map of z that raises the bound most: E[z z'] becomes the identity, E[W' W] diagonal; then alpha."""
    if state.n_latent == 0:
        return state
    values, vectors = np.linalg.eigh(found.latent_second)
    root = (vectors * np.sqrt(np.maximum(values, 1e-12))) @ vectors.T
    outer = state.loadings.T @ state.loadings + state.spread.sum(axis=0)
    squares, axes = np.linalg.eigh(root @ outer @ root)
    axes = axes[:, ::-1] * np.where(np.diagonal(axes[:, ::-1]) < 0, -1.0, 1.0)
    rotation = root @ axes
    spread = rotation.T @ state.spread @ rotation
    alpha = len(state.loadings) / np.maximum(squares[::-1], 1e-300)
    return replace(state, loadings=state.loadings @ rotation, spread=spread, alpha=alpha)


def climb_variational(rows: IncompleteRows, state: Variational, tol: float, max_iter: int) -> Variational:
    """Rounds of updates until the gains to come are estimated to be small; vanishing columns are left out.

    Rounds are extrapolated (Anderson 1965); where that lowers the bound, the plain round is taken instead.
    """
    bounds: list[float] = []
    memory = _Extrapolation()
    used = state.n_iter
    plain = state
    while used < max_iter:
        bound, after = step(rows, state)
        used += 1
        if bounds and bound < bounds[-1] and state is not plain:
            memory.forget()
            state = plain
            continue
        bounds.append(bound)
        state = replace(state, bound=bound, n_iter=used)
        if _GAP_SAFETY * _remaining(bounds) <= tol:
            return replace(state, converged=True)
        kept = _support(rows, after) > _GONE
        if len(bounds) > _SETTLING and not kept.all():
            state = plain = _without(after, ~kept)
            bounds.clear()
            memory.forget()
            continue
        plain = after
        state = memory.extrapolated(state, after)
    bound, _ = step(rows, plain)
    return replace(plain, bound=bound, n_iter=used, converged=False)


def _remaining(bounds: list[float]) -> float:
    """Aitken's estimate of the gains to come, from the last two windows of gains."""
    if len(bounds) <= 2 * _WINDOW:
        return np.inf
    recent, before = bounds[-1] - bounds[-1 - _WINDOW], bounds[-1 - _WINDOW] - bounds[-1 - 2 * _WINDOW]
    if recent >= before:
        return np.inf if recent > 0 else 0.0
    return recent * recent / (before - recent)


@dataclass
class _Extrapolation:
    """Anderson's extrapolation of a fixed-point iteration from its last few rounds."""

    points: deque[Array] = field(default_factory=lambda: deque(maxlen=_MEMORY))
    moves: deque[Array] = field(default_factory=lambda: deque(maxlen=_MEMORY))

    def forget(self) -> None:
        self.points.clear()
        self.moves.clear()

    def extrapolated(self, state: Variational, after: Variational) -> Variational:
        point = _flat(state)
        self.points.append(point)
        self.moves.append(_flat(after) - point)
        if len(self.points) < 3:
            return after
        points, moves = np.diff(self.points, axis=0), np.diff(self.moves, axis=0)
        weights = np.linalg.lstsq(moves.T, self.moves[-1], rcond=1e-8)[0]
        target = point + self.moves[-1] - weights @ (points + moves)
        if not np.isfinite(target).all() or np.abs(target[-1] - point[-1]) > _LONGEST_LOG_STEP:
            return after
        size = state.loadings.size
        return replace(
            after,
            loadings=target[:size].reshape(state.loadings.shape),
            mean=target[size:-1],
            noise_variance=float(np.exp(target[-1])),
        )


def _flat(state: Variational) -> Array:
    return np.concatenate([state.loadings.ravel(), state.mean, [np.log(state.noise_variance)]])


def _support(rows: IncompleteRows, state: Variational) -> Array:
    """n |w|^2 / (D s2) of each column over sqrt(n / D); about 1 to 3 where the closed form begins to keep a column."""
    signal = (state.loadings**2).sum(axis=0) / state.noise_variance
    support: Array = signal * np.sqrt(rows.n_informative / len(state.loadings))
    return support


def _without(state: Variational, dropped: Mask) -> Variational:
    kept = np.flatnonzero(~dropped)
    return replace(
        state,
        loadings=state.loadings[:, kept],
        spread=state.spread[:, kept[:, None], kept],
        alpha=state.alpha[kept],
        bound=-np.inf,
        converged=False,
    )


def fit_variational(rows: IncompleteRows, max_components: int, tol: float, max_iter: int) -> Variational:
    """Fit with as many columns as the data may need, then drop the weakest for as long as that raises the bound."""
    n_latent = min(max_components, _generous(rows))
    while True:
        state = climb_variational(rows, initial(rows, n_latent), tol, max_iter)
        if state.n_latent < n_latent or n_latent == max_components:
            break
        n_latent = min(max_components, 2 * n_latent)
    while state.n_latent and _support(rows, state).min() < _CERTAIN:
        weakest = np.arange(state.n_latent) == int(state.alpha.argmax())
        smaller = climb_variational(rows, _without(state, weakest), tol, state.n_iter + max_iter)
        if smaller.bound <= state.bound:
            return replace(state, n_iter=smaller.n_iter)
        state = smaller
    return state


def _generous(rows: IncompleteRows) -> int:
    """More columns than the closed form for complete data would keep of the pairwise-available covariance."""
    n_columns = rows.values.shape[1]
    length = min(rows.n_informative, n_columns)
    values = rows.pairwise_spectrum(length)[0]
    effective = max(2, round(rows.n_observed / n_columns))
    if values.sum() <= 0:
        return 1
    squared = effective * values[: min(effective, length)]
    found = solve_spectrum(squared, min(effective, rows.n_informative), n_columns, length, rows.noise_floor)
    return len(found.lengths) + max(3, len(found.lengths) // 4)
