"""Reading ahead: the next rows are fetched by a thread while the model learns from those before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from torch import Tensor

from underlie.engine.rows import Rows
from underlie.graph import Batch


@contextmanager
def read_ahead(rows: Rows, indices: Iterable[Tensor]) -> Iterator[Iterator[Batch]]:
    """Rows in turn, ``rows.take(index)`` for each index, where they come from a file one ahead.

    What is taken, and in which order, is the same without the thread, bit for bit. An error of the thread is raised
    where its rows are asked for. However the body is left, the thread has ended then; at most what it is reading at
    that moment is waited for.

    Parameters
    ----------
    rows : Rows
    indices : iterable of Tensor (R, B)

    Yields
    ------
    iterator of Batch
    """
    if not rows.streamed:
        yield map(rows.take, indices)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="underlie-read-ahead") as reader:
        try:
            yield _one_ahead(reader, rows, iter(indices))
        finally:
            reader.shutdown(wait=False, cancel_futures=True)


def _one_ahead(reader: ThreadPoolExecutor, rows: Rows, indices: Iterator[Tensor]) -> Iterator[Batch]:
    coming: Future[Batch] | None = None
    for index in indices:
        following = reader.submit(rows.take, index)
        if coming is not None:
            yield coming.result()
        coming = following
    if coming is not None:
        yield coming.result()
