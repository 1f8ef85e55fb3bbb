"""The engine: one training function for every model that is learned by gradients."""

from underlie.engine.groups import Group
from underlie.engine.precision import PRECISIONS, suitable_precision
from underlie.engine.recording import Objective
from underlie.engine.rows import ResidentRows, Rows, StreamedRows
from underlie.engine.threads import few_threads, suitable_threads
from underlie.engine.train import Settings, Trained, train

__all__ = [
    "PRECISIONS",
    "Group",
    "Objective",
    "ResidentRows",
    "Rows",
    "Settings",
    "StreamedRows",
    "Trained",
    "few_threads",
    "suitable_precision",
    "suitable_threads",
    "train",
]
