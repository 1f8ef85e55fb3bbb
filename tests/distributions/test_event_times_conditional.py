"""Event times given that there was none until t0."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from underlie.distributions import (
    EVENT_TIMES,
    EventTime,
    LogLocationScale,
    conditional_log_survival,
    conditional_quantile,
    conditional_sample,
    event_time,
)

NAMES = pytest.mark.parametrize("name", EVENT_TIMES)


def _rows(n: int = 300) -> Tensor:
    rng = np.random.default_rng(0)
    t, c = rng.weibull(1.6, n), rng.uniform(0, 3, n)
    return torch.as_tensor(np.column_stack([np.minimum(t, c), t <= c]).astype(float))


def _ready(name: str, width: int = 2) -> tuple[EventTime, Tensor]:
    """A started head and raw values for three rows."""
    x = _rows()
    head = event_time(name, event_times=x[x[:, 1] == 1, 0].numpy(), width=width).double()
    head.start(x if width == 2 else torch.column_stack([x, torch.zeros(len(x)).double(), x[:, 0]]))
    return head, 0.7 * torch.randn(3, head.n_raw, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@NAMES
def test_survival_of_those_who_got_so_far(name: str) -> None:
    head, raw = _ready(name)
    t, t0 = torch.tensor([0.0, 0.2, 0.6, 1.5, 4.0]).double(), torch.tensor([[0.0], [0.6], [2.0]]).double()
    found = conditional_log_survival(head, raw, t, t0)
    for i, entry in enumerate((0.0, 0.6, 2.0)):
        s, s0 = head.log_survival(raw[i : i + 1], t).exp(), head.log_survival(raw[i : i + 1], t0[i]).exp()
        wanted = torch.where(t > entry, s / s0, 1.0)
        torch.testing.assert_close(found[i : i + 1].exp(), wanted, rtol=1e-10, atol=1e-12)
    # not yet followed: the distribution itself; and one t0 for all rows is as good as one for each
    torch.testing.assert_close(conditional_log_survival(head, raw, t, torch.tensor(0.0)), head.log_survival(raw, t))
    everyone = conditional_log_survival(head, raw, t, torch.tensor([0.6]).double())
    assert torch.equal(everyone[1], found[1])
    # with sample axes as in queries
    many = conditional_log_survival(head, raw[None, None].expand(2, 5, 3, -1), t, t0)
    torch.testing.assert_close(many, found.expand(2, 5, 3, 5))


@NAMES
def test_survival_in_two_steps_is_survival_in_one(name: str) -> None:
    head, raw = _ready(name)
    first, second, end = (torch.tensor([v]).double() for v in (0.4, 1.1, 3.0))
    steps = conditional_log_survival(head, raw, second, first) + conditional_log_survival(head, raw, end, second)
    torch.testing.assert_close(steps, conditional_log_survival(head, raw, end, first), rtol=1e-12, atol=1e-14)


@NAMES
def test_quantiles_invert_conditional_survival(name: str) -> None:
    head, raw = _ready(name)
    p = torch.tensor([1e-6, 0.05, 0.5, 0.99]).double()
    for t0 in (torch.tensor(0.0).double(), torch.tensor([[0.1], [0.9], [2.5]]).double()):
        t = conditional_quantile(head, raw, p, t0)
        assert t.shape == (3, 4)
        assert (t >= t0).all()
        back = -torch.expm1(conditional_log_survival(head, raw, t, t0))
        torch.testing.assert_close(back, p.expand(3, -1), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(conditional_quantile(head, raw, p, torch.tensor(0.0)), head.quantile(raw, p))
    ends = conditional_quantile(head, raw, torch.tensor([0.0, 1.0]).double(), torch.tensor([0.9]).double())
    torch.testing.assert_close(ends[:, 0], torch.full((3,), 0.9).double())
    assert (ends[:, 1] == torch.inf).all()


@NAMES
def test_quantiles_keep_their_digits_where_next_to_nobody_is_left(name: str) -> None:
    head, raw = _ready(name)
    t0 = head.inverse_log_survival(raw, torch.tensor([-60.0]).double())  # 1e-26: 1 - S(t0) is 1 in float64
    median = conditional_quantile(head, raw, torch.tensor([0.5]).double(), t0)
    assert (median > t0).all()
    back = conditional_log_survival(head, raw, median, t0)
    torch.testing.assert_close(back, torch.full((3, 1), np.log(0.5)).double(), rtol=1e-6, atol=0.0)
    # and in float32 as many as the times themselves have
    rough = conditional_quantile(head.float(), raw.float(), torch.tensor([0.5]), t0.float())
    exact = conditional_quantile(head, raw.float().double(), torch.tensor([0.5]).double(), t0.float().double())
    torch.testing.assert_close(rough.double(), exact, rtol=1e-6, atol=0.0)


def test_an_exponential_time_has_no_memory() -> None:
    head, raw = _ready("exponential")
    p, t0 = torch.tensor([0.1, 0.5, 0.9]).double(), torch.tensor([[0.3], [2.0], [7.0]]).double()
    torch.testing.assert_close(conditional_quantile(head, raw, p, t0) - t0, head.quantile(raw, p))


@NAMES
@pytest.mark.parametrize("width", [2, 4])
def test_draws_follow_conditional_survival(name: str, width: int) -> None:
    # Six heads, two widths, two rows: 24 Kolmogorov-Smirnov tests at 1e-4; with a fresh seed correct draws fail once
    # in 400 runs.
    head, raw = _ready(name, width)
    n, t0 = 5000, torch.tensor([[[0.2]], [[1.3]]]).double()
    drawn = conditional_sample(head, raw[:2, None].expand(2, n, -1), t0, torch.Generator().manual_seed(1))
    assert drawn.shape == (2, n, width)
    assert (drawn[..., 1] == 1).all()
    assert (drawn[..., :1] >= t0).all()
    if width == 4:
        assert torch.equal(drawn[..., 2:3], t0.expand(2, n, 1))
        assert torch.equal(drawn[..., 3], drawn[..., 0])
    for i in range(2):
        survival = conditional_log_survival(head, raw[i : i + 1], drawn[i, :, 0], t0[i]).exp()[0]
        assert stats.kstest(survival.detach().numpy(), "uniform").pvalue > 1e-4
    again = conditional_sample(head, raw[:2, None].expand(2, n, -1), t0, torch.Generator().manual_seed(1))
    assert torch.equal(drawn, again)


@pytest.mark.parametrize("t0", [-1.0, float("inf"), float("nan")])
def test_t0_is_checked(t0: float) -> None:
    head, raw, t = LogLocationScale(), torch.zeros(1, 1), torch.tensor([1.0])
    for f in (
        lambda e: conditional_log_survival(head, raw, t, e),
        lambda e: conditional_quantile(head, raw, t / 2, e),
        lambda e: conditional_sample(head, raw, e),
    ):
        with pytest.raises(ValueError, match="t0 must hold finite times of at least 0"):
            f(torch.tensor([t0]))
