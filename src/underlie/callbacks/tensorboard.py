"""Curves of a training in TensorBoard."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, final

from underlie.engine.callbacks import Epoch
from underlie.optional import require

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@final
class TensorBoard:
    """Write what a training tells to event files, one curve per number of ``history_``, one run per replicate.

    Several replicates have folders of their own, ``replicate_0`` and so on; a second fit with the same object goes to
    ``fit_2``. The parameters of the model are written as text. Needs ``pip install "underlie[tensorboard]"``; shown by
    ``tensorboard --logdir FOLDER``, while the model is trained or later.

    Parameters
    ----------
    folder : path
        Made where it does not exist.

    Raises
    ------
    ImportError
        If TensorBoard is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, underlie as ul
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> with tempfile.TemporaryDirectory() as folder, ul.callbacks.TensorBoard(folder) as board:
    ...     model = ul.VAE(n_latent=1, max_epochs=2, random_state=0).fit(X, callbacks=[board])
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        require("tensorboard", "tensorboard")
        self.folder = Path(folder)
        self._fits = 1
        self._writers: list[SummaryWriter] = []

    def __call__(self, epoch: Epoch) -> None:
        """Write the numbers of one epoch, so that they can be seen at once."""
        if epoch.number == 0 and self._writers:
            self.close()
            self._fits += 1
        if not self._writers:
            self._open(len(epoch.running), epoch.about)
        for r, writer in enumerate(self._writers):
            for name, of_replicates in epoch.values.items():
                if math.isfinite(of_replicates[r]):
                    writer.add_scalar(name, float(of_replicates[r]), epoch.number)
            writer.flush()

    def close(self) -> None:
        """Close the files; also done at the end of a ``with`` block."""
        for writer in self._writers:
            writer.close()
        self._writers = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _open(self, n_replicates: int, about: Mapping[str, str]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = self.folder if self._fits == 1 else self.folder / f"fit_{self._fits}"
        folders = [folder] if n_replicates == 1 else [folder / f"replicate_{r}" for r in range(n_replicates)]
        self._writers = [SummaryWriter(str(one)) for one in folders]
        rows = [f"| {name} | `{value}` |" for name, value in about.items()]
        text = "\n".join(["| parameter | value |", "|---|---|", *rows])
        self._writers[0].add_text("parameters", text, 0)
