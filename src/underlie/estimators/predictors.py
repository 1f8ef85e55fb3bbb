"""What a classifier reads: encoded tables side by side, each with features that suit its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, final

import torch
from torch import Tensor

from underlie.data import Encoder
from underlie.data.schema import Schema
from underlie.distributions import Likelihood, likelihood_for, settled
from underlie.engine import Rows
from underlie.estimators.feeding import StartRows, heavy_tails, start_rows
from underlie.graph import Batch


@final
@dataclass(frozen=True, eq=False)
class Predictor:
    """One table that is read, not explained: its columns' likelihoods know features that suit them.

    Attributes
    ----------
    schema : Schema
    likelihood : dict
        By column.
    first : StartRows or None
        Rows from which likelihoods take what their features need (centre and spread of logarithms, for example); None
        where these are filled in from a file.
    """

    schema: Schema
    likelihood: Mapping[str | int, str]
    first: StartRows | None = None

    @classmethod
    def fit(cls, X: Any, encoder: Encoder) -> Self:
        """Look at some rows of the table."""
        first = start_rows(X, encoder)
        likelihood = settled(encoder.schema, "auto", heavy_tails(first.encoded, encoder.row_shape))
        return cls(encoder.schema, likelihood, first)

    @property
    def with_mask(self) -> bool:
        """Whether cells were missing when the table was first seen: then networks are told which are."""
        return any(column.missing for column in self.schema)

    def head(self) -> Likelihood:
        """A new likelihood of the rows."""
        head = likelihood_for(self.schema, self.likelihood)
        if self.first is not None:
            values, observed = self.first.encoded.values, self.first.encoded.observed
            head.start(
                torch.as_tensor(values, dtype=torch.float32), None if observed is None else torch.as_tensor(observed)
            )
        return head


@final
class SideBySide:
    """Rows of several variables, read together.

    Parameters
    ----------
    parts : sequence of Rows
        Of the same length, each with variables of its own.
    """

    def __init__(self, parts: Sequence[Rows]) -> None:
        self.parts = list(parts)
        self.streamed = any(rows.streamed for rows in self.parts)

    def __len__(self) -> int:
        return len(self.parts[0])

    def take(self, index: Tensor) -> Batch:
        """Rows ``index`` (R, B), as a batch of shape (R, 1, B, width)."""
        taken = [rows.take(index) for rows in self.parts]
        return Batch(
            {k: v for batch in taken for k, v in batch.values.items()},
            {k: v for batch in taken for k, v in batch.observed.items()},
        )
