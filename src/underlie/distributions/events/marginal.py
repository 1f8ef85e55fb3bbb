"""Maximum likelihood of a marginal distribution of event times, before any network is trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor


def maximise(
    log_likelihood: Callable[[Tensor], Tensor], start: Tensor, low: Tensor, high: Tensor, *, iterations: int = 200
) -> Tensor:
    """The maximum of a smooth function of a few parameters within bounds, by a limited-memory quasi-Newton method.

    Parameters
    ----------
    log_likelihood : callable
        Parameters (k,) float64 to a scalar, of order one (a mean over rows).
    start, low, high : Tensor (k,)
        Where to begin, and the bounds.
    iterations : int
        At most so many.

    References
    ----------
    Byrd, Lu, Nocedal & Zhu (1995), A limited memory algorithm for bound constrained optimization.
    """

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        theta = torch.tensor(values, dtype=torch.float64, device=start.device, requires_grad=True)
        with torch.enable_grad():
            value = -log_likelihood(theta)
            (gradient,) = torch.autograd.grad(value, theta)
        return value.item(), gradient.cpu().numpy()

    first = torch.minimum(torch.maximum(start, low), high)
    bounds = list(zip(low.tolist(), high.tolist(), strict=True))
    settings = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": iterations}
    found = minimize(loss, first.cpu().numpy(), jac=True, bounds=bounds, method="L-BFGS-B", options=settings)
    return torch.as_tensor(found.x, dtype=torch.float64, device=start.device)


def rows_in(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Middle of what is known of each time, whether the event was seen, and time of entry, each (n,)."""
    if x.shape[1] == 2:
        return x[:, 0], x[:, 1], torch.zeros_like(x[:, 0])
    seen = x[:, 1]
    return torch.where(seen > 0, 0.5 * (x[:, 0] + x[:, 3]), x[:, 0]), seen, x[:, 2]
