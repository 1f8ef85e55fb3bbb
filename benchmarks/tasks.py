"""Long studies as independent tasks: several processes, one CSV row a task, and a start where the last run stopped."""

from __future__ import annotations

import csv
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar, final

import pandas as pd

Row = dict[str, Any]
Task = TypeVar("Task")


@final
class Results:
    """Rows of a study in a CSV file, to which every row is added when it is there.

    Parameters
    ----------
    path : path
        Of the file; begun if it does not exist.
    columns : sequence of str
        Of a row. A column ``error`` is added: what went wrong, empty where nothing did.
    key : sequence of str
        The columns that say which task a row is of.

    Raises
    ------
    ValueError
        If the file has other columns, as that of another study or version has.
    """

    def __init__(self, path: str | os.PathLike[str], columns: Sequence[str], key: Sequence[str]) -> None:
        self.path, self.columns, self.key = Path(path), [*columns, "error"], list(key)
        if self.path.exists() and self.path.stat().st_size:
            with self.path.open(newline="") as file:
                there = next(csv.reader(file))
            if there != self.columns:
                raise ValueError(
                    f"{self.path} has the columns {', '.join(there)}, not {', '.join(self.columns)}: name another file "
                    "with --out, or remove it."
                )

    def add(self, row: Row) -> None:
        """Write a row; columns that it lacks are left empty."""
        new = not self.path.exists() or not self.path.stat().st_size
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            if new:
                writer.writeheader()
            writer.writerow(row)

    def table(self) -> pd.DataFrame:
        """The last row of every task."""
        if not self.path.exists():
            return pd.DataFrame(columns=self.columns)
        table = pd.read_csv(self.path, dtype={"error": str} | {name: str for name in self.key if name == "settings"})
        table["error"] = table["error"].fillna("")
        return table.drop_duplicates(self.key, keep="last").reset_index(drop=True)

    def finished(self) -> set[tuple[str, ...]]:
        """Keys, as text, of the tasks whose last row has no error."""
        table = self.table()
        return set(table.loc[table["error"] == "", self.key].astype(str).itertuples(index=False, name=None))


def run(tasks: Sequence[Task], work: Callable[[Task], list[Row]], jobs: int) -> Iterator[list[Row]]:
    """Rows of each task as they come, from processes with one thread each.

    Parameters
    ----------
    tasks : sequence
        What can be pickled.
    work : function of a task -> list of rows
        At the top of a module; it catches its own errors.
    jobs : int
        Number of processes.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # processes that are spawned read it when they load their libraries
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        for future in as_completed([pool.submit(work, task) for task in tasks]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
