"""What a network sees of an observed variable."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from underlie.distributions import Likelihood


@final
class Read(nn.Module):
    """Features of an observed variable, followed by the mask of its observed cells where cells can be missing.

    Parameters
    ----------
    head : Likelihood
        The variable's likelihood, which knows features that suit its values (one-hot codes, standardised logarithms).
    with_mask : bool
        Whether to append one 0/1 column per data column that says which cells were observed.
    """

    def __init__(self, head: Likelihood, with_mask: bool) -> None:
        super().__init__()
        self.head = head
        self.with_mask = with_mask

    @property
    def width(self) -> int:
        """Number of features."""
        return self.head.n_features + (self.head.width if self.with_mask else 0)

    def forward(self, x: Tensor, observed: Tensor | None) -> Tensor:
        """(R, S, B, columns) -> (R, S, B, width)."""
        features = self.head.features(x, observed)
        if not self.with_mask:
            return features
        mask = torch.ones_like(x) if observed is None else observed.to(x.dtype).expand_as(x)
        return torch.cat([features, mask], dim=-1)
