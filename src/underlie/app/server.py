"""Address, port, browser and Ctrl-C: how the page is reached, and by whom."""

from __future__ import annotations

import ipaddress
import socket
import threading
import webbrowser
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from underlie.app.opened import Shelf

if TYPE_CHECKING:
    import uvicorn

#: seconds that open pages are given when the server is stopped
_PATIENCE: Final = 1
#: seconds after which a model is opened unasked: importing PyTorch would keep a page that waits from being served
_PAGE_FIRST: Final = 0.7


class CannotServe(OSError):
    """The address cannot be used; the message says why and what to do."""


def serve(shelf: Shelf, *, host: str, port: int | None, browser: bool, say: Callable[[str], None]) -> None:
    """Show the models of a shelf at a local address until Ctrl-C.

    Parameters
    ----------
    shelf : Shelf
    host : str
        Which address to listen at. 127.0.0.1 can be reached from this machine only.
    port : int, optional
        A free one by default.
    browser : bool
        Open the page in the browser.
    say : callable
        Is given the address, once it can be reached.

    Raises
    ------
    CannotServe
        If the port is taken, or the host is none of this machine's.
    """
    listening = listen(host, port)
    address = _address(host, listening.getsockname()[1])
    # A browser that comes at once waits at the socket, and starts while Shiny is imported.
    say(address)
    if browser:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    try:
        server = make_server(shelf, host)
        early = threading.Timer(_PAGE_FIRST, shelf.open_first)
        early.daemon = True
        early.start()
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # that is how it is stopped
    finally:
        listening.close()


def make_server(shelf: Shelf, host: str = "127.0.0.1") -> uvicorn.Server:
    """The server of a shelf, not started yet."""
    import uvicorn

    from underlie.app.page import make_app

    app = only_own_pages(make_app(shelf), host)
    config = uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=_PATIENCE)
    return uvicorn.Server(config)


def listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens, at a free port where none is given.

    Raises
    ------
    CannotServe
        If the port is taken, or the host is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port or 0))
        listening.listen(128)
    except OSError as error:
        listening.close()
        if port is None or isinstance(error, socket.gaierror):
            text = f"--host {host}: this machine has no such address ({error.strerror}); leave it out"
        else:
            text = f"port {port} of {host} cannot be used ({error.strerror}): choose another --port, or leave it out"
        raise CannotServe(text) from error
    return listening


def _address(host: str, port: int) -> str:
    name = "127.0.0.1" if host in ("0.0.0.0", "") else "[::1]" if host == "::" else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/"


def is_local(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def only_own_pages(app: Any, host: str) -> Any:
    """The application, deaf to requests that another site's page makes in the same browser.

    A browser lets any page open a connection to a local address. Such a request names its own site as its origin, or,
    when that site's name was pointed to this machine, as its host. Both are refused.
    """
    local = is_local(host)

    async def guarded(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
            named, origin = headers.get(b"host", ""), headers.get(b"origin")
            if (local and not is_local(_host_of(named))) or (origin is not None and urlsplit(origin).netloc != named):
                await _refuse(scope["type"], send)
                return
        await app(scope, receive, send)

    return guarded


def _host_of(named: str) -> str:
    return urlsplit(f"//{named}").hostname or ""


async def _refuse(kind: str, send: Any) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"This page answers only when opened at its own address."})
