"""Ways to damage a saved model: by accident, and on purpose with a checksum that is right again."""

from __future__ import annotations

import copy
import hashlib
import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

Generator = np.random.Generator

#: what an attacker may write in the place of any value
_HOSTILE: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 10**9, 10**18, 2**63, 10**30, -(10**9), 0.5, -1e-300, 1e308, 1e400, float("nan")),
    *("", "x", "x" * 3_000, "__class__", "os.system", "../../etc/passwd", "meta", "cuda", "conv", "auto", "\ud800"),
    *([], {}, [[]], [[1]], [1, [2, [3]]], [0] * 1000, {"a": 1}, {"all": 1}, {"all": [1, 2]}, [10**9], [10**9, 10**9]),
    *({"$": "unknown"}, {"$": "tuple"}, {"$": "tuple", "v": [10**9]}, {"$": "float", "v": "inf"}),
    *(
        {"$": "float", "v": "nan"},
        {"$": "dict", "v": [[1, 2]]},
        {"$": "dict", "v": [[[1], 2]]},
        {"$": "dict", "v": [1]},
    ),
    {"$": "numpy", "dtype": "<U99999999", "shape": [1], "v": ["a"]},
    {"$": "numpy", "dtype": "(1000000000,)f8", "shape": [1], "v": [1]},
    {"$": "numpy", "dtype": "V1000000000", "shape": [1], "v": [1]},
    {"$": "numpy", "dtype": "<f8", "shape": [10**15, 0], "v": []},
    {"$": "numpy", "dtype": "<i8", "shape": [10**15], "v": [1]},
    {"$": "numpy", "dtype": "<i8", "shape": [], "v": [10**9], "scalar": True},
    {"$": "numpy", "dtype": "object", "shape": [1], "v": [{"$": "tuple", "v": []}]},
    {"$": "numpy", "dtype": "<M8[ns]", "shape": [1], "v": [0]},
    {"$": "underlie:module", "class": "Sequential"},
    {"n_columns": 10**9, "names": {"prefix": "x", "shape": [10**9]}},
)
_NUMBERS = ("F32", "F64", "F16", "BF16", "I64", "I32", "U8", "I8", "BOOL", "F8_E4M3", "C64", "Q9")


def parts(blob: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and numbers."""
    (length,) = struct.unpack("<Q", blob[:8])
    return json.loads(blob[8 : 8 + length]), blob[8 + length :]


def joined(header: dict[str, Any], numbers: bytes) -> bytes:
    """A file with these parts and a checksum that is right."""
    told = {k: v for k, v in header["__metadata__"].items() if k != "underlie.sha256"}
    text = json.dumps({**header, "__metadata__": told}, sort_keys=True)
    told["underlie.sha256"] = hashlib.sha256(text.encode() + numbers).hexdigest()
    text = json.dumps({**header, "__metadata__": told})
    return struct.pack("<Q", len(text)) + text.encode() + numbers


def with_document(blob: bytes, document: Any) -> bytes:
    """The file with another description."""
    header, numbers = parts(blob)
    header["__metadata__"]["underlie"] = document if isinstance(document, str) else json.dumps(document)
    return joined(header, numbers)


def document_of(blob: bytes) -> dict[str, Any]:
    """The description."""
    document: dict[str, Any] = json.loads(parts(blob)[0]["__metadata__"]["underlie"])
    return document


# ---------------------------------------------------------------------------------------------------- by accident


def damaged(blob: bytes, other: bytes, rng: Generator) -> bytes:
    """Bits flipped, bytes cut, inserted, overwritten, spliced from another file, or the header's length edited."""
    out = bytearray(blob)
    at = int(rng.integers(len(out)))
    kind = rng.integers(8)
    if kind == 0:
        for place in rng.integers(len(out), size=rng.integers(1, 9)):
            out[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del out[at:]
    elif kind == 2:
        out[at:at] = rng.bytes(int(rng.integers(1, 300)))
    elif kind == 3:
        del out[at : at + int(rng.integers(1, 300))]
    elif kind == 4:
        out[at : at + 16] = rng.bytes(len(out[at : at + 16]))
    elif kind == 5:
        out[at:] = other[min(at, len(other)) :]
    elif kind == 6:
        length = int.from_bytes(out[:8], "little") + int(rng.integers(-40, 41))
        out[:8] = struct.pack("<q", int(rng.choice([length, 0, -1, 2**40, 10**8, len(out)])))
    else:
        digit = [i for i in range(8, min(len(out), 4000)) if 48 <= out[i] <= 57]
        out[digit[int(rng.integers(len(digit)))]] = int(rng.integers(48, 58))
    return bytes(out)


# ---------------------------------------------------------------------------------------------------- on purpose


def rewritten(blob: bytes, other: bytes, rng: Generator) -> bytes:
    """The description changed in one to three places, or parts of it taken from another model."""
    document = document_of(blob)
    for _ in range(rng.integers(1, 4)):
        place, key = _somewhere(document, rng)
        kind = rng.integers(10)
        if kind < 6:
            place[key] = copy.deepcopy(_HOSTILE[int(rng.integers(len(_HOSTILE)))])
        elif kind == 6:
            del place[key]
        elif kind == 7:
            there, its = _somewhere(document_of(other), rng)
            place[key] = there[its]
        elif kind == 8 and isinstance(place, list):
            place.extend(copy.deepcopy(place[:50]))
        elif kind == 8:
            place[str(key) + "_"] = place.pop(key)
        else:
            parts_of_other = document_of(other)
            part = str(rng.choice(sorted(parts_of_other)))
            document[part] = parts_of_other[part]
        if not document:
            break
    return with_document(blob, document)


def _somewhere(document: Any, rng: Generator) -> tuple[Any, Any]:
    """A container within the description, and a key of it."""
    place = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = keys[int(rng.integers(len(keys)))]
        inner = place[key]
        if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.1:
            return place, key
        place = inner


def reshaped(blob: bytes, other: bytes, rng: Generator) -> bytes:
    """A tensor with another shape, type, place, content or name, or from another model, or left out."""
    header, numbers = parts(blob)
    raw = bytearray(numbers)
    names = [n for n in header if n != "__metadata__"]
    name = names[int(rng.integers(len(names)))]
    tensor = header[name]
    shape, (start, end) = tensor["shape"], tensor["data_offsets"]
    kind = rng.integers(10)
    if kind == 0:
        tensor["shape"] = shape[::-1] if rng.random() < 0.5 else [*shape, 1]
    elif kind == 1:
        tensor["shape"] = [10**15, *shape] if rng.random() < 0.5 else [0, 2**40]
    elif kind == 2:
        tensor["shape"], tensor["data_offsets"] = [2**62, 0], [start, start]
    elif kind == 3:
        tensor["dtype"] = str(rng.choice(_NUMBERS))
    elif kind == 4:
        tensor["data_offsets"] = [start + int(rng.integers(-9, 10)), end + int(rng.integers(-9, 10))]
    elif kind == 5:
        raw[start:end] = rng.bytes(end - start)
    elif kind == 6:
        raw[start:end] = b"\xff" * (end - start)  # not a number, in any floating type
    elif kind == 7:
        header[str(rng.choice(["", "x", "../x", "x" * 5000]))] = header.pop(name)
    elif kind == 8:
        header[name] = header[names[int(rng.integers(len(names)))]]
    else:
        return _exchanged(header, numbers, name, other, rng)
    return joined(header, bytes(raw))


def _exchanged(header: dict[str, Any], numbers: bytes, name: str, other: bytes, rng: Generator) -> bytes:
    """The tensor replaced by one of another model, with all offsets right again."""
    theirs, their_numbers = parts(other)
    names = [n for n in theirs if n != "__metadata__"]
    taken = theirs[names[int(rng.integers(len(names)))]]
    out, at, content = {"__metadata__": header["__metadata__"]}, 0, []
    for key, tensor in header.items():
        if key == "__metadata__":
            continue
        one, source = (taken, their_numbers) if key == name else (tensor, numbers)
        start, end = one["data_offsets"]
        content.append(source[start:end])
        out[key] = {**one, "data_offsets": [at, at + end - start]}
        at += end - start
    return joined(out, b"".join(content))


# ------------------------------------------------------------------------------------------------------- bombs


def bombs(blob: bytes) -> Iterator[tuple[str, bytes]]:
    """Sizes that no memory holds, in every place that states a size: none of these may load."""
    document = document_of(blob)
    for name in ("n_latent", "n_replicates", "auxiliary", "hidden", "classifier_hidden", "n_importance"):
        if _is_used(document, name):
            for size in (10**6, 10**9, 10**18):
                value = [size] * 2 if "hidden" in name else size
                yield (
                    f"{name}={value}",
                    with_document(blob, {**document, "params": {**document["params"], name: value}}),
                )
    if _is_used(document, "hidden"):
        deep = {**document["params"], "hidden": [1] * 200_000}
        yield "200,000 layers", with_document(blob, {**document, "params": deep})
    for size in (10**8, 10**15):
        for levels in (None, [str(i) for i in range(1000)]):
            everything = {k: {"all": 1.0} for k in ("loc", "scale", "low", "high")}
            schema = {"n_columns": size, "names": {"prefix": "x", "shape": [size]}, "levels": {"all": levels}}
            schema |= everything | {"kinds": {"all": "continuous"}, "dtypes": {"all": "float64"}, "missing": {"all": 0}}
            encoder = {"format": 1, "container": "array", "row_shape": [size], "labels": None, "schema": schema}
            yield f"{size} columns", with_document(blob, {**document, "encoder": encoder})
            tagged = {"$": "dict", "v": [[k, v] for k, v in schema.items()]}
            yield f"{size} tagged columns", with_document(blob, {**document, "encoder": {**encoder, "schema": tagged}})
    sizes = ["width", "n_members", "axis", "best_replicate_"]
    sizes += ["best_epoch_"] if document["class"] == "NeuralClassifier" else []  # its length says how many members
    sizes += ["cuts"] if document["state"].get("cuts") is not None else []
    for key in sizes:
        endless = {"$": "numpy", "dtype": "<i8", "shape": [10**15, 0], "v": []}
        for stated in (10**9, 10**18, endless) if key in document["state"] else ():
            yield f"{key}={stated}", with_document(blob, {**document, "state": {**document["state"], key: stated}})
    nested = "[" * 100_000 + "]" * 100_000
    yield "nested description", with_document(blob, nested)
    text = json.dumps({**document, "state": "HERE"})
    for depth in (2_000, 50_000):
        yield f"nested {depth} deep", with_document(blob, text.replace('"HERE"', "[" * depth + "]" * depth))


def _is_used(document: dict[str, Any], name: str) -> bool:
    """Whether the networks of the model depend on the parameter."""
    params = document["params"]
    if name == "hidden" and (params.get("encoder") == "conv" or params.get("network") == "lenet5"):
        return False
    if name == "n_replicates" and document["class"] in ("NeuralClassifier", "SurvivalVAE"):
        return False  # what was trained says how many there are
    return name in params
