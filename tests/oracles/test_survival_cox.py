"""On the population's axis of time a Weibull regression is nearly Cox's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from lifelines import CoxPHFitter

import underlie as ul
from underlie.models.evidence import regress
from underlie.models.survival_start import components_of, law_quantile, make_head
from underlie.models.time_axis import encode_outcome, population_axis


def coefficients(y: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Of the level, hardly shrunk, with one shape for all rows."""
    axis = population_axis(y, law_quantile("weibull", 0.0))
    encoded = encode_outcome(y, axis)
    head = make_head("weibull", 2, encoded[y["event"], 0], 0.0).double()
    head.start(torch.as_tensor(encoded))
    p = terms.shape[1]
    found = regress(head, terms, [["free"] * p, [None] * p], encoded, components=components_of(head))
    return found.weight[0]


def simulated(n: int, slopes: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Times whose baseline hazard is no power of time: two waves."""
    rng = np.random.default_rng(1)
    terms = rng.normal(size=(n, len(slopes)))
    h = rng.exponential(size=n) / np.exp(terms @ slopes)
    t = np.where(h < 0.5, h**2, 5.0 + 3.0 * np.sqrt(h - np.minimum(h, 0.5)))
    c = rng.uniform(0.1, 12.0, n)
    return terms, ul.Surv(np.minimum(t, c), t <= c)


@pytest.mark.parametrize(
    ("n", "slopes", "tolerance"),
    [(500, [0.3, -0.2, 0.1], 0.012), (2_000, [0.3, -0.2, 0.1], 0.012), (2_000, [1.0, -0.5, 0.2], 0.07)],
    ids=["weak", "weak-many", "strong"],
)
def test_coefficients_are_coxs(n: int, slopes: list[float], tolerance: float) -> None:
    """To .012 where effects are moderate. The axis is the marginal hazard's, not the baseline's given the covariates:
    strong effects (1 per standard deviation) come out up to 6 % smaller.
    """
    terms, y = simulated(n, slopes)
    table = pd.DataFrame(terms).rename(columns=str).assign(time=y["time"], event=y["event"])
    cox = CoxPHFitter().fit(table, "time", "event").params_.to_numpy()
    found = coefficients(y, terms)
    np.testing.assert_allclose(found, cox, atol=tolerance)
    assert (np.abs(found) < np.abs(cox) + 0.01).all()


def test_monotone_changes_of_time_do_not_matter() -> None:
    """As in Cox's regression, whose likelihood knows the order of times alone; the last time is an event here."""
    terms, y = simulated(400, [0.6, -0.4])
    y["event"][np.argmax(y["time"])] = True
    y = y[np.argsort(y["time"])]
    first = int(np.argmax(y["event"]))
    terms, y = terms[first:], y[first:]
    found = coefficients(y, terms)
    for change in (lambda t: t**2, lambda t: np.expm1(t / 5.0), lambda t: t * 365.25):
        np.testing.assert_allclose(coefficients(ul.Surv(change(y["time"]), y["event"]), terms), found, atol=2e-3)
