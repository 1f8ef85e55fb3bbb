"""From Python and NumPy values to types that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """``value`` as JSON types: arrays become lists, numbers that are not finite become None, the rest its repr.

    Examples
    --------
    >>> import numpy as np
    >>> plain({"loss": np.array([1.5, np.nan]), "hidden": (8, 8), "seed": np.int64(3)})
    {'loss': [1.5, None], 'hidden': [8, 8], 'seed': 3}
    """
    if isinstance(value, np.generic):  # before float and str, of which NumPy's are subclasses
        return plain(value.item())
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()] if value.ndim else plain(value.item())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return repr(value)
