"""Work in several processes gives what it gives in one, and what is told on the way arrives."""

from __future__ import annotations

import operator

import pytest
import torch

from underlie.cli.side_by_side import side_by_side
from underlie.engine.threads import one_thread

#: what can be handed to a fresh process: each is called with the function that it tells what it does
TASKS = {"told": operator.methodcaller("__call__", "hello"), "called": callable}


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_and_what_is_told_do_not_depend_on_the_number_of_processes(jobs):
    told: list[str] = []
    assert dict(side_by_side(TASKS, jobs, told.append)) == {"told": None, "called": True}
    assert told == ["hello"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_in_a_task_is_raised_here(jobs):
    with pytest.raises(AttributeError):
        list(side_by_side({"bad": operator.attrgetter("nothing_like_it")}, jobs, lambda text: None))


def test_threads_are_as_before_afterwards():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
