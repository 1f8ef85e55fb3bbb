"""Who else fits probabilistic PCA with cells missing, or fills in a table: a plain EM, and libraries.

Libraries are imported where they are used: ``pip install 'underlie[benchmarks]'``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from underlie.models.ppca import LinearGaussian

Array = NDArray[np.float64]


def ppca_py(table: Array, rank: int) -> LinearGaussian:
    """ppca-py with its defaults."""
    from ppca import PPCA

    found = PPCA(rank, random_state=0).fit(table).get_params()
    return LinearGaussian(found["mean"], found["components"].T, float(found["noise_variance"]))


def rustypca(table: Array, rank: int, **settings: float) -> LinearGaussian:
    """rustypca, with its defaults but for the settings; its mean is that of the observed cells, not estimated."""
    from rustypca import PPCA

    fitted = PPCA(rank, **settings).fit(table)
    return LinearGaussian(fitted.mean_, fitted.components_.T.copy(), float(fitted.noise_variance_))


def iterative_imputer(table: Array) -> Array:
    """scikit-learn's chained Bayesian ridge regressions with their defaults: the table, filled in."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    return np.asarray(IterativeImputer(random_state=0).fit_transform(table))


def plain_em(table: np.ndarray, rank: int, tol: float = 1e-6) -> LinearGaussian:
    """Textbook EM, vectorised over rows: pairwise start, mean updated with the loadings, stops on the relative step."""
    seen = ~np.isnan(table)
    mask = seen.astype(float)
    filled = np.where(seen, table, 0.0)
    mean = filled.sum(axis=0) / mask.sum(axis=0)
    centred = np.where(seen, table - mean, 0.0)
    values, vectors = np.linalg.eigh(centred.T @ centred / (mask.T @ mask))
    noise = values[:-rank].mean()
    loadings = vectors[:, -rank:] * np.sqrt(values[-rank:] - noise)
    previous = -np.inf
    while True:
        outer = (loadings[:, :, None] * loadings[:, None, :]).reshape(len(loadings), -1)
        precision = (mask @ outer).reshape(-1, rank, rank) / noise + np.eye(rank)
        centred = filled - mask * mean
        projected = centred @ loadings / noise
        spread = np.linalg.inv(precision)
        latent = (spread @ projected[:, :, None])[:, :, 0]
        log_det = np.linalg.slogdet(precision)[1] + mask.sum(axis=1) * np.log(2 * np.pi * noise)
        quadratic = (centred**2).sum(axis=1) / noise - (projected * latent).sum(axis=1)
        likelihood = -0.5 * (log_det + quadratic).mean()
        if likelihood - previous < tol * abs(previous):
            return LinearGaussian(mean, loadings, noise)
        previous = likelihood
        second = np.empty((len(table), rank + 1, rank + 1))
        second[:, :-1, :-1] = spread + latent[:, :, None] * latent[:, None, :]
        second[:, -1, :-1] = second[:, :-1, -1] = latent
        second[:, -1, -1] = 1.0
        gram = (mask.T @ second.reshape(len(table), -1)).reshape(-1, rank + 1, rank + 1)
        cross = np.column_stack([filled.T @ latent, filled.sum(axis=0)])
        coefficients = np.linalg.solve(gram, cross[:, :, None])[:, :, 0]
        noise = ((filled**2).sum() - (coefficients * cross).sum()) / mask.sum()
        loadings, mean = coefficients[:, :-1], coefficients[:, -1]
