"""Runs the service until it is told to stop."""

from __future__ import annotations

import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from everfit.core.errors import SettingsError
from everfit.serving.app import App

if TYPE_CHECKING:
    from everfit.core.settings import ServingSettings
    from everfit.serving.plane import Plane

_BACKLOG = 2048
_LAST_ANSWERS_S = 30
"""How long requests that have begun may take once the service is told to stop."""


def serve(plane: Plane, settings: ServingSettings, *, announce: Callable[[str], None] | None = None) -> None:
    """Answer requests until SIGTERM or SIGINT; requests that have begun are answered first.

    Args:
        plane: What answers.
        settings: Where to listen, and the limits.
        announce: Called with the service's URL once it answers.

    Raises:
        SettingsError: If the address cannot be listened on.
    """
    with _listen(settings.host, settings.port) as listener, _handled_signals():
        app = App(plane, max_body_bytes=settings.max_body_bytes, max_rows=settings.max_rows)
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_LAST_ANSWERS_S,
        )
        # What is loaded now stays for good: the garbage collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        try:
            _Server(config, lambda: announce(_url(listener)) if announce else None).run(sockets=[listener])
        finally:
            gc.unfreeze()


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], object]) -> None:
        super().__init__(config)
        self._say_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._say_started()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"[serving] host and port must be an address that can be listened on: {error.strerror or error}",
            value=f"{host}:{port}",
            remedy="Choose another port, or 0 for a free one: everfit serve --port 0.",
        ) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _handled_signals() -> Iterator[None]:
    """End quietly: uvicorn raises the signal that stopped it once more for whoever handled it before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, lambda *_: None) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
