"""Tables, arrays and images to numbers and back: schema, encoder, and sources too large for memory."""

from underlie.data.encoder import Encoded, Encoder
from underlie.data.schema import Column, Kind, Schema
from underlie.data.sources import RowSource, as_source

__all__ = ["Column", "Encoded", "Encoder", "Kind", "RowSource", "Schema", "as_source"]
