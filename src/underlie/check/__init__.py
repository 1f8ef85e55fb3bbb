"""Is the model right? Moment gaps with their noise, and models compared in one table."""

from __future__ import annotations

from underlie.check.adapters import MomentModel, moment_model
from underlie.check.compare import compare
from underlie.check.mega import MegaResult, mega

__all__ = ["MegaResult", "MomentModel", "compare", "mega", "moment_model"]
