"""Finding a data file: the user's data folder, the cache, then a checked download that can be resumed."""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

#: called with the number of bytes that are there and the number expected (None if the server does not say)
Progress = Callable[[int, int | None], None]

_SUBFOLDERS: Final = ("", "images", "survival", "tabular", "imputation", "hwd")
_CHUNK: Final = 2**18
_TIMEOUT_S: Final = 30.0


class FetchError(OSError):
    """A data file is not on this machine and could not be downloaded, or what came is not what was expected."""


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be downloaded.

    Parameters
    ----------
    name : str
        Name under which it is kept.
    url : str
        https address.
    sha256 : str
        Checksum, in hexadecimal.
    max_bytes : int
        A longer answer is refused.
    """

    name: str
    url: str
    sha256: str
    max_bytes: int


def data_folder() -> Path | None:
    """The folder named by ``UNDERLIE_DATA``; None if the variable is not set."""
    named = os.environ.get("UNDERLIE_DATA")
    return Path(named).expanduser() if named else None


def cache_folder() -> Path:
    """Where downloads are kept: ``UNDERLIE_CACHE``, or the cache folder that the platform prescribes."""
    named = os.environ.get("UNDERLIE_CACHE")
    if named:
        return Path(named).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "underlie" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "underlie"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "underlie"


def local_files(suffix: str) -> dict[str, Path]:
    """Files of the data folder with this suffix, by path relative to it, in the folders that are searched."""
    folder = data_folder()
    if folder is None:
        return {}
    found: dict[str, Path] = {}
    for subfolder in _SUBFOLDERS:
        for path in sorted((folder / subfolder).glob(f"*{suffix}")):
            found[path.relative_to(folder).as_posix()] = path
    return found


def find_local(name: str) -> Path | None:
    """A file of the data folder, at its top or in one of its folders; None if it is not there."""
    folder = data_folder()
    for subfolder in _SUBFOLDERS if folder is not None else ():
        path = Path(folder or "") / subfolder / name
        if path.is_file():
            return path
    return None


def require_local(name: str, what: str) -> Path:
    """A file of the data folder.

    Raises
    ------
    FetchError
        If it is not there; the message says where to put it.
    """
    path = find_local(name)
    if path is not None:
        return path
    folder = data_folder()
    where = f"in {folder}" if folder is not None else "in a folder, and name that folder in the variable UNDERLIE_DATA"
    raise FetchError(
        f"{what} is not on this machine, and no source with a known checksum exists to download it from. Put {name} "
        f"{where}."
    )


def fetch_file(
    remote: RemoteFile, *, progress: Progress | None = None, accept_plain_http_from_this_machine: bool = False
) -> Path:
    """The path of a file, which is downloaded if it is neither in the data folder nor in the cache.

    A file of the data folder is taken as it is; one of the cache must have the right checksum, or is fetched again. An
    interrupted download is resumed. The file appears under its name only once it is complete and checked.

    Parameters
    ----------
    remote : RemoteFile
    progress : callable, optional
        Called as progress(bytes so far, bytes in all or None). Without it, a progress bar is shown on a terminal.
    accept_plain_http_from_this_machine : bool
        Allow http addresses of 127.0.0.1; for tests.

    Returns
    -------
    Path

    Raises
    ------
    FetchError
        If the file cannot be fetched, is too long, or has another checksum.
    """
    local = find_local(remote.name)
    if local is not None:
        return local
    target = cache_folder() / remote.name
    if target.is_file() and sha256_of(target) == remote.sha256:
        return target
    _require_safe(remote.url, accept_plain_http_from_this_machine)
    part = target.with_name(target.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with _bar(remote.name, progress) as report:
            _download(remote, part, report)
            if sha256_of(part) != remote.sha256:
                # what an earlier attempt left may have been from another version of the file
                part.unlink()
                _download(remote, part, report)
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise FetchError(_offline_message(remote, target, error)) from error
    found = sha256_of(part)
    if found != remote.sha256:
        part.unlink()
        raise FetchError(
            f"what {remote.url} gave has the checksum {found}, not {remote.sha256}: it was altered, or replaced. It "
            "was deleted."
        )
    os.replace(part, target)
    return target


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _offline_message(remote: RemoteFile, target: Path, error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    folder = data_folder()
    by_hand = f"{folder / remote.name} or {target}" if folder is not None else f"{target}"
    return (
        f"cannot download {remote.name} from {remote.url}: {reason}. If this machine has no network, get the file on "
        f"another one and put it by hand at {by_hand}. Run this again to resume an interrupted download."
    )


def _require_safe(url: str, loopback: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or (loopback and parts.scheme == "http" and parts.hostname == "127.0.0.1"):
        return
    raise FetchError(f"{url} is refused: only https addresses are downloaded from.")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to https only."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _require_safe(newurl, loopback=False)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(remote: RemoteFile, part: Path, report: Progress) -> None:
    """Append to ``part`` what is missing; start again where the server does not resume."""
    have = part.stat().st_size if part.exists() else 0
    if have > remote.max_bytes:
        part.unlink()
        have = 0
    request = urllib.request.Request(remote.url, headers={"Range": f"bytes={have}-"} if have else {})
    opener = urllib.request.build_opener(_SafeRedirects)
    try:
        response = opener.open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            # nothing is left after the bytes that are here: the checksum decides whether they are right
            error.close()
            return
        raise
    with response:
        resumed = response.status == 206 and _start_of(response) == have
        have = have if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            _copy(response, file, have, remote, report)


def _start_of(response: Any) -> int:
    """First byte of a partial answer, from ``Content-Range: bytes first-last/total``; -1 if it does not say."""
    unit, _, span = response.headers.get("Content-Range", "").partition(" ")
    first = span.split("-")[0]
    return int(first) if unit == "bytes" and first.isdigit() else -1


def _copy(response: Any, file: IO[bytes], have: int, remote: RemoteFile, report: Progress) -> None:
    length = response.headers.get("Content-Length", "")
    total = have + int(length) if length.isdigit() else None
    while True:
        if max(have, total or 0) > remote.max_bytes:
            raise FetchError(f"{remote.url} is longer than {remote.max_bytes:,} bytes: it is not {remote.name}.")
        report(have, total)
        chunk = response.read(_CHUNK)
        if not chunk:
            break
        file.write(chunk)
        have += len(chunk)
    if total is not None and have < total:
        raise ConnectionError(f"the connection ended after {have:,} of {total:,} bytes")


@contextmanager
def _bar(name: str, progress: Progress | None) -> Iterator[Progress]:
    """The caller's progress function, or a bar on a terminal, or nothing."""
    if progress is not None:
        yield progress
        return
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
