"""Typed warnings, so that a user can silence or escalate one kind alone."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

_HERE = str(Path(__file__).parent)


class UnderlieWarning(UserWarning):
    """Base of every warning that this package raises."""


class ConvergenceWarning(UnderlieWarning):
    """Training stopped before it converged, was interrupted, or a replicate was restarted."""


class ImportanceSamplingWarning(UnderlieWarning):
    """An importance-sampling estimate rests on too few effective draws to be trusted."""


class DataWarning(UnderlieWarning):
    """The data were accepted, but something in them deserves the user's attention."""


class CheckpointWarning(UnderlieWarning):
    """The state of a training could not be kept, or was found damaged."""


class ExtrapolationWarning(UnderlieWarning):
    """A prediction reaches beyond what the training data can support."""


def warn(message: str, category: type[UnderlieWarning]) -> None:
    """Warn, pointing at the user's own line: the first one up the stack that is not inside this package.

    Parameters
    ----------
    message : str
        What happened, and the remedy.
    category : type of UnderlieWarning
        One of the kinds of this module.
    """
    level = 2  # the caller of this function
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        level += 1
        frame = frame.f_back
    warnings.warn(message, category, stacklevel=level)
