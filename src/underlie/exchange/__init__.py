"""Models and their answers in forms that other programs read: networks without Python, draws for ArviZ."""

from underlie.exchange.export import export
from underlie.exchange.inference_data import to_inference_data
from underlie.exchange.programs import program_rows

__all__ = ["export", "program_rows", "to_inference_data"]
