"""Finding and downloading data files, against a server on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from underlie.datasets import FetchError, _fetch
from underlie.datasets._fetch import RemoteFile, cache_folder, fetch_file, find_local, local_files, require_local

BODY = bytes(range(256)) * 4_000
SHA256 = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves BODY and remembers what was asked for; the attributes choose how it misbehaves."""

    ranges = True
    cut_after: int | None = None
    body = BODY
    redirect: str | None = None
    asked: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if start >= len(server.body):
            self.send_error(416)
            return
        part = server.body[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(part)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
        self.end_headers()
        self.wfile.write(part if server.cut_after is None else part[: server.cut_after])

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERLIE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("UNDERLIE_DATA", raising=False)


def remote(server: Server, **changes: object) -> RemoteFile:
    fields = {"name": "x.bin", "url": f"http://127.0.0.1:{server.server_port}/x.bin", "sha256": SHA256}
    return RemoteFile(**{**fields, "max_bytes": len(BODY), **changes})  # type: ignore[arg-type]


def fetch(server: Server, **changes: object) -> Path:
    return fetch_file(remote(server, **changes), accept_plain_http_from_this_machine=True)


def test_download_then_cache(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = fetch_file(
        remote(server),
        progress=lambda done, total: seen.append((done, total)),
        accept_plain_http_from_this_machine=True,
    )
    assert path == tmp_path / "cache" / "x.bin"
    assert path.read_bytes() == BODY
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert fetch(server) == path
    assert len(server.asked) == 1
    assert list(path.parent.iterdir()) == [path]


def test_altered_cache_is_fetched_again(server: Server) -> None:
    path = fetch(server)
    path.write_bytes(b"rotten")
    assert fetch(server).read_bytes() == BODY


def test_interrupted_download_is_resumed(server: Server) -> None:
    server.cut_after = 300_000
    with pytest.raises(FetchError, match="by hand at .*resume"):
        fetch(server)
    assert not (cache_folder() / "x.bin").exists()
    have = (cache_folder() / "x.bin.part").stat().st_size
    assert 0 < have <= 300_000
    server.cut_after = None
    assert fetch(server).read_bytes() == BODY
    assert server.asked[-1] == f"bytes={have}-"


def test_server_that_cannot_resume_starts_again(server: Server) -> None:
    cache_folder().mkdir()
    (cache_folder() / "x.bin.part").write_bytes(BODY[:1000])
    server.ranges = False
    assert fetch(server).read_bytes() == BODY


@pytest.mark.parametrize("leftover", [b"other bytes", BODY, BODY[:-1] + b"?"])
def test_leftover_of_any_sort_ends_well(server: Server, leftover: bytes) -> None:
    cache_folder().mkdir()
    (cache_folder() / "x.bin.part").write_bytes(leftover)
    assert fetch(server).read_bytes() == BODY
    assert not (cache_folder() / "x.bin.part").exists()


def test_wrong_checksum_leaves_nothing(server: Server) -> None:
    server.body = BODY[::-1]
    with pytest.raises(FetchError, match="checksum"):
        fetch(server)
    assert list(cache_folder().iterdir()) == []


def test_too_long_an_answer_is_refused(server: Server) -> None:
    with pytest.raises(FetchError, match="longer than 1,000 bytes"):
        fetch(server, max_bytes=1000)
    assert not (cache_folder() / "x.bin").exists()


def test_only_https(server: Server) -> None:
    with pytest.raises(FetchError, match="only https"):
        fetch_file(remote(server))
    with pytest.raises(FetchError, match="only https"):
        fetch(server, url="http://example.org/x.bin")
    with pytest.raises(FetchError, match="only https"):
        fetch(server, url="file:///etc/passwd")
    server.redirect = "http://example.org/x.bin"
    with pytest.raises(FetchError, match="only https"):
        fetch(server)


def test_without_network_the_message_says_where_to_put_the_file(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = remote(server, url="http://127.0.0.1:9/x.bin")
    with pytest.raises(FetchError, match=f"by hand at {tmp_path / 'cache' / 'x.bin'}"):
        fetch_file(missing, accept_plain_http_from_this_machine=True)
    monkeypatch.setenv("UNDERLIE_DATA", str(tmp_path))
    with pytest.raises(FetchError, match=f"by hand at {tmp_path / 'x.bin'} or "):
        fetch_file(missing, accept_plain_http_from_this_machine=True)


@pytest.mark.parametrize("subfolder", ["", "images", "survival"])
def test_data_folder_comes_first(
    server: Server, subfolder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERLIE_DATA", str(tmp_path))
    place = tmp_path / subfolder
    place.mkdir(exist_ok=True)
    (place / "x.bin").write_bytes(b"mine")
    assert fetch(server) == place / "x.bin"
    assert server.asked == []
    assert find_local("y.bin") is None
    assert list(local_files(".bin")) == [f"{subfolder}/x.bin".lstrip("/")]


def test_file_without_a_source_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FetchError, match="Put usps.npz in a folder.*UNDERLIE_DATA"):
        require_local("usps.npz", "USPS")
    monkeypatch.setenv("UNDERLIE_DATA", str(tmp_path))
    with pytest.raises(FetchError, match=f"Put usps.npz in {tmp_path}"):
        require_local("usps.npz", "USPS")


@pytest.mark.parametrize(
    ("platform", "expected"),
    [("linux", "xdg/underlie"), ("darwin", "Library/Caches/underlie"), ("win32", "underlie/Cache")],
)
def test_cache_folder_of_the_platform(
    platform: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNDERLIE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(_fetch.sys, "platform", platform)
    assert cache_folder().as_posix().endswith(expected)


def test_progress_bar_is_shown_on_a_terminal_only(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(server)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(_fetch.sys.stderr, "isatty", lambda: True, raising=False)
    fetch(server, name="y.bin")
    out, err = capsys.readouterr()
    assert out == ""
    assert "y.bin" in err
