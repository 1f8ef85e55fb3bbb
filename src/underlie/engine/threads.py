"""The arithmetic that training deserves: how many threads, and no denormal numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

#: Floating-point operations of one replicate's step below which more threads cost more than they bring.
#: Measured on 30-64-4-64-30 (6e6) and 784-400-20-400-784 (5e8): the first is fastest on one thread, the second on all.
ONE_THREAD_BELOW = 1e8


@contextmanager
def suitable_threads(flops_per_step: float) -> Iterator[None]:
    """Run the body on one thread when its steps are small, and with denormal numbers taken as zero; restore both after.

    The moments of weights that no longer get a gradient decay into denormal numbers, on which processors are many times
    slower.
    """
    before = torch.get_num_threads()
    if flops_per_step < ONE_THREAD_BELOW and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the body on one thread, linear algebra in NumPy and SciPy included, and restore both after."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def few_threads(operations: float) -> Iterator[None]:
    """Run the body, linear algebra in NumPy and SciPy included, on one thread when it is a matter of small matrices.

    Small products gain nothing from threads, and on a busy machine these wait for each other, many times longer than
    the products take.

    Parameters
    ----------
    operations : float
        Numbers that are worked on at a time; as many threads as there are from `ONE_THREAD_BELOW` on.
    """
    if operations >= ONE_THREAD_BELOW or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    with one_thread():
        yield
