"""Posterior draws as ArviZ keeps them: named dimensions, coordinates, groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from underlie import __version__
from underlie.estimators.base import as_generator, checked_count
from underlie.estimators.ppca import ProbabilisticPCA
from underlie.estimators.scaled_gaussian import ScaledGaussian
from underlie.estimators.vae import VAE
from underlie.exchange.networks import affine
from underlie.optional import require

if TYPE_CHECKING:
    import xarray

Floats = NDArray[np.float64]
RandomState = int | np.random.Generator | np.random.RandomState | None


def to_inference_data(
    model: Any, X: Any, n_draws: int = 500, *, n_importance: int = 1024, random_state: RandomState = 0
) -> xarray.DataTree:
    r"""Draws of the latent variables and of the missing cells of rows, as ArviZ keeps them.

    Draws are independent, so they are one chain; effective sample sizes are about ``n_draws``. The parameters of the
    model are taken as known, as in every answer of the package.

    ======================== ============================ ===========================================================
    group                    variable (dimensions)        what it is
    ======================== ============================ ===========================================================
    ``posterior``            ``z`` (row, latent)          draws from :math:`p(z \mid x_{obs})`: exact of
                                                          `ProbabilisticPCA`, by importance resampling of `VAE`
    ``posterior_predictive`` one per column with missing  draws from :math:`p(x_{mis} \mid x_{obs})`; observed cells are
                             cells (row)                  the same in all draws
    ``observed_data``        one per column (row)         the data, NaN where missing
    ======================== ============================ ===========================================================

    A discrete column holds the positions of its levels, which its attribute ``levels`` names. The index of a pandas
    table names the rows. ArviZ 1.0 and later work with the result as it is; earlier ones after
    ``arviz.InferenceData.from_datatree(result)``. Needs ``pip install "underlie[arviz]"``.

    Parameters
    ----------
    model : fitted ProbabilisticPCA or VAE
    X : table or array of n rows
        Like the data of ``fit``, no images.
    n_draws : int
    n_importance : int
        Of a `VAE`: draws from the guide among which those of a row are drawn again by their weights.
    random_state : int, Generator, RandomState or None

    Returns
    -------
    xarray.DataTree

    Raises
    ------
    TypeError
        If the model is of another class.
    ValueError
        If X cannot be used, or are images.
    ImportError
        If arviz-base is not installed.

    Warns
    -----
    ImportanceSamplingWarning
        If more than a tenth of the rows have a Pareto k above 0.7.

    References
    ----------
    Kumar, Carroll, Hartikainen & Martin (2019), ArviZ: a unified library for exploratory analysis of Bayesian models.

    Examples
    --------
    >>> import underlie as ul
    >>> X = ul.datasets.load_lung()
    >>> model = ul.ProbabilisticPCA(2, standardize=True).fit(X)
    >>> found = ul.to_inference_data(model, X.head(20), n_draws=100)
    >>> dict(found["posterior"]["z"].sizes)
    {'chain': 1, 'draw': 100, 'row': 20, 'latent': 2}
    >>> sorted(found.children)
    ['observed_data', 'posterior', 'posterior_predictive']
    """
    require("arviz_base", "arviz")
    from arviz_base import from_dict

    if not isinstance(model, (ProbabilisticPCA, VAE)):
        raise TypeError(f"draws are given of a fitted ProbabilisticPCA or VAE, not of a {type(model).__name__}.")
    check_is_fitted(model)
    if len(model.encoder_.row_shape) > 1:
        raise ValueError("draws are given of tables, and the model was fitted to images: use posterior and impute.")
    n_draws, rng = checked_count(n_draws, "n_draws"), as_generator(random_state)
    checked_count(n_importance, "n_importance")
    if isinstance(model, ProbabilisticPCA):
        z, encoded = _draws_of_ppca(model, X, n_draws, rng)
    else:
        z, encoded = model._fitted().joint_draws(X, n_draws, n_importance, int(rng.integers(2**31 - 1)))
    # as rows of the data, whole numbers where the columns hold such
    drawn = model.encoder_.decode(encoded.reshape(-1, encoded.shape[-1]))
    completed = _positions(model, drawn)[0].reshape(encoded.shape)
    observed, missing = _positions(model, X)
    names = [str(column.name) for column in model.schema_]
    holed = [j for j in range(len(names)) if missing[:, j].any()]
    groups = {
        "posterior": {"z": z[None]},
        "posterior_predictive": {
            names[j]: np.where(missing[:, j], completed[:, :, j], observed[:, j])[None] for j in holed
        },
        "observed_data": {names[j]: observed[:, j] for j in range(len(names))},
    }
    if not holed:
        del groups["posterior_predictive"]
    index = getattr(X, "index", None)
    coordinates = {
        "row": np.arange(len(z[0])) if index is None or callable(index) else np.asarray(index),
        "latent": np.arange(z.shape[-1]),
    }
    tree = from_dict(groups, coords=coordinates, dims={"z": ["row", "latent"]} | {name: ["row"] for name in names})
    for column in model.schema_:
        for group in set(tree.children) - {"posterior"}:
            if column.levels is not None and str(column.name) in tree[group]:
                tree[group][str(column.name)].attrs["levels"] = [str(level) for level in column.levels]
    tree.attrs.update(inference_library="underlie", inference_library_version=__version__)
    return tree


def _draws_of_ppca(model: ProbabilisticPCA, X: Any, n_draws: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draws from p(z, x | x_obs), x encoded: (n_draws, n, M) and (n_draws, n, C)."""
    found, gaussian = model.posterior(X), ScaledGaussian(model.model_, model.scale_)
    assert found.covariance is not None
    root = np.linalg.cholesky(found.covariance)
    z = found.mean + np.einsum("nij,dnj->dni", root, rng.standard_normal((n_draws, *found.mean.shape)))
    x = gaussian.expected(z) + np.sqrt(gaussian.noise) * rng.standard_normal((*z.shape[:2], len(gaussian.mean)))
    encoded = model.encoder_.encoded_from_numeric(x.reshape(-1, x.shape[-1]))
    return z, encoded.reshape(*z.shape[:2], -1)


def _positions(model: ProbabilisticPCA | VAE, X: Any) -> tuple[Floats, NDArray[np.bool_]]:
    """Rows as numbers, positions of levels where a column is discrete; NaN, and True in the mask, where missing."""
    encoded = model.encoder_.encode(X)
    loc, scale = affine(model.encoder_)
    rows = encoded.values * scale + loc
    missing = np.zeros(rows.shape, dtype=bool) if encoded.observed is None else ~encoded.observed
    rows[missing] = np.nan
    return rows, missing
