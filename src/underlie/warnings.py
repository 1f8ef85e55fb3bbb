"""Typed warnings, so that a user can silence or escalate one kind alone."""

from __future__ import annotations


class UnderlieWarning(UserWarning):
    """Base of every warning that this package raises."""


class ConvergenceWarning(UnderlieWarning):
    """Training stopped before it converged, was interrupted, or a replicate was restarted."""


class ImportanceSamplingWarning(UnderlieWarning):
    """An importance-sampling estimate rests on too few effective draws to be trusted."""


class DataWarning(UnderlieWarning):
    """The data were accepted, but something in them deserves the user's attention."""


class ExtrapolationWarning(UnderlieWarning):
    """A prediction reaches beyond what the training data can support."""
