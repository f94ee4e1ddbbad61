"""The socket that all workers of the service accept callers from."""

from __future__ import annotations

import socket

from everfit.core.errors import SettingsError

_BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """A listening socket that all workers share: one's death takes no waiting caller with it.

    Raises:
        SettingsError: If the address cannot be listened on.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    # A UnicodeError: the name cannot be written in DNS.
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"[serving] host and port must be an address that can be listened on: {reason}",
            value=f"{host}:{port}",
            remedy="Choose another port, or 0 for a free one: everfit serve --port 0.",
        ) from error


def url_of(listener: socket.socket) -> str:
    """Where a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
