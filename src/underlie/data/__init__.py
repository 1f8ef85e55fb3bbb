"""Tables, arrays and images to numbers and back: schema, encoder, and sources too large for memory."""

from underlie.data.encoder import Encoded, Encoder
from underlie.data.schema import Column, Kind, Schema
from underlie.data.sources import RowSource, as_source
from underlie.data.surv import Surv, as_surv
from underlie.data.surv_encoding import (
    check_fittable,
    time_scale,
    without_zero_times,
)

__all__ = [
    "Column",
    "Encoded",
    "Encoder",
    "Kind",
    "RowSource",
    "Schema",
    "Surv",
    "as_source",
    "as_surv",
    "check_fittable",
    "time_scale",
    "without_zero_times",
]
