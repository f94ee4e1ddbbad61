"""Runs the service until it is told to stop."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from everfit.core.errors import SettingsError
from everfit.core.settings import ServingSettings
from everfit.serving.app import App
from everfit.serving.metrics import ServiceMetrics
from everfit.serving.plane import Plane

GRACE_S = 10
"""How long requests under way may take once the service was told to stop."""


def serve(plane: Plane, settings: ServingSettings, *, announce: Callable[[str], None] = lambda _url: None) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered first.

    Args:
        plane: What answers.
        settings: Where to listen, and limits.
        announce: Hears the service's URL once it listens.

    Raises:
        SettingsError: If the address cannot be listened on.
    """
    listener = _listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    app = App(plane, settings, ServiceMetrics())
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    shown = f"[{host}]" if ":" in host else host
    with listener:
        _Server(config, lambda: announce(f"http://{shown}:{port}")).run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"[serving] host and port must be free to listen on: {error.strerror}",
            value=f"{host}:{port}",
            remedy="Stop what listens there, or choose another --port; 0 takes a free one.",
        ) from error
    return listener
