"""Python values as JSON and back without loss: tuples, inf and nan, numpy scalars and small arrays keep their type.

JSON has no tuples, no infinities and no numpy. A value it cannot hold is written as an object with the key ``"$"``,
which names what it was::

    (1, inf)   ->  {"$": "tuple", "v": [1, {"$": "float", "v": "inf"}]}

Only the closed set of tags below is ever read, and reading one builds plain data: nothing in a file can name code, and
what is built is no larger than a fixed multiple of the text that describes it.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

_TAG = "$"
#: dtype kinds whose elements can be written: bool, integers, floats, text, dates, durations
_NUMPY_KINDS = "biufUMm"
#: how numpy spells the types of these kinds, and no other; a spelling is not handed to numpy before it matches
_NUMPY_TYPE = re.compile(r"object|[<>=|]?(b1|[iu][1248]|f[248]|U\d{1,9}|[mM]8(\[\d{0,9}[a-zA-Z]{1,7}\])?)")
#: text is stored in cells at most so many characters wider than the longest of the array
_SPARE = 64
#: product of the lengths of the other axes of an array that has an axis of length 0, at most
_EMPTY = 1_000_000


def encode(value: Any, where: str = "value") -> Any:
    """Turn a Python value into JSON types; the inverse of :func:`decode`.

    Parameters
    ----------
    value : None, bool, int, float, str, tuple, list, dict, numpy scalar or numpy array
        Containers may hold any of these. Object arrays are written element by element.
    where : str
        What the value is called in an error message.

    Returns
    -------
    JSON value

    Raises
    ------
    TypeError
        If the value, or something in it, is of another type.

    Examples
    --------
    >>> encode((1, float("inf")))
    {'$': 'tuple', 'v': [1, {'$': 'float', 'v': 'inf'}]}
    >>> decode(encode((1, float("inf"))))
    (1, inf)
    """
    if isinstance(value, np.generic):
        return _encode_scalar(value, where)
    if isinstance(value, np.ndarray):
        return _encode_array(value, where)
    if isinstance(value, float):
        # repr of a finite float reads back as the same bits, and that is what json writes
        return value if math.isfinite(value) else {_TAG: "float", "v": repr(value)}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, tuple):
        return {_TAG: "tuple", "v": [encode(v, f"{where}[{i}]") for i, v in enumerate(value)]}
    if isinstance(value, list):
        return [encode(v, f"{where}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, dict):
        return _encode_dict(value, where)
    raise TypeError(
        f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which cannot be stored in a file. "
        "Use numbers, strings, None, tuples, lists, dicts or numpy arrays of these."
    )


def decode(value: Any) -> Any:
    """Turn what :func:`encode` wrote back into the Python value it was.

    Raises
    ------
    ValueError
        If a tag is unknown or its content does not fit it.
    """
    if isinstance(value, list):
        return [decode(v) for v in value]
    if not isinstance(value, dict):
        return value
    if _TAG not in value:
        return {k: decode(v) for k, v in value.items()}
    tag, content = value[_TAG], value.get("v")
    if tag == "float" and content in ("inf", "-inf", "nan"):
        return float(content)
    if tag == "tuple" and isinstance(content, list):
        return tuple(decode(v) for v in content)
    if tag == "dict" and isinstance(content, list):
        return {decode(k): decode(v) for k, v in content}
    if tag == "numpy" and isinstance(content, list):
        return _decode_array(value, content)
    raise ValueError(f"unknown or malformed tag {tag!r}")


def _encode_dict(value: dict[Any, Any], where: str) -> dict[str, Any]:
    if all(isinstance(k, str) for k in value) and _TAG not in value:
        return {str(k): encode(v, f"{where}[{k!r}]") for k, v in value.items()}
    pairs = [[encode(k, f"a key of {where}"), encode(v, f"{where}[{k!r}]")] for k, v in value.items()]
    return {_TAG: "dict", "v": pairs}


def _encode_scalar(value: np.generic, where: str) -> dict[str, Any]:
    return {**_encode_array(np.asarray(value), where), "scalar": True}


def _encode_array(value: np.ndarray, where: str) -> dict[str, Any]:
    kind = value.dtype.kind
    if kind == "O":
        items = [encode(v, where) for v in value.ravel().tolist()]
        return {_TAG: "numpy", "dtype": "object", "shape": list(value.shape), "v": items}
    if kind not in _NUMPY_KINDS or (value.dtype.itemsize > 8 and kind == "f"):
        raise TypeError(f"{where} has numpy type {value.dtype}, which cannot be stored in a file.")
    dtype = value.dtype.newbyteorder("=")
    flat = value.astype(dtype).ravel()
    if kind in "Mm":
        flat = flat.view(np.int64)
    items = [encode(v) for v in flat.tolist()]
    return {_TAG: "numpy", "dtype": dtype.str, "shape": list(value.shape), "v": items}


def _decode_array(value: dict[str, Any], content: list[Any]) -> Any:
    name = str(value.get("dtype"))
    if not _NUMPY_TYPE.fullmatch(name):
        raise ValueError(f"numpy type {name[:40]} is not one that is stored")
    dtype = np.dtype(name)
    items = [decode(v) for v in content]
    shape = tuple(int(n) for n in value.get("shape", ()))
    # an array without elements may have an axis of any length, for which numpy would take memory
    if math.prod(n or 1 for n in shape) > max(len(items), _EMPTY):
        raise ValueError(f"{len(items)} values do not make an array of shape {shape}")
    if dtype.kind == "O":
        flat = np.empty(len(items), dtype=object)
        for i, item in enumerate(items):  # one by one: a slice would spread an item that is itself a list
            flat[i] = item
    elif dtype.kind in "Mm":
        flat = np.asarray(items, dtype=np.int64).view(dtype)
    else:
        flat = np.asarray(items, dtype=_as_wide_as_needed(dtype, items) if dtype.kind == "U" else dtype)
    array = flat.reshape(shape)
    return array[()] if value.get("scalar") is True else array


def _as_wide_as_needed(dtype: np.dtype[Any], items: list[Any]) -> np.dtype[Any]:
    """The type of text, narrowed where cells are far wider than any text in them: a width costs nothing to claim."""
    longest = max((len(str(item)) for item in items), default=0)
    return np.dtype(f"=U{min(dtype.itemsize // 4, longest + _SPARE)}")
