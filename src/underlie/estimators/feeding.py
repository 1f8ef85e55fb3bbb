"""From the user's rows to what the engine eats: what gradient-learned estimators share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from underlie.data import Encoded, Encoder, as_source
from underlie.data.sources import is_source, sample_rows
from underlie.engine import ResidentRows, Rows, StreamedRows
from underlie.estimators.base import as_generator
from underlie.models.start import START_ROWS

#: A source whose encoded values take at most this many bytes is read into memory once.
_RESIDENT_BYTES = 1 << 30


@final
@dataclass(frozen=True)
class StartRows:
    """The rows that a start looks at.

    Attributes
    ----------
    encoded : Encoded
        Their encoded values.
    coordinates : array (n, P)
        The same as the likelihood's coordinates (indicators for categoricals), NaN where missing.
    """

    encoded: Encoded
    coordinates: NDArray[np.float64]


def start_rows(X: Any, encoder: Encoder) -> StartRows:
    """At most `START_ROWS` rows of X, at random but always the same."""
    if is_source(X):
        X = sample_rows(as_source(X), START_ROWS)
    encoded, numeric = encoder.encode(X), encoder.numeric(X)
    if len(encoded) > START_ROWS:
        chosen = np.sort(np.random.default_rng(0).choice(len(encoded), START_ROWS, replace=False))
        observed = None if encoded.observed is None else encoded.observed[chosen]
        encoded, numeric = Encoded(encoded.values[chosen], observed), numeric[chosen]
    return StartRows(encoded, (numeric - encoder.numeric_loc) / encoder.numeric_scale)


def engine_rows(name: str, X: Any, encoder: Encoder, device: torch.device) -> Rows:
    """Rows of one variable: tensors in memory, or read batch by batch where X is a source too large for that."""
    if is_source(X):
        source = as_source(X)
        if len(source) * encoder.n_columns * 4 > _RESIDENT_BYTES:
            return StreamedRows(name, source, encoder, device)
        X = source[0 : len(source)]
    encoded = encoder.encode(X)
    masks = {} if encoded.observed is None else {name: torch.as_tensor(encoded.observed, device=device)}
    return ResidentRows({name: torch.as_tensor(encoded.values, dtype=torch.float32, device=device)}, masks)


def mean_log_scale(encoder: Encoder, rows: Rows) -> float:
    """Mean over rows of log |d encoded / d data|: what turns bounds on the encoded scale into bounds on the data's."""
    observed = None
    if isinstance(rows, ResidentRows) and "x" in rows.observed:
        observed = rows.observed["x"].cpu().numpy()
    return float(np.mean(encoder.log_abs_det(observed, len(rows) if observed is not None else 1)))


def torch_device(device: Any) -> torch.device:
    """The device that a name stands for; "auto" is a GPU where there is one.

    Raises
    ------
    ValueError
        If there is no such device here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = re.fullmatch(r"cpu|cuda(?::(\d+))?", device) if isinstance(device, str) else None
    if found is None:
        raise ValueError(f"device is {device!r}; choose 'auto', 'cpu', 'cuda', or 'cuda:0' and so on.")
    if device != "cpu" and int(found.group(1) or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device is {device!r}, but PyTorch {torch.__version__} finds {torch.cuda.device_count()} CUDA GPUs here; "
            "use device='auto' or 'cpu', or install a build of PyTorch for your GPU."
        )
    return torch.device(device)


def seed_of(random_state: Any) -> int:
    """One seed from an int, a generator or None."""
    return int(as_generator(random_state).integers(2**31 - 1))
