"""Probe of an HTTP server: one GET request with a short time limit, no redirect and no retry."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from everfit.core.errors import StoreError

_ANSWER_S = 1.5
_MOST_BYTES = 4 << 20


def probe_server(url: str) -> tuple[int, bytes]:
    """Return the status and the beginning of the body. Raises :class:`StoreError` if no response comes."""
    parts = urlsplit(url)
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    try:
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_ANSWER_S)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read(_MOST_BYTES)
        finally:
            connection.close()
    except TimeoutError as error:
        raise StoreError(f"{parts.netloc} did not answer within {_ANSWER_S} s") from error
    except (OSError, HTTPException, ValueError) as error:
        raise StoreError(f"{parts.netloc} does not answer: {error}") from error
