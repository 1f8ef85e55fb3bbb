"""What the engine does to the process around it: threads, and what it shows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
import torch

from underlie.engine import ResidentRows, Settings, suitable_threads, train
from underlie.engine.progress import progress_bar
from underlie.engine.threads import ONE_THREAD_BELOW
from underlie.graph import LatentModel, elbo

Build = Callable[[torch.Generator], LatentModel]


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_small_steps_run_on_one_thread_and_the_setting_comes_back() -> None:
    with suitable_threads(0.9 * ONE_THREAD_BELOW):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with suitable_threads(1.1 * ONE_THREAD_BELOW):
        assert torch.get_num_threads() == 2
    with pytest.raises(KeyError), suitable_threads(1.0):
        raise KeyError
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_the_users_own_choice_of_threads_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with suitable_threads(1.0):
        assert torch.get_num_threads() == 2


@pytest.mark.filterwarnings("ignore::underlie.warnings.ConvergenceWarning")
def test_nothing_is_printed_where_there_is_no_terminal(
    build: Build, rows: ResidentRows, settings: Callable[..., Settings], capfd: pytest.CaptureFixture[str]
) -> None:
    train(build, elbo, rows, settings(verbose=True, max_epochs=2), [1])
    assert capfd.readouterr() == ("", "")


def test_progress_is_shown_on_a_terminal_and_cleared_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    with progress_bar("VAE", 5, enabled=True) as say:
        say(3, "held-out bound -1.5")
    out, err = capsys.readouterr()
    assert out == ""
    assert "VAE held-out bound -1.5" in err
    assert "3/5" in err
    with progress_bar("VAE", 5, enabled=False) as say:
        say(3, "held-out bound -1.5")
    assert capsys.readouterr() == ("", "")
