"""From an exception to an exit code: 0 done, 1 unexpected, 2 bad input or usage, 130 interrupted."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

import typer

from underlie.warnings import UnderlieWarning

UNEXPECTED, BAD_INPUT, INTERRUPTED = 1, 2, 130

P = ParamSpec("P")
T = TypeVar("T")


class BadInput(ValueError):
    """What the user gave cannot be used; the message says why and what to do instead."""


def check_folder(out: Path) -> None:
    """Refuse a file where a folder is to be written, before any work."""
    if out.exists() and not out.is_dir():
        raise BadInput(f"--out {out} is a file; give a folder")


def with_exit_codes(command: Callable[P, T]) -> Callable[P, T]:
    """The command with bad input reported as one clear message (exit code 2) and an interruption as 130.

    Bad input is a :class:`BadInput`, a missing file, or a ValueError, TypeError or MemoryError raised by this package
    itself, whose messages are written for users. The same types from inside another library are faults of ours: they
    keep their traceback, and Python ends with exit code 1.
    """

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            with warnings_as_lines(quiet=bool(kwargs.get("quiet"))):
                return command(*args, **kwargs)
        except KeyboardInterrupt:
            typer.secho("interrupted", fg="yellow", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except OSError as error:
            if error.filename is not None:
                raise _refused(f"{error.filename}: {error.strerror or type(error).__name__}") from error
            if not is_ours(error):
                raise
            raise _refused(str(error)) from error
        except (ValueError, TypeError, MemoryError) as error:
            if not is_ours(error):
                raise
            raise _refused(str(error)) from error

    return guarded


@contextmanager
def warnings_as_lines(*, quiet: bool) -> Iterator[None]:
    """Show this package's warnings as one line each on standard error, or not at all; others as ever."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if quiet else "always", UnderlieWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, UnderlieWarning):
                typer.secho("warning: ", fg="yellow", bold=True, nl=False, err=True)
                typer.echo(str(message), err=True)
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = show
        yield


def is_ours(error: Exception) -> bool:
    """Whether this package, or scikit-learn's check of an estimator's parameters, raised the error on purpose."""
    if isinstance(error, BadInput):
        return True
    last: TracebackType | None = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    raised_in = str(last.tb_frame.f_globals.get("__name__", "")) if last is not None else ""
    return raised_in.startswith("underlie.") or type(error).__name__ in {"InvalidParameterError", "NotFittedError"}


def _refused(message: str) -> typer.Exit:
    typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
    typer.echo(message, err=True)
    sys.stderr.flush()
    return typer.Exit(BAD_INPUT)
