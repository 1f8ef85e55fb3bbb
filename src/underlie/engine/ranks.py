"""Several processes that train one model together, each on its part of every batch."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, distributed

STRATEGIES = ("ddp",)


class LostProcessError(RuntimeError):
    """Another process of this training ended before its time."""


@final
@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; alone unless `Ranks.of` found others.

    Parameters
    ----------
    rank : int
        Number of this process.
    size : int
        Processes.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def of(cls, strategy: str | None, device: torch.device) -> Ranks:
        """The processes of a strategy: one, or those that ``torchrun`` started.

        Parameters
        ----------
        strategy : {"ddp"} or None
        device : torch.device
            Where this process trains: decides what messages travel by.

        Raises
        ------
        ValueError
            If there is no such strategy, or this process was not started as one of several.
        """
        if strategy is None:
            return cls()
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy is {strategy!r}; choose None or {', '.join(map(repr, STRATEGIES))}.")
        if not distributed.is_initialized():
            if "WORLD_SIZE" not in os.environ:
                raise ValueError(
                    "strategy='ddp' needs several processes: start the script by torchrun, for example "
                    "`torchrun --nproc-per-node=4 script.py`."
                )
            if device.type == "cuda":
                torch.cuda.set_device(device)
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
            atexit.register(_leave)
        return cls(distributed.get_rank(), distributed.get_world_size())

    # ---- who does what ----
    def own(self, n_rows: int) -> slice:
        """This process's rows of a batch; all of them where there are less than two for each process."""
        return slice(self.rank, None, self.size) if self._is_split(n_rows) else slice(None)

    def counted(self, n_rows: int) -> int:
        """Rows of a batch that all processes work on together, each as often as it is worked on."""
        return n_rows if self._is_split(n_rows) else n_rows * self.size

    def _is_split(self, n_rows: int) -> bool:
        return n_rows >= 2 * self.size

    # ---- messages ----
    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.size > 1:
            with _spoken():
                for tensor in tensors:
                    distributed.all_reduce(tensor)

    def share(self, tensors: Iterable[Tensor], source: int = 0) -> None:
        """Replace each tensor by the one of the process ``source``."""
        if self.size > 1:
            with _spoken():
                for tensor in tensors:
                    kept = tensor.contiguous()
                    distributed.broadcast(kept, source)
                    tensor.copy_(kept)

    def shared_whole(self, number: Sequence[int], source: int = 0) -> list[int]:
        """Whole numbers of the process ``source``; as many as here."""
        told = torch.tensor(list(number), dtype=torch.int64, device=self._messages())
        self.share([told], source)
        return [int(n) for n in told.tolist()]

    def _messages(self) -> torch.device:
        on_gpu = self.size > 1 and distributed.get_backend() == "nccl"
        return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


@contextmanager
def _spoken() -> Iterator[None]:
    """Say in plain words that another process is gone."""
    try:
        yield
    except RuntimeError as error:  # of which torch's own errors of communication are
        raise LostProcessError(
            "another process of this training ended, or cannot be reached any more; its own message says why. Start "
            "the same command again: with a checkpoint, training goes on where it was. "
            f"({str(error).splitlines()[0][:200]})"
        ) from error
