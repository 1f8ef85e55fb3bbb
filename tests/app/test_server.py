"""How the page is reached: address, refusals, and what the command says when there is nothing to show."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import underlie as ul
from underlie.cli import app as command_line

pytest.importorskip("shiny", reason="the page needs the extra 'app'")

from underlie.app.server import CannotServe, is_local, listen, only_own_pages


def run(*words):
    return CliRunner().invoke(command_line, [str(word) for word in words])


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_text("hello")])
def test_nothing_to_show_is_exit_code_2_and_names_the_remedy(tmp_path, make):
    make(tmp_path / "models")
    done = run("app", tmp_path / "models", "--no-browser")
    assert done.exit_code == 2
    assert re.search(r"give (the|a) folder|Save one there", done.stderr)


def test_without_shiny_the_extra_is_named(tmp_path, monkeypatch):
    ul.ProbabilisticPCA(1).fit([[1.0, 2.0], [2.0, 1.0], [0.0, 0.5]]).save(tmp_path / "m.safetensors")
    monkeypatch.setattr("underlie.cli.serving.find_spec", lambda name: None)
    done = run("app", tmp_path, "--no-browser")
    assert done.exit_code == 2
    assert "pip install 'underlie[app]'" in done.stderr


def test_a_port_that_is_taken_is_said(tmp_path):
    ul.ProbabilisticPCA(1).fit([[1.0, 2.0], [2.0, 1.0], [0.0, 0.5]]).save(tmp_path / "m.safetensors")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("app", tmp_path, "--no-browser", "--port", port)
    assert done.exit_code == 2
    assert f"port {port}" in done.stderr
    assert "another --port" in done.stderr


def test_a_host_that_is_none_is_said():
    with pytest.raises(CannotServe, match="--host 192.0.2.1"):
        listen("192.0.2.1", None)


def test_ports_are_free_ones():
    with listen("127.0.0.1", None) as first, listen("127.0.0.1", None) as second:
        assert first.getsockname()[1] != second.getsockname()[1]


def test_which_addresses_are_local():
    assert all(map(is_local, ("127.0.0.1", "localhost", "::1", "127.1.2.3")))
    assert not any(map(is_local, ("0.0.0.0", "192.168.1.2", "example.org", "")))


def _status(kind, host, headers):
    """What a request with these headers gets: "through", or how it was refused."""
    sent = []

    async def inner(scope, receive, send):
        sent.append({"type": "through"})

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    asyncio.run(only_own_pages(inner, host)(scope, None, send))
    return sent[0].get("status", sent[0]["type"])


@pytest.mark.parametrize(
    ("headers", "through"),
    [
        ({"host": "127.0.0.1:8000"}, True),
        ({"host": "localhost:8000", "origin": "http://localhost:8000"}, True),
        ({"host": "[::1]:8000", "origin": "http://[::1]:8000"}, True),
        ({"host": "127.0.0.1:8000", "origin": "https://elsewhere.example"}, False),
        ({"host": "127.0.0.1:8000", "origin": "http://127.0.0.1:9000"}, False),
        ({"host": "127.0.0.1:8000", "origin": "null"}, False),
        ({"host": "renamed.example:8000", "origin": "http://renamed.example:8000"}, False),
        ({}, False),
    ],
)
def test_other_sites_cannot_ask_a_local_page(headers, through):
    assert _status("http", "127.0.0.1", headers) == ("through" if through else 403)
    assert _status("websocket", "127.0.0.1", headers) == ("through" if through else "websocket.close")


def test_a_page_for_the_network_still_refuses_other_sites():
    own, other = ({"host": "b.example:80", "origin": f"http://{name}.example:80"} for name in "ba")
    assert _status("http", "0.0.0.0", own) == "through"
    assert _status("websocket", "0.0.0.0", other) == "websocket.close"


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_the_command_prints_its_address_and_ends_by_ctrl_c(tmp_path):
    ul.ProbabilisticPCA(1).fit([[1.0, 2.0], [2.0, 1.0], [0.0, 0.5]]).save(tmp_path / "m.safetensors")
    words = [sys.executable, "-m", "underlie", "app", str(tmp_path), "--no-browser"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\n", process.stdout.readline())
            assert address is not None
            with socket.create_connection(("127.0.0.1", int(address[1])), timeout=60) as asking:
                asking.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{address[1]}\r\nConnection: close\r\n\r\n".encode())
                assert asking.recv(12) == b"HTTP/1.1 200"
            process.send_signal(signal.SIGINT)
            rest, problems = process.communicate(timeout=60)
        finally:
            process.kill()
    assert rest.splitlines()[-1] == "stopped"
    assert process.returncode == 0
    assert "Traceback" not in problems


def test_nothing_but_the_page_imports_shiny():
    code = "import sys, underlie.cli, underlie.cli.serving; sys.exit(any(m in sys.modules for m in ('shiny', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=False).returncode == 0
