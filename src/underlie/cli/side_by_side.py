"""Independent pieces of work, in processes of one thread each.

Work on tables and images of moderate size gains little by a second thread and loses much by it where other programs
run beside, since threads wait for each other at every step. Processes do not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, TypeVar

from underlie.cli.progress import Say

T = TypeVar("T")

#: in a process of the pool: where it says what it does
_told: list[Say] = []


def side_by_side(tasks: Mapping[str, Callable[[Say], T]], jobs: int, say: Say) -> Iterator[tuple[str, T]]:
    """Do all tasks, so many at a time; gives each name with its result as soon as it is there.

    Parameters
    ----------
    tasks : mapping of name to callable
        Each takes a function that it tells what it is doing. With more than one job tasks and results are pickled.
    jobs : int
        1 does all in this process, one after the other.
    say : callable
        Told what every task tells.
    """
    from underlie.engine.threads import one_thread

    if jobs == 1:
        for name, task in tasks.items():
            with one_thread():
                done = task(say)
            yield name, done
        return
    # Fresh processes: a fork of one that has used torch's threads may hang.
    context = get_context("spawn")
    told = context.Queue()
    listener = threading.Thread(target=_pass_on, args=(told, say), daemon=True)
    listener.start()
    try:
        with ProcessPoolExecutor(min(jobs, len(tasks)), context, _begin, (told,)) as pool:
            waiting = {pool.submit(_do, task): name for name, task in tasks.items()}
            try:
                for future in as_completed(waiting):
                    yield waiting[future], future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        told.put(None)
        listener.join()


def _pass_on(told: Any, say: Say) -> None:
    for text in iter(told.get, None):
        say(text)


def _begin(told: Any) -> None:
    import matplotlib as mpl

    mpl.use("Agg")  # no window is ever shown, and a machine without a display must do
    _told.append(told.put)


def _do(task: Callable[[Say], T]) -> T:
    from underlie.engine.threads import one_thread

    with one_thread():
        return task(_say)


def _say(text: str) -> None:
    for put in _told:
        put(text)
