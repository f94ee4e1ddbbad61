"""The listening socket that all workers of the service share."""

from __future__ import annotations

import socket

from everfit.core.errors import SettingsError

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket for all workers: if one of them dies, no waiting connection is lost.

    Raises :class:`SettingsError` if the address cannot be listened on.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    # A UnicodeError: the name cannot be written in DNS.
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"[serving] host and port must be an address that can be listened on: {reason}",
            value=f"{host}:{port}",
            remedy="Choose another port, or 0 for a free one: everfit serve --port 0.",
        ) from error


def url_of(listener: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
