"""The one training loop: any objective over any graph, R replicates at once, each with its own luck and its own end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from underlie.engine.groups import Group
from underlie.engine.progress import progress_bar
from underlie.engine.recording import Objective
from underlie.engine.rows import Rows
from underlie.engine.run import Run
from underlie.engine.settings import Build, Monitor, Settings, Trained
from underlie.engine.spread import train_spread
from underlie.engine.threads import suitable_threads


def train(
    build: Build,
    objective: Objective,
    rows: Rows | Sequence[Group],
    settings: Settings,
    seeds: Sequence[int],
    label: str = "training",
    judge: Objective | None = None,
    monitor: Monitor | None = None,
) -> Trained:
    """Train one replicate per seed, all in one batched computation.

    A replicate draws everything (starting weights, held-out rows and order, noise) from generators of its own, stops on
    its own held-out rows and keeps its own best weights: it ends with the same numbers whatever trains beside it. Rows
    and order do not depend on the model: models trained with the same seeds see the same batches, so that comparisons
    between them are paired.

    Parameters
    ----------
    build : callable
        ``build(generator)`` gives a model of one replicate.
    objective : callable
        ``objective(model, batch, noise)`` gives the value of each row, (R, B).
    rows : Rows or sequence of Group
        The data. Of several groups every batch has its part of each; an epoch is one pass
        over the group with the most batches.
    settings : Settings
        How to train.
    seeds : sequence of int
        One per replicate.
    label : str
        Shown beside the progress bar.
    judge : callable, optional
        What held-out rows are judged by, if not by the objective; called as it is.
    monitor : callable, optional
        What else to keep in the history: ``monitor(model)`` gives numbers by name, one per replicate, (R,).

    Returns
    -------
    Trained

    Raises
    ------
    FloatingPointError
        When every replicate diverged and could not be restarted.
    CheckpointError
        When the checkpoint is of another training, or cannot be written.
    LostProcessError
        When another of several processes ended.
    MemoryError
        When memory is too short for batches of two rows.
    KeyboardInterrupt
        When the user stopped training before there was anything to keep; later the best so far is returned.
    """
    alone = partial(_train, build, objective, rows, label=label, judge=judge, monitor=monitor)
    if 1 < settings.launch.ranks.size <= len(seeds):
        return train_spread(alone, settings, seeds)
    return alone(settings, seeds)


def _train(
    build: Build,
    objective: Objective,
    rows: Rows | Sequence[Group],
    settings: Settings,
    seeds: Sequence[int],
    *,
    label: str,
    judge: Objective | None,
    monitor: Monitor | None,
) -> Trained:
    run = Run(build, objective, rows, settings, seeds, judge, monitor)
    enabled = settings.verbose and settings.launch.ranks.rank == 0
    interrupted = False
    with suitable_threads(run.flops_per_step()), progress_bar(label, settings.max_epochs, enabled=enabled) as say:
        try:
            run.begin()
            complete = run.finished()
            if run.place.epoch == 1 and not run.place.blocks:
                _tell(run)
            while not run.finished():
                run.advance()
                say(run.place.epoch - 1, run.describe())
                _tell(run)
            if not complete:
                run.keep()
        except KeyboardInterrupt:
            if not run.has_learned():
                raise
            interrupted = True
    return run.result(interrupted)


def _tell(run: Run) -> None:
    """Call the user's callbacks, in the first of several processes."""
    if run.launch.callbacks and run.launch.writes:
        epoch = run.told()
        for callback in run.launch.callbacks:
            callback(epoch)
