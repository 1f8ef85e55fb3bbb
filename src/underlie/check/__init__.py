"""Is the model right? Moment gaps with their noise, and models compared in one table."""

from __future__ import annotations

from underlie.check.adapters import MomentModel, moment_model
from underlie.check.compare import compare
from underlie.check.gaps.result import MegaResult, OrderGap
from underlie.check.gaps.sums import MomentSums
from underlie.check.mega import mega

__all__ = ["MegaResult", "MomentModel", "MomentSums", "OrderGap", "compare", "mega", "moment_model"]
