"""What the rows are: their shape, columns, missing cells, and whether they are like those that were fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from underlie.report.facts.judged import Judged, fingerprint, seen_by
from underlie.report.plain import plain


def data_facts(model: Any, judged: Judged, held_out: bool | None) -> dict[str, Any]:
    """Facts on the columns that the model describes, in the rows that are judged."""
    covariates = getattr(model, "covariates", None)
    X = judged.X if covariates is None else covariates(judged.X)
    encoded = model.encoder_.encode(X)
    n, width = encoded.values.shape
    observed = np.ones((n, width), dtype=bool) if encoded.observed is None else encoded.observed
    outside = _outside(model, encoded.values, observed)
    missing = 1 - observed.mean(axis=0)
    row_shape = tuple(int(k) for k in model.encoder_.row_shape)
    columns = [
        {
            "name": column.name,
            "kind": column.kind,
            "levels": None if column.levels is None else plain(column.levels),
            "low": plain(column.low),
            "high": plain(column.high),
            "missing": float(absent),
            "outside": int(beyond),
            "far_outside": int(far),
        }
        for column, absent, beyond, far in zip(model.schema_, missing, *outside, strict=True)
    ]
    return {
        "n_rows": int(n),
        "n_given": judged.n_given,
        "n_columns": int(width),
        "shape": list(judged.shape),
        "row_shape": list(row_shape),
        "is_image": len(row_shape) > 1,
        "missing": float(1 - observed.mean()),
        "complete_rows": int(observed.all(axis=1).sum()),
        "empty_rows": int((~observed.any(axis=1)).sum()),
        "columns": columns,
        "treatments": [str(name) for name in getattr(model, "treatments_", [])],
        "seen": seen_by(model, judged, held_out),
        "with_y": judged.y is not None,
        "fingerprint": fingerprint(judged.X, judged.y),
    }


def _outside(
    model: Any, values: NDArray[np.float64], observed: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Observed cells of each numeric column beyond the range of the training rows, and by more than its width."""
    arrays = model.schema_.arrays
    numbers = values * arrays.scale + arrays.loc
    # what was encoded and decoded again may miss its own range by rounding
    slack = 1e-9 * (np.abs(arrays.low) + np.abs(arrays.high))
    width = arrays.high - arrays.low
    with np.errstate(invalid="ignore"):
        beyond, far = (
            ((numbers < arrays.low - room) | (numbers > arrays.high + room)) & observed
            for room in (slack, slack + width)
        )
    return beyond.sum(axis=0), far.sum(axis=0)
