"""Everything that decides how a training goes on, as named numbers, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from underlie.engine.checkpoint import CheckpointError, State
from underlie.nn import fill, tensors

if TYPE_CHECKING:
    from underlie.engine.run import Run

_FORMAT = 1
_SAMPLE = 64


def captured(run: Run) -> State:
    """Description and numbers of a run as it stands."""
    place = run.place
    description = {
        "format": _FORMAT,
        **_what(run),
        "all_seeds": list(run.launch.all_seeds or run.seeds),
        "epoch": place.epoch,
        "blocks": place.blocks,
        "pieces": run.pieces,
        "history": sorted(run.history),
    }
    numbers = _live(run) | _generators(run) | _sample(run)
    numbers |= {f"history.{name}": torch.as_tensor(np.array(values)) for name, values in run.history.items()}
    numbers |= {f"total.{i}": t for i, t in enumerate(place.totals)}
    numbers |= {f"dealer.{r}": s for r, s in enumerate(place.dealers or [g.get_state() for g in run.dealers])}
    numbers["seen"] = torch.as_tensor(place.seen)
    return description, {name: t.detach() for name, t in numbers.items()}


@torch.no_grad()
def restore(run: Run, state: State, file: object) -> None:
    """Bring a run that was built alike to where another was captured.

    Raises
    ------
    CheckpointError
        If the state is of another training.
    """
    description, numbers = state
    try:
        _check_same(run, description, numbers, file)
        _check_place(run, description, numbers)
        _fill(run, description, numbers)
    except CheckpointError:
        raise
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            _other(file, f"it lacks what this one needs ({type(error).__name__}: {error})")
        ) from error


def _fill(run: Run, description: dict[str, Any], numbers: dict[str, Tensor]) -> None:
    fill(run.model, {name.removeprefix("model."): t for name, t in numbers.items() if name.startswith("model.")})
    for name, live in _live(run).items():
        live.copy_(numbers[name])
    for name, generator in _all_generators(run).items():
        generator.set_state(numbers[name].cpu())
    torch.set_rng_state(numbers["global"])
    run.history = {name: list(numbers[f"history.{name}"].numpy()) for name in description["history"]}
    run.pieces = int(description["pieces"])
    place = run.place
    place.epoch, place.blocks = int(description["epoch"]), int(description["blocks"])
    place.seen = [int(n) for n in numbers["seen"].tolist()]
    place.totals = [numbers[f"total.{i}"].to(run.settings.device) for i in range(len(place.seen))]
    place.dealers = [numbers[f"dealer.{r}"] for r in range(len(run.dealers))]
    for dealer, begun in zip(run.dealers, place.dealers, strict=True):
        dealer.set_state(begun)


def _check_place(run: Run, description: dict[str, Any], numbers: dict[str, Tensor]) -> None:
    """Refuse counts that no training has come to; what is wrong with them becomes part of the refusal."""
    epoch, blocks, pieces = (description[name] for name in ("epoch", "blocks", "pieces"))
    if not all(type(count) is int for count in (epoch, blocks, pieces)):
        raise TypeError("epoch, blocks and pieces must be whole numbers")
    if not (1 <= epoch <= run.settings.max_epochs + 1 and 0 <= blocks <= 2**40 and 1 <= pieces <= 2**40):
        raise ValueError(f"epoch {epoch}, blocks {blocks}, pieces {pieces}")
    told = {"train", "valid"}
    if not told <= set(description["history"]) or (run.monitor is None and len(description["history"]) > len(told)):
        raise ValueError(f"histories {description['history']}")
    for name in description["history"]:
        shape = tuple(numbers[f"history.{name}"].shape)
        if shape != (epoch, len(run.seeds)):
            raise ValueError(f"history {name!r} of shape {shape}")
    seen = numbers["seen"]  # of no group before the first epoch and between two
    if seen.shape not in ((0,), (len(run.deals),)) or (
        len(seen) and (seen.is_floating_point() or bool((seen < 0).any()))
    ):
        raise ValueError(f"rows seen of each group of shape {tuple(seen.shape)}")
    for name, live in _live(run).items():
        if numbers[name].shape != live.shape or numbers[name].dtype != live.dtype:
            raise ValueError(f"{name!r} is {numbers[name].dtype} of shape {tuple(numbers[name].shape)}")


def _live(run: Run) -> dict[str, Tensor]:
    """Numbers that the run works on in place."""
    optimizer, best = run.optimizer, run.best
    found = {f"model.{name}": t for name, t, _ in tensors(run.model)}
    for kind in ("mean", "square", "steps"):
        found |= {f"adamw.{kind}.{i}": t for i, t in enumerate(getattr(optimizer, kind))}
    found |= {f"best.{r}.{i}": t for r, own in enumerate(best.kept) for i, t in enumerate(own)}
    arrays = {"best.value": best.value, "best.epoch": best.epoch, "stopped": run.stopped, "restarts": run.restarts}
    return found | {name: torch.from_numpy(a) for name, a in arrays.items()}


def _all_generators(run: Run) -> dict[str, torch.Generator]:
    kinds = {"builder": run.builders, "noise": run.generators}
    return {f"{kind}.{r}": g for kind, several in kinds.items() for r, g in enumerate(several)}


def _generators(run: Run) -> dict[str, Tensor]:
    # The global one serves networks of the user's own, such as those with dropout.
    return {name: g.get_state() for name, g in _all_generators(run).items()} | {"global": torch.get_rng_state()}


def _what(run: Run) -> dict[str, Any]:
    """What is trained, and how: equal for two runs exactly if one can go on from the other."""
    how = {k: str(v) for k, v in vars(run.settings).items() if k not in ("verbose", "device", "launch")}
    shapes = {name: list(t.shape) for name, t, _ in tensors(run.model)}
    rows = [len(deal.rows) for deal in run.deals]
    return {
        "about": dict(run.launch.about),
        "settings": how,
        "seeds": list(map(int, run.seeds)),
        "rows": rows,
        "shapes": shapes,
    }


def _sample(run: Run) -> dict[str, Tensor]:
    """A few rows, by which other data are recognised."""
    found: dict[str, Tensor] = {}
    for i, deal in enumerate(run.deals):
        n = len(deal.rows)
        index = torch.linspace(0, n - 1, min(n, _SAMPLE)).long()[None].to(deal.train_rows.device)
        found |= {f"row.{i}.{name}": v for name, v in deal.rows.take(index).values.items()}
    return found


def _check_same(run: Run, description: dict[str, Any], numbers: dict[str, Tensor], file: object) -> None:
    ours = _what(run)
    for part in ("about", "settings"):
        for name in {**ours[part], **description.get(part, {})}:
            here, there = ours[part].get(name), description.get(part, {}).get(name)
            if here != there:
                raise CheckpointError(_other(file, f"its {name} is {there}, here it is {here}"))
    for part, what in (("seeds", "seeds"), ("rows", "numbers of rows"), ("shapes", "networks")):
        if ours[part] != description.get(part):
            raise CheckpointError(_other(file, f"its {what} differ from those here"))
    for name, here in _sample(run).items():
        if name not in numbers or not torch.allclose(here.cpu(), numbers[name], rtol=1e-4, atol=1e-6, equal_nan=True):
            raise CheckpointError(_other(file, "its rows are other rows than those given here"))


def _other(file: object, difference: str) -> str:
    return (
        f"checkpoint {file} is of another training: {difference}. Give another path, or delete the file (and "
        f"{file}.previous) to train from the beginning."
    )
