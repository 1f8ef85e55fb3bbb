"""What the neighbours of each row say of its labels, from rows as the user gives them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from underlie.data import Encoder
from underlie.estimators.ppca import ProbabilisticPCA
from underlie.models.neighbours import neighbour_graph, neighbour_prior, spreading_error
from underlie.models.semi_supervised import Label

Floats = NDArray[np.float64]

_MAX_COMPONENTS: Final = 50


def neighbour_hints(
    X: Any,
    space: Any,
    table: Encoder,
    labels: Sequence[Label],
    encoded: Floats,
    seen: NDArray[np.bool_],
    trust: float,
) -> tuple[dict[str, Floats], NDArray[np.intp]]:
    """Hints (see `Label.hint`), and the labels that were spread, -1 where none.

    Neighbours are looked for among the rows' projections on their first principal components, with missing cells at
    their conditional means; of a table once with columns as they are and once with columns of unit variance, and those
    are asked that find more of the labels that are hidden from them. Or in the space that the user gives. What they
    say counts ``trust`` times.
    """
    if space is None:
        spaces = [
            _projections(X, table, standardize=s) for s in ((False,) if len(table.row_shape) > 1 else (True, False))
        ]
    else:
        spaces = [_checked(space, len(encoded))]
    graphs = [neighbour_graph(s) for s in spaces]
    spread = np.full(encoded.shape, -1)
    hints = {}
    for j, label in enumerate(labels):
        if label.prior is None:
            continue
        codes = np.where(seen[:, j], encoded[:, j], -1).astype(int)
        base = label.prior.double().numpy()
        if not (codes >= 0).any():
            hints[label.hint] = np.tile(base, (len(codes), 1))
            continue
        graph, error = _best(graphs, codes, j)
        hints[label.hint], spread[:, j] = neighbour_prior(graph, codes, base, error, trust)
    return hints, spread


def _best(graphs: Sequence[csr_matrix], codes: NDArray[np.intp], seed: int) -> tuple[csr_matrix, float]:
    """The graph that finds most of the hidden labels, always the same ones hidden; and its share of errors."""
    errors = [spreading_error(graph, codes, np.random.default_rng(seed)) for graph in graphs]
    best = int(np.argmin(errors))
    return graphs[best], errors[best]


def _projections(X: Any, table: Encoder, *, standardize: bool) -> Floats:
    """Coordinates of each row on the first principal components, at most 50, at the lengths that they have in X."""
    if min(table.n_numeric, len(X)) < 3:  # too small for components: the numbers themselves, missing ones at the mean
        return np.nan_to_num((table.numeric(X) - table.numeric_loc) / table.numeric_scale)
    pca = ProbabilisticPCA(min(_MAX_COMPONENTS, table.n_numeric - 1, len(X) - 2), standardize=standardize)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the data has fewer dimensions is of no interest here
        z = pca.fit_transform(X)
    _, lengths, axes = np.linalg.svd(pca.components_.T, full_matrices=False)
    return np.asarray(z @ axes.T * lengths)


def _checked(space: Any, n: int) -> Floats:
    """The space that the user gives, as (n, k) finite numbers."""
    array = np.asarray(space, dtype=float)
    if array.ndim != 2 or len(array) != n or not array.shape[1]:
        raise ValueError(f"space must have shape (n, k), one row for each of the {n} rows of X, got {array.shape}.")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        raise ValueError(f"space, row {int(np.argmin(finite))}, is not finite: leave out such columns, or impute them.")
    return array
