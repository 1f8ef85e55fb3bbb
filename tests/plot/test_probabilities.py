"""The figure of stated probabilities shows the groups where their numbers are, and refuses what is no probability."""

from __future__ import annotations

import numpy as np
import pytest

import underlie as ul

GROUPS = ([0.55, 0.7, 0.95], [0.4, 0.75, 0.9], [0.3, 0.6, 0.8], [0.5, 0.85, 0.97])


def test_marks_and_bars_stand_at_the_numbers():
    ax = ul.plot.reliability(*GROUPS)
    marks = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_allclose(marks.get_xydata(), np.column_stack(GROUPS[:2]))
    (bars,) = (c for c in ax.collections if hasattr(c, "get_segments"))
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, np.column_stack(GROUPS[2:]))
    assert ax.get_xlim() == ax.get_ylim()
    assert ax.get_xlim()[0] < 0.3
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("probability of the predicted class", "share of right predictions")


def test_it_draws_into_axes_that_are_given():
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    assert ul.plot.reliability(*GROUPS, ax=ax) is ax


@pytest.mark.parametrize("bad", [([0.5], [0.5], [0.4], [1.2]), ([0.5], [0.5, 0.6], [0.4], [0.6]), ([], [], [], [])])
def test_what_is_no_group_of_probabilities_is_refused(bad):
    with pytest.raises(ValueError, match=r"probabilities|one number per group"):
        ul.plot.reliability(*bad)
