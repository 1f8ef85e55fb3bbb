"""How a training is run, as opposed to what is trained: its file, and its processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self, final

from underlie.engine.callbacks import Callback
from underlie.engine.checkpoint import Checkpoint
from underlie.engine.ranks import Ranks


@final
@dataclass(frozen=True)
class Launch:
    """How a training is run.

    Parameters
    ----------
    checkpoint : Checkpoint or None
        Where to keep its state.
    ranks : Ranks
        This process among those that train together.
    about : mapping of str to str
        What is trained, in words that differ between different trainings.
    all_seeds : sequence of int
        Of all replicates, those that train elsewhere too.
    callbacks : sequence of callable
        Told of each epoch.
    offset : float
        What they are told of the objective is so much larger than what is maximised, which leaves constants out.
    """

    checkpoint: Checkpoint | None = None
    ranks: Ranks = field(default_factory=Ranks)
    about: Mapping[str, str] = field(default_factory=dict)
    all_seeds: Sequence[int] = ()
    callbacks: Sequence[Callback] = ()
    offset: float = 0.0

    @property
    def writes(self) -> bool:
        """Whether this process keeps the state: of several that all hold the same one, the first."""
        return self.ranks.rank == 0

    def telling(self, offset: float) -> Self:
        """The same, its callbacks told of the objective on the user's scale."""
        return replace(self, offset=offset)

    def agreed(self, seeds: Sequence[int], *, chosen: bool) -> list[int]:
        """The seeds of the replicates: the same in all processes, and those of the checkpoint unless they were chosen.

        Parameters
        ----------
        seeds : sequence of int
            As drawn here and now.
        chosen : bool
            Whether the user asked for them, by a seed.
        """
        found = list(seeds)
        state = None if chosen or self.checkpoint is None or self.ranks.rank else self.checkpoint.read()
        stored = [] if state is None else state[0].get("all_seeds", [])
        if len(stored) == len(found):
            found = [int(s) for s in stored]
        return self.ranks.shared_whole(found)
