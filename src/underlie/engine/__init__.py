"""The engine: one training function for every model that is learned by gradients."""

from underlie.engine.callbacks import Callback, Epoch
from underlie.engine.checkpoint import Checkpoint, CheckpointError
from underlie.engine.groups import Group
from underlie.engine.launch import Launch
from underlie.engine.precision import PRECISIONS, suitable_precision
from underlie.engine.ranks import LostProcessError, Ranks
from underlie.engine.recording import Objective
from underlie.engine.rows import ResidentRows, Rows, StreamedRows
from underlie.engine.settings import Settings, Trained
from underlie.engine.threads import few_threads, one_thread, suitable_threads
from underlie.engine.train import train

__all__ = [
    "PRECISIONS",
    "Callback",
    "Checkpoint",
    "CheckpointError",
    "Epoch",
    "Group",
    "Launch",
    "LostProcessError",
    "Objective",
    "Ranks",
    "ResidentRows",
    "Rows",
    "Settings",
    "StreamedRows",
    "Trained",
    "few_threads",
    "one_thread",
    "suitable_precision",
    "suitable_threads",
    "train",
]
