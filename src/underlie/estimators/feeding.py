"""From the user's rows to what the engine eats: what gradient-learned estimators share."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from underlie.data import Encoded, Encoder, as_source
from underlie.data.sources import is_source, sample_rows
from underlie.engine import ResidentRows, Rows, StreamedRows
from underlie.models.start import START_ROWS

#: A source whose encoded values take at most this many bytes is read into memory once.
_RESIDENT_BYTES = 1 << 30
#: Excess kurtosis from which a continuous column is given Student's t.
_HEAVY = 4.0
#: Share of an image's cells at black or white from which it is ink on paper: USPS has .69, MNIST .82. The digits of
#: scikit-learn, .58, are averages of such images, greys that tell styles apart; photographs of faces have none.
_INK = 2 / 3
_MAX_EPOCHS, _MAX_STEPS, _PATIENCE = 400, 12_000, 30


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
    index : array (n,) or None
        Which rows of X they are; None for rows of a source.
    """

    encoded: Encoded
    coordinates: NDArray[np.float64]
    index: NDArray[np.intp] | None

    def __len__(self) -> int:
        return len(self.encoded)

    def some(self, rows: NDArray[np.intp]) -> StartRows:
        """Some of them."""
        observed = None if self.encoded.observed is None else self.encoded.observed[rows]
        index = None if self.index is None else self.index[rows]
        return StartRows(Encoded(self.encoded.values[rows], observed), self.coordinates[rows], index)


@final
@dataclass(frozen=True)
class Pace:
    """How fast and how long to train: what "auto" stands for in ``batch_size``, ``max_epochs`` and ``patience``."""

    batch_size: int
    max_epochs: int
    patience: int

    @classmethod
    def of(cls, n: int, batch_size: int | str, max_epochs: int | str, patience: int | str) -> Pace:
        """The pace for n rows."""
        batch = min(512, max(32, n // 12)) if isinstance(batch_size, str) else int(batch_size)
        most = max(1, _MAX_STEPS // max(1, n // batch))
        epochs = min(_MAX_EPOCHS, most) if isinstance(max_epochs, str) else int(max_epochs)
        wait = min(_PATIENCE, max(10, epochs // 8)) if isinstance(patience, str) else int(patience)
        return cls(batch, epochs, wait)


def heavy_tails(encoded: Encoded, row_shape: tuple[int, ...]) -> list[bool]:
    """Which columns of a table have an excess kurtosis above 4; no pixel of an image has, by decision.

    A uniform distribution has -1.2, a normal one 0, an exponential one 6. Pixels are judged by their values, not by
    their tails.
    """
    n_columns = encoded.values.shape[1]
    if len(row_shape) != 1:
        return [False] * n_columns
    x = encoded.values if encoded.observed is None else np.where(encoded.observed, encoded.values, np.nan)
    centred = x - np.nanmean(x, axis=0)
    spread = np.nanmean(centred**2, axis=0)
    standard = np.divide(centred**2, spread, out=np.zeros_like(centred), where=spread > 0)
    return list(np.nanmean(standard**2, axis=0) - 3.0 > _HEAVY)


def ink_on_paper(first: StartRows, encoder: Encoder) -> bool:
    """Whether rows are images of intensities most of which are exactly the lowest or the highest possible.

    A density has no atoms. That of a pixel which is exactly black in most images grows as far as it is let; beside it
    the divergence counts for nothing, codes leave the prior, and what is generated from the prior is not like the data.
    """
    if len(encoder.row_shape) == 1 or not {"binary", "proportion"}.issuperset(encoder.schema.kinds):
        return False
    x = first.encoded.values if first.encoded.observed is None else first.encoded.values[first.encoded.observed]
    return bool(x.size) and float(np.mean((x == 0) | (x == 1))) >= _INK


def start_rows(X: Any, encoder: Encoder) -> StartRows:
    """At most `START_ROWS` rows of X, at random but always the same."""
    from_source = is_source(X)
    if from_source:
        X = sample_rows(as_source(X), START_ROWS)
    encoded, numeric, index = encoder.some(X, START_ROWS)
    numeric -= encoder.numeric_loc
    numeric /= encoder.numeric_scale
    return StartRows(encoded, numeric, None if from_source else index)


def engine_rows(name: str, X: Any, encoder: Encoder, device: torch.device) -> Rows:
    """Rows of one variable: tensors in memory, or read batch by batch where X is a source too large for that."""
    if is_source(X):
        source = as_source(X)
        if len(source) * encoder.n_columns * 4 > _RESIDENT_BYTES:
            return StreamedRows(name, source, encoder, device)
        return ResidentRows.of_source(name, source, encoder, device)
    encoded = encoder.encode(X)
    masks = {} if encoded.observed is None else {name: torch.as_tensor(encoded.observed, device=device)}
    return ResidentRows({name: torch.as_tensor(encoded.values, dtype=torch.float32, device=device)}, masks)


def mean_log_scale(encoder: Encoder, rows: Rows) -> float:
    """Mean over rows of log |d encoded / d data|: what turns bounds on the encoded scale into bounds on the data's."""
    observed = None
    if isinstance(rows, StreamedRows):  # a sample is enough for the share of missing cells
        observed = encoder.encode(sample_rows(rows.source, START_ROWS)).observed
    elif isinstance(rows, ResidentRows) and "x" in rows.observed:
        observed = rows.observed["x"].cpu().numpy()
    return float(np.mean(encoder.log_abs_det(observed, 1 if observed is None else len(observed))))


def torch_device(device: Any) -> torch.device:
    """The device that a name stands for; "auto" is a GPU where there is one, of several processes each its own.

    Raises
    ------
    ValueError
        If there is no such device here.
    """
    if device == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        here = os.environ.get("LOCAL_RANK")  # torchrun's number of this process on this machine
        return torch.device("cuda") if here is None else torch.device("cuda", int(here) % torch.cuda.device_count())
    found = re.fullmatch(r"cpu|cuda(?::(\d+))?", device) if isinstance(device, str) else None
    if found is None:
        raise ValueError(f"device is {device!r}; choose 'auto', 'cpu', 'cuda', or 'cuda:0' and so on.")
    if device != "cpu" and int(found.group(1) or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device is {device!r}, but PyTorch {torch.__version__} finds {torch.cuda.device_count()} CUDA GPUs here; "
            "use device='auto' or 'cpu', or install a build of PyTorch for your GPU. "
            "(more: underlie explain no-such-device)"
        )
    return torch.device(device)
