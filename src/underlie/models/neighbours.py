r"""What the neighbours of a row say of its label: labels spread over a graph, and the prior that they make.

.. math:: F = (1 - a)(I - a S)^{-1} Y, \qquad S = D^{-1/2} W D^{-1/2}, \quad
          W_{ij} = \exp(-d_{ij}^2 / (s_i s_j)), \quad a = 0.99

s_i is the distance of row i to its farthest neighbour. The class of largest F is right in a share 1 - e of the rows,
which is found by hiding labels. So the prior of a row's label is

.. math:: p_i(y) = 1 - e \text{ for that class}, \qquad p_i(y) = e / (K - 1) \text{ for every other.}

The bound of unlabelled rows has many optima, and most sort the rows by something other than the labels, slant for
example; from this prior on the nearest one is the right one.
"""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestNeighbors
from sklearn.semi_supervised import LabelSpreading

Floats = NDArray[np.float64]

_NEIGHBOURS: Final = 10
_PERSISTENCE: Final = 0.99
_MAX_ITER: Final = 200
_FOLDS: Final = 4


def neighbour_graph(features: NDArray[np.floating]) -> csr_matrix:
    """Symmetric weights between nearest neighbours, with a scale of its own for each row (Zelnik-Manor & Perona, 2004).

    Parameters
    ----------
    features : array (n, M)
        Rows in a space where distances mean something.

    Returns
    -------
    sparse matrix (n, n)
    """
    n = len(features)
    k = min(_NEIGHBOURS, n - 1)
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(np.asarray(features, dtype=np.float32))
    distance, neighbour = search.kneighbors()
    farthest = distance[:, -1]
    scale = farthest[:, None] * farthest[neighbour]
    weight = np.exp(-np.divide(distance**2, scale, out=np.zeros_like(distance), where=scale > 0))
    graph = csr_array((weight.ravel(), (np.repeat(np.arange(n), k), neighbour.ravel())), shape=(n, n))
    return csr_matrix(graph.maximum(graph.T))


def spread_labels(graph: csr_matrix, codes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Classes of all rows from those of some.

    Parameters
    ----------
    graph : sparse matrix (n, n)
        See `neighbour_graph`.
    codes : array (n,)
        Class of each row, -1 where it is unknown.

    Returns
    -------
    array (n,)
        -1 where no labelled row can be reached.

    References
    ----------
    Zhou, Bousquet, Lal, Weston & Schölkopf (2004), Learning with local and global consistency.
    """
    model = LabelSpreading(kernel=lambda _, __: graph, alpha=_PERSISTENCE, max_iter=_MAX_ITER, tol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the largest entry settles long before the last digit
        # The kernel is the graph; the rows themselves are not looked at.
        distribution = model.fit(np.zeros((len(codes), 1)), codes).label_distributions_
    reached = distribution.sum(axis=1) > 0
    found = model.classes_[distribution.argmax(axis=1)]
    return np.where(codes >= 0, codes, np.where(reached, found, -1))


def spreading_error(graph: csr_matrix, codes: NDArray[np.intp], rng: np.random.Generator) -> float:
    """Share of labelled rows that spreading gets wrong, each fold's from the labels of the others.

    One error and one success are added, so that few labels never promise certainty.
    """
    labelled = rng.permutation(np.flatnonzero(codes >= 0))
    wrong = 0
    for fold in np.array_split(labelled, min(_FOLDS, len(labelled))):
        hidden = codes.copy()
        hidden[fold] = -1
        found = spread_labels(graph, hidden)[fold] if (hidden >= 0).any() else np.full(len(fold), -1)
        wrong += int((found != codes[fold]).sum())
    return (wrong + 1) / (len(labelled) + 2)


def neighbour_prior(
    graph: csr_matrix, codes: NDArray[np.intp], base: Floats, error: float, trust: float = 1.0
) -> tuple[Floats, NDArray[np.intp]]:
    """Logarithm of the prior of each row's label, up to a constant, and the label that was spread to it.

    Parameters
    ----------
    graph : sparse matrix (n, n)
    codes : array (n,)
        Class of each row, -1 where it is unknown.
    base : array (K,)
        Logarithm of the prior of rows of which neighbours say nothing, and of labelled ones.
    error : float
        Share of rows of which neighbours say something wrong; see `spreading_error`.
    trust : float
        How many times what they say counts.

    Returns
    -------
    array (n, K), array (n,)
    """
    spread = spread_labels(graph, codes)
    # Neighbours that are no better than chance say nothing.
    evidence = max(0.0, float(np.log((1 - error) * (len(base) - 1) / error)))
    prior = np.tile(base, (len(codes), 1))
    told = np.flatnonzero((codes < 0) & (spread >= 0))
    prior[told] = 0.0
    prior[told, spread[told]] = trust * evidence
    return prior, spread
