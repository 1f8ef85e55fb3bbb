"""Loads many damaged files in a process of its own that reports what loading did beside building numbers.

Run as ``python load_in_a_cage.py folder n [seed]``: n files are made in the folder, and loaded. Prints one JSON line.
"""

from __future__ import annotations

import json
import resource
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import mutations
import numpy as np
import saved_models
from watch import Watch

import underlie as ul
from underlie.estimators.base import Estimator
from underlie.estimators.persistence import LoadError

#: Address space that loading small files may take beyond what the process has, in bytes.
_MORE = 2 * 2**30
#: Files damaged by accident, with a rewritten description, with other tensors; the latter two take longer to refuse.
_SHARES = (0.92, 0.04, 0.04)


def main(folder: Path, n: int, seed: int = 0) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    blobs = {name: path.read_bytes() for name, path in saved_models.save_all(folder).items()}
    file = folder / "damaged"
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []

    def load(model: str, what: str, blob: bytes) -> str:
        stream.seek(0)
        stream.truncate(stream.write(blob))
        stream.flush()
        networks = saved_models.NETWORKS[model]() if model in saved_models.NETWORKS else {}
        watch.active = True
        try:
            loaded = ul.load(file, **networks)
            outcome = "loaded" if isinstance(loaded, Estimator) else f"gave a {type(loaded).__name__}"
        except LoadError as error:
            outcome = "wanted memory" if _wanted_memory(error) else "refused"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what this looks for
            outcome = f"raised {type(error).__name__}: {str(error)[:200]}"
        watch.active = False
        if outcome not in ("loaded", "refused"):
            wrong.append(f"{model}, {what}: {outcome}")
        return outcome

    watch = Watch(file)
    stream = file.open("wb")
    for model, blob in blobs.items():  # what loading imports, it imports now
        assert load(model, "undamaged", blob) == "loaded", wrong
    sys.addaudithook(watch)
    limit = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[0]) + _MORE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for model, blob in blobs.items():
        assert load(model, "undamaged", blob) == "loaded", wrong
        for what, bomb in mutations.bombs(blob):
            if load(model, what, bomb) == "loaded":
                wrong.append(f"{model}, {what}: loaded")
            outcomes["bombs"] += 1
    rng = np.random.default_rng(seed)
    names = list(blobs)
    ways = (mutations.damaged, mutations.rewritten, mutations.reshaped)
    for _ in range(n):
        i = int(rng.integers(len(names)))
        model, other = names[i], names[i - int(rng.integers(1, len(names)))]
        way = ways[int(rng.choice(3, p=_SHARES))]
        outcomes[f"{way.__name__}, {load(model, way.__name__, way(blobs[model], blobs[other], rng))}"] += 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    classes = sorted({mutations.document_of(blob)["class"] for blob in blobs.values()})
    found = {"outcomes": outcomes, "classes": classes, "wrong": wrong, "events": sorted(watch.seen)}
    return {**found, "grown_MiB": grown / 1024}


def _wanted_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError) or "allocate" in str(error):
            return True
        error = error.__cause__
    return False


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), *map(int, sys.argv[2:]))))
