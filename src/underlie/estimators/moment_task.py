"""What training maximises when moment gaps are penalised, and the parameters that say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from underlie.engine import Objective, Trained
from underlie.estimators.base import is_whole
from underlie.estimators.parameters import check_number
from underlie.graph import LatentModel
from underlie.graph.moment_coordinates import HIGHEST_ORDER
from underlie.graph.moment_gap import MomentPenalty, penalised


@final
@dataclass(frozen=True)
class Task:
    """What to maximise: a bound, less ``alpha`` times the moment penalty where there is one."""

    bound: Objective
    penalty: MomentPenalty | None = None
    alpha: float = 0.0

    @property
    def objective(self) -> Objective:
        """What each step climbs."""
        return self._penalised(shifted=True)

    @property
    def judge(self) -> Objective:
        """What held-out rows are judged by: the same, the model's moments at points that stay where they are."""
        return self._penalised(shifted=False)

    @property
    def orders(self) -> tuple[int, ...]:
        """Of the moments that are penalised."""
        return () if self.penalty is None else tuple(sorted(self.penalty.gaps))

    def monitor(self, model: LatentModel) -> dict[str, Tensor]:
        """The penalty, and the gap of each order."""
        if self.penalty is None:
            return {}
        squared = self.penalty.squared(model)
        return {"penalty": self.penalty.total(squared)} | {f"gap_{k}": s.sqrt() for k, s in squared.items()}

    def bound_of(self, trained: Trained) -> NDArray[np.float64]:
        """The bound alone at the weights that were kept, (R,)."""
        if self.penalty is None:
            return trained.best_value
        kept = np.arange(len(trained.best_epoch)), trained.best_epoch
        return np.asarray(trained.best_value + self.alpha * trained.history["penalty"][kept])

    def _penalised(self, *, shifted: bool) -> Objective:
        if self.penalty is None:
            return self.bound
        return partial(penalised, bound=self.bound, penalty=self.penalty, alpha=self.alpha, shifted=shifted)


def order_weights(mega_order: Any) -> dict[int, float]:
    """Weight of each order that ``mega_order`` asks for.

    Raises
    ------
    TypeError, ValueError
        If there is no such order, or a weight is negative, or all are 0.
    """
    allowed = f"whole numbers from 1 to {HIGHEST_ORDER}"
    given = mega_order if isinstance(mega_order, Mapping) else None
    for order in [mega_order] if given is None else given:
        if not is_whole(order):
            raise TypeError(f"mega_order must hold orders of moments, {allowed}, got {order!r}.")
        if not 1 <= order <= HIGHEST_ORDER:
            raise ValueError(f"mega_order: orders are {allowed}, got {order!r}.")
    if given is None:
        return dict.fromkeys(range(1, int(mega_order) + 1), 1.0)
    for order, weight in given.items():
        check_number(weight, f"mega_order[{order}]", 0.0)
    weights = {int(k): float(w) for k, w in given.items() if w > 0}
    if not weights:
        raise ValueError("mega_order gives no order a weight above 0; for training without moment gaps use mega=0.")
    return weights


def check_finite_moments(weights: Mapping[int, float], likelihoods: Mapping[str | int, str]) -> None:
    """Refuse orders of which a column's likelihood need not have a finite moment.

    Raises
    ------
    ValueError
        Naming the first such column and the remedy.
    """
    order = max(weights)
    heavy = [column for column, name in likelihoods.items() if name == "student_t"]
    if heavy and order > 2:
        raise ValueError(
            f"mega_order: column {heavy[0]!r} has a student_t likelihood, which need not have a finite moment of order "
            f"{order}; use mega_order=2, or likelihood='normal' for this column."
        )
