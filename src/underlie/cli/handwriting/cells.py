"""The study as cells: one method on one target and one random split each, its settings, and how it is computed."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

import underlie as ul
from underlie.cli.handwriting.generation import generate
from underlie.cli.handwriting.material import Kind, Material, Rows
from underlie.cli.handwriting.store import Store
from underlie.report.provenance import provenance

Settings = dict[str, Any]

#: of the published study, its two main targets and how each splits the images
MAIN: Final[Mapping[str, Kind]] = {"digit": "individuals", "writer": "digits"}
OTHER: Final = {"digit": "writer", "writer": "digit"}
BOTH: Final = "digit and writer"


@dataclass(frozen=True)
class Effort:
    """How much is computed; what a page of the full study and one of the quick version differ in."""

    repeats: int
    members: int
    epochs: Mapping[str, int]
    """Of networks, by target; any other target under ``"else"``."""
    m2: Mapping[str, Settings]
    """Of M2, by target; ``n_unlabelled`` is how many unlabelled images take part."""
    sdgm: Settings
    per_cell: int
    """Generated images to judge, of each digit of each writer."""


# Without held-out rows: labels are free of error, and a writer has ten images of a digit at most.
_COMMON: Final[Settings] = {"valid_fraction": 0.0, "device": "cpu", "verbose": False}
_M2: Final[Settings] = {
    "classifier": "lenet5",
    "learning_rate": 2e-3,
    "weight_decay": 0.01,
    "batch_size": 200,
}

# A bound for each of 97 writers costs its decoder 97 times.
_SMALL: Final[Settings] = {"n_latent": 10, "hidden": (100,)}
# Few styles: what labels could say shall not be said by z and a.
_SDGM: Final[Settings] = {
    "n_latent": 8,
    "hidden": (400,),
    "auxiliary": True,
    "alpha": 1.0,
    "batch_size": 100,
    "learning_rate": 2e-3,
}

FULL: Final = Effort(
    repeats=3,
    members=5,
    epochs={"digit": 12, "writer": 30, "else": 5},
    m2={
        "digit": _SMALL | {"alpha": 0.003, "neighbours": False, "max_epochs": 12, "n_unlabelled": 6_000},
        "writer": _SMALL | {"alpha": 0.01, "neighbours": False, "max_epochs": 30, "n_unlabelled": 6_000},
    },
    sdgm=_SDGM | {"max_epochs": 60},
    per_cell=4,
)
QUICK: Final = Effort(
    repeats=2,
    members=2,
    epochs={"digit": 4, "writer": 4, "else": 2},
    m2={
        "digit": _SMALL | {"alpha": 0.003, "neighbours": False, "max_epochs": 4, "n_unlabelled": 1000},
        "writer": _SMALL | {"alpha": 0.01, "neighbours": False, "max_epochs": 4, "n_unlabelled": 1000},
    },
    sdgm=_SDGM | {"max_epochs": 10},
    per_cell=4,
)


@dataclass(frozen=True)
class Cell:
    """One method on one target and one random split."""

    target: str
    split: Kind
    method: str
    repeat: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.target}-by-{self.split}-{self.method}-{self.repeat:03d}".replace(" ", "-")


@dataclass(frozen=True)
class Bench:
    """What every cell is computed from."""

    material: Material
    effort: Effort
    seed: int
    store: Store

    def settings(self, cell: Cell) -> Settings:
        """Everything that a result depends on; when any of it changes, the cell is computed again."""
        versions = provenance()["versions"]
        made_by = {name: versions.get(name) for name in ("underlie", "torch", "scikit-learn")}
        what = {"target": cell.target, "split": cell.split, "method": cell.method, "repeat": cell.repeat}
        return what | {
            "images": self.material.fingerprint,
            "seed": self.seed,
            "with": recipe(cell, self.effort),
            "versions": made_by,
        }

    def known(self, cell: Cell) -> dict[str, Any] | None:
        """The cell's result, where it was computed before."""
        return self.store.get(cell.name, self.settings(cell))

    def compute(self, cell: Cell) -> dict[str, Any]:
        """The cell's result, which is also stored."""
        begun, used = time.perf_counter(), time.process_time()
        with warnings.catch_warnings():  # how many epochs are enough was settled beforehand
            warnings.simplefilter("ignore", ul.warnings.ConvergenceWarning)
            result = _COMPUTE[cell.method](self, cell)
        result |= {"seconds": time.perf_counter() - begun, "processor_seconds": time.process_time() - used}
        self.store.put(cell.name, self.settings(cell), result)
        return result


def recipe(cell: Cell, effort: Effort) -> Settings:
    """The parameters of the estimator of a cell, and how many unlabelled images it sees."""
    epochs = effort.epochs.get(cell.target, effort.epochs["else"])
    match cell.method:
        case "knn":
            return {"n_neighbors": 5, "algorithm": "brute"}
        case "lenet5" | "lenet5_extra":
            return _COMMON | {"network": "lenet5", "n_replicates": effort.members, "max_epochs": epochs}
        case "lenet5_large":
            return _COMMON | {"network": "lenet5", "n_replicates": 1, "max_epochs": epochs}
        case "mlp":
            layers = {"network": "mlp", "hidden": (500, 500, 500)}
            return _COMMON | layers | {"n_replicates": effort.members, "max_epochs": epochs}
        case "m2":
            return _COMMON | _M2 | effort.m2[cell.target]
        case "lenet5_alike":
            # The same network, labelled rows per step and steps; nothing generative, nothing unlabelled.
            return _COMMON | _M2 | effort.m2[cell.target] | {"alpha": 0.0, "n_unlabelled": 0}
        case "sdgm":
            judges = recipe(Cell("digit", "digits", "lenet5", 0), effort)
            return (
                _COMMON | effort.sdgm | {"per_cell": effort.per_cell, "judges": judges, "epochs": dict(effort.epochs)}
            )
    raise ValueError(f"there is no method {cell.method!r}")


# ------------------------------------------------------------------------------------------------------------ computing


def _task(bench: Bench, cell: Cell) -> tuple[NDArray[Any], Rows, Rows, int]:
    """Labels, rows to learn from and to test on, and a seed of the cell's own."""
    train, test = bench.material.split(cell.target, cell.split, cell.repeat, bench.seed)
    seed = int(np.random.SeedSequence([bench.seed, cell.repeat]).generate_state(1)[0] % 2**31)
    return bench.material.hand.labels(cell.target), train, test, seed


def _outcome(y: NDArray[Any], train: Rows, test: Rows, members: list[float], committee: float) -> dict[str, Any]:
    labels, counts = np.unique(y[train], return_counts=True)
    commonest = float(np.mean(y[test] == labels[counts.argmax()]))
    sizes = {"n_train": len(train), "n_test": len(test), "commonest": commonest}
    return {"members": members, "committee": committee, **sizes}


def _knn(bench: Bench, cell: Cell) -> dict[str, Any]:
    y, train, test, _ = _task(bench, cell)
    flat = bench.material.hand.ink().reshape(len(y), -1)
    model = KNeighborsClassifier(**recipe(cell, bench.effort)).fit(flat[train], y[train])
    found = float(model.score(flat[test], y[test]))
    return _outcome(y, train, test, [found], found)


def _network(bench: Bench, cell: Cell) -> dict[str, Any]:
    y, train, test, seed = _task(bench, cell)
    X = bench.material.large() if cell.method == "lenet5_large" else bench.material.hand.ink()
    extra_train = extra_test = None
    if cell.method == "lenet5_extra":
        # A writer's number is a name, not an amount.
        other = pd.DataFrame({"other": [f"no. {label}" for label in bench.material.hand.labels(OTHER[cell.target])]})
        extra_train, extra_test = other.iloc[train], other.iloc[test]
    model = ul.NeuralClassifier(**recipe(cell, bench.effort), random_state=seed).fit(X[train], y[train], extra_train)
    single = [model.replicate(r) for r in range(model.n_replicates)]
    members = [one.score(X[test], y[test], extra_test) for one in single]
    return _outcome(y, train, test, members, model.score(X[test], y[test], extra_test))


def _m2(bench: Bench, cell: Cell) -> dict[str, Any]:
    y, train, test, seed = _task(bench, cell)
    parameters = dict(recipe(cell, bench.effort))
    X, more = bench.material.hand.ink(), bench.material.unlabelled
    assert more is not None
    more = more[: parameters.pop("n_unlabelled")]
    rows, labels = np.concatenate([X[train], more]), np.concatenate([y[train], np.full(len(more), -1)])
    model = ul.SemiSupervisedVAE(**parameters, random_state=seed).fit(rows, labels)
    found = float(np.mean(model.predict(X[test]) == y[test]))
    return _outcome(y, train, test, [found], found) | {"n_unlabelled": len(more)}


def _sdgm(bench: Bench, cell: Cell) -> dict[str, Any]:
    parameters = recipe(cell, bench.effort)
    per_cell, _, _ = parameters.pop("per_cell"), parameters.pop("epochs"), parameters.pop("judges")
    train, test = bench.material.split(cell.target, cell.split, cell.repeat, bench.seed)
    judges = {t: recipe(Cell(t, "digits", "lenet5", 0), bench.effort) for t in MAIN}
    result, model = generate(bench.material.hand, train, test, parameters, judges, per_cell, bench.seed)
    model.save(bench.store.model(cell.name))
    return result


_COMPUTE: Final[Mapping[str, Callable[[Bench, Cell], dict[str, Any]]]] = {
    "knn": _knn,
    "lenet5": _network,
    "lenet5_extra": _network,
    "lenet5_large": _network,
    "mlp": _network,
    "m2": _m2,
    "lenet5_alike": _m2,
    "sdgm": _sdgm,
}
