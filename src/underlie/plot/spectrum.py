"""How many latent dimensions the data ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from underlie.check import MomentSums
from underlie.check.adapters import check_fitted, moment_model
from underlie.data import Encoder
from underlie.models.ppca import noise_floor
from underlie.models.ppca_rank import RankSelection, select_rank
from underlie.plot.style import GREY, axes_or_new, palette

Array = NDArray[np.float64]
_FEWEST_SHOWN = 20


def scree(
    model_or_X: Any,
    X: object = None,
    ax: Axes | None = None,
    *,
    standardize: bool = False,
    max_components: int | None = None,
) -> Axes:
    """Eigenvalues of the data's covariance, and BIC of probabilistic PCA over the number M of latent dimensions.

    Parameters
    ----------
    model_or_X : fitted ProbabilisticPCA, PCA or FactorAnalysis; or table, array or images
        With a model its own M is marked; without X then, the eigenvalues are those of the model's covariance and there
        is no BIC. With data alone, the M of the smallest BIC is marked.
    X : table, array or images, optional
        n rows, when a model comes first.
    ax : Axes, optional
        Where to draw; a new figure by default. BIC has a second scale at the right.
    standardize : bool
        Divide the columns by their standard deviations first; a model that was fitted so is followed.
    max_components : int, optional
        Largest M for BIC. With missing cells each M is one EM fit.

    Returns
    -------
    matplotlib.axes.Axes
        Of the eigenvalues.

    Raises
    ------
    TypeError
        When a model has no latent dimensions to count.
    ValueError
        When X does not suit the model, or has fewer than two rows.

    References
    ----------
    Cattell (1966), the scree test; Minka (2000) on choosing M for probabilistic PCA.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> import underlie as ul
    >>> ax = ul.plot.scree(load_wine().data, standardize=True)
    >>> ax.get_ylabel()
    'eigenvalue of the correlation matrix'
    """
    if _is_data(model_or_X):
        values = np.asarray(Encoder.fit(model_or_X).numeric(model_or_X), dtype=float)
        values, of = _scaled(values, standardize), "correlation matrix" if standardize else "covariance"
        own = None
    else:
        values, own, of = _of_model(model_or_X, X, standardize)
    selection = None if X is None and own is not None else _select(values, max_components)
    eigenvalues = _spectrum(values) if selection is not None else values
    return _draw(eigenvalues, selection, own, of, ax)


def _is_data(candidate: Any) -> bool:
    return not (hasattr(candidate, "fit") or hasattr(candidate, "exact_moments"))


def _scaled(values: Array, standardize: bool) -> Array:
    if not standardize:
        return values
    spread = np.nanstd(values, axis=0)
    return values / np.where(spread > 0, spread, 1.0)


def _of_model(model: Any, X: object, standardize: bool) -> tuple[Array, int, str]:
    """Data in the model's coordinates, or the eigenvalues of its covariance; its M; and of which matrix they are."""
    check_fitted(model)
    if not hasattr(model, "components_"):
        raise TypeError(
            f"{type(model).__name__} has no latent dimensions to count; give ProbabilisticPCA, PCA or the data"
        )
    own = int(np.shape(model.components_)[0])
    view = moment_model(model)
    scale = np.asarray(getattr(model, "scale_", 1.0))
    of = "covariance (scaled columns)" if np.ptp(scale) > 0 else "covariance"
    if X is not None:
        values = view.numeric(X) / scale
        return _scaled(values, standardize), own, "correlation matrix" if standardize else of
    width = len(view.names)
    exact = view.gaussians()
    if exact is None:
        raise TypeError(f"{type(model).__name__} has no covariance in closed form; give the data as X")
    covariance = exact.transformed(np.zeros(width), scale * np.ones(width)).covariance()
    return np.asarray(np.linalg.eigvalsh(covariance)[::-1]), own, of


def _select(values: Array, max_components: int | None) -> RankSelection:
    """BIC over M, short of the rank of the data: there no noise is left and the likelihood has no upper bound."""
    found = select_rank(values, max_components)
    floor = noise_floor(float(np.nanvar(values, axis=0).sum()), float(np.nanmax(np.abs(values))))
    if found.n_components and found.model.noise_variance <= 1.01 * floor:
        return select_rank(values, found.n_components - 1)
    return found


def _spectrum(values: Array) -> Array:
    """Eigenvalues, largest first, of the covariance (divisor n); available cases where cells are missing."""
    return np.asarray(np.linalg.eigvalsh(MomentSums.of(values).covariance())[::-1])


def _draw(eigenvalues: Array, selection: RankSelection | None, own: int | None, of: str, ax: Axes | None) -> Axes:
    blue, red = palette(2)
    chosen = None if selection is None else int(selection.n_components)
    shown = min(len(eigenvalues), max(_FEWEST_SHOWN, 2 * max(own or 0, chosen or 0)))
    ranks = np.arange(1, shown + 1)
    ax = axes_or_new(ax, (6.8, 4.5))
    positive = np.where(eigenvalues[:shown] > 1e-10 * eigenvalues[0], eigenvalues[:shown], np.nan)
    ax.plot(ranks, positive, "o-", color=blue, markersize=5, linewidth=1.2)
    ax.set_yscale("log")
    ax.set_xlabel("number M of latent dimensions")
    ax.set_ylabel(f"eigenvalue of the {of}", color=blue)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines["top"].set_visible(False)
    if selection is not None:
        _draw_bic(ax, selection, shown, red)
    if own is not None:
        ax.axvline(own, color=GREY, linewidth=1, linestyle=":")
    notes = [f"smallest BIC at M = {chosen}"] if chosen is not None else []
    notes += [f"this model (dotted): M = {own}"] if own is not None else []
    ax.set_title("; ".join(notes), fontsize=11)
    return ax


def _draw_bic(ax: Axes, selection: RankSelection, shown: int, colour: str) -> None:
    right = ax.twinx()
    inside = selection.ranks <= shown
    right.plot(selection.ranks[inside], selection.bic[inside], "s-", color=colour, markersize=4, linewidth=1.2)
    best = int(selection.n_components)
    right.plot(best, selection.bic[list(selection.ranks).index(best)], "s", color=colour, markersize=10, mec="black")
    right.set_ylabel("BIC of probabilistic PCA", color=colour)
    right.spines["top"].set_visible(False)
