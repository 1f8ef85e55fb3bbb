"""The examples of docs/ecosystem.md run, in their order; those that need a GPL library only where it is installed."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "ecosystem.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not beside the tests")
@pytest.mark.filterwarnings("ignore::underlie.warnings.UnderlieWarning", "ignore::DeprecationWarning")
def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 13
    scope: dict[str, object] = {}
    for k, block in enumerate(blocks):
        if "sksurv" in block and find_spec("sksurv") is None:
            continue
        exec(compile(block, f"ecosystem.md, example {k}", "exec"), scope)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if line[:1].isdigit()][:2] == ["0", "5"]
    assert {file.name for file in tmp_path.iterdir()} >= {"runs", "mlruns", "encoder.pt2", "decoder.onnx"}
