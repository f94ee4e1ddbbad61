"""Connections to a prediction service: a pool of kept connections, and retries.

Why not urllib3: docs/adr/0022-the-client-s-own-connections.md.
"""

from __future__ import annotations

import random
import re
import time
from collections import deque
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Struct, UnsetType

from everfit.core.errors import (
    InvalidRequestError,
    NotReadyError,
    RequestError,
    RequestTooLargeError,
    SettingsError,
    UnknownModelError,
)

_ERRORS: Mapping[int, type[RequestError]] = {
    404: UnknownModelError,
    413: RequestTooLargeError,
    422: InvalidRequestError,
    503: NotReadyError,
}
_TOKEN = re.compile(r"[!-~]+")
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_LONGEST_RETRY_AFTER_S = 30.0
_T = TypeVar("_T")


class _Problem(Struct):
    message: str
    field: str = ""
    value: Any = None
    expected: str | UnsetType = UNSET


class _ErrorBody(Struct):
    error: _Problem


class ServiceResponse(NamedTuple):
    """Response of the service."""

    status: int
    body: bytes
    retry_after_s: float
    """Value of ``Retry-After`` in seconds; 0 if it is absent."""

    def decode(self, kind: type[_T]) -> _T:
        """Return the body of a success. Raises :class:`RequestError` for an error of the service, with its rule, value,
        place and remedy, and for the response of another one.
        """
        if self.status != HTTPStatus.OK:
            raise self._error(self._decode(_ErrorBody).error)
        return self._decode(kind)

    def _decode(self, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            value = f"{self.status} {self.body[:200].decode(errors='replace')}"
            rule, remedy = "a prediction service must be at this address", "Check the address, and what stands between."
            raise RequestError(rule, value=value, remedy=remedy) from problem

    def _error(self, error: _Problem) -> RequestError:
        kind = _ERRORS.get(self.status, RequestError)
        if error.expected is UNSET:
            rule, _, remedy = error.message.partition(". ")
            return kind(rule.removesuffix("."), remedy=remedy)
        rule = f"must be {error.expected}" if f"must be {error.expected}" in error.message else error.expected
        found = kind(rule, value=error.value, place=error.field)
        found.remedy = error.message.removeprefix(str(found)).strip() if error.message.startswith(str(found)) else ""
        return found


class _Connection(HTTPConnection):
    """Connection that hands head and body of a request to the system together.

    As two packets they wake the service twice, and take a call of the system more.
    """

    _parts: list[bytes] | None = None

    def request_at_once(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> None:
        """Send a request. Raises what :meth:`request` raises."""
        parts: list[bytes] = []
        self._parts = parts
        try:
            self.request(method, path, body, headers)
        finally:
            self._parts = None
        self.send(b"".join(parts))

    def send(self, data: Any) -> None:
        if self._parts is None:
            super().send(data)
        else:
            self._parts.append(data)


class _EncryptedConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class Channel:
    """Connections to one service; thread-safe, one connection for each request at a time.

    Args:
        url: ``http://host:port`` or ``https://…``, perhaps with a path before the service's own.
        timeout_s: Longest wait for the connection, and then for each piece of the response.
        token: Sent with every request as ``Authorization: Bearer``; ``None`` sends none.
    """

    def __init__(self, url: str, *, timeout_s: float, token: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError("the service's address must be like http://127.0.0.1:8080", value=url)
        if token is not None and not _TOKEN.fullmatch(token):
            # Not shown: it is a secret.
            raise SettingsError("a token must be printable ASCII without blanks", remedy="Look for a line end in it.")
        self.url = url
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._connection = _EncryptedConnection if parts.scheme == "https" else _Connection
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._idle: deque[_Connection] = deque()

    def request(self, method: str, path: str, body: bytes | None = None, *, retries: int) -> ServiceResponse:
        """Send a request, and repeat it up to ``retries`` times while the service responds 503 or cannot be reached.

        The request must be idempotent. It is not repeated after a timeout. Raises :class:`NotReadyError` if there was
        no response.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            wait_s = 0.0
            try:
                response = self._send_once(method, path, body)
            except (OSError, HTTPException) as problem:
                if retries == 0 or isinstance(problem, TimeoutError):
                    raise self._unreachable(problem) from problem
            else:
                if retries == 0 or response.status != HTTPStatus.SERVICE_UNAVAILABLE:
                    return response
                wait_s = response.retry_after_s
            retries -= 1
            # Jitter: clients that were rejected together must not retry together.
            time.sleep(wait_s + pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def close(self) -> None:
        """Close every connection that is not in use."""
        while self._idle:
            self._idle.pop().close()

    def _send_once(self, method: str, path: str, body: bytes | None) -> ServiceResponse:
        try:
            return self._exchange(self._idle.pop(), method, path, body)
        except TimeoutError:
            raise
        except IndexError:  # no connection is idle
            pass
        except (OSError, HTTPException):
            # The service has closed this idle connection, and so most likely the others: not counted as a retry.
            self.close()
        fresh = self._connection(self._host, self._port, timeout=self._timeout_s)
        return self._exchange(fresh, method, path, body)

    def _exchange(self, connection: _Connection, method: str, path: str, body: bytes | None) -> ServiceResponse:
        headers = self._headers | ({"Content-Type": "application/json"} if body is not None else {})
        try:
            connection.request_at_once(method, self._prefix + path, body, headers)
            received = connection.getresponse()
            # HTTP allows a date too; the service sends seconds, and without them there is still the pause.
            seconds = received.getheader("Retry-After", "")
            retry_after_s = min(float(seconds), _LONGEST_RETRY_AFTER_S) if seconds.isdecimal() else 0.0
            response = ServiceResponse(received.status, received.read(), retry_after_s)
        except BaseException:  # whatever it was, part of a response may be left in the connection
            connection.close()
            raise
        if not received.will_close:
            self._idle.append(connection)
        return response

    def _unreachable(self, problem: Exception) -> NotReadyError:
        service = f"the prediction service at {self.url}"
        if isinstance(problem, TimeoutError):
            remedy = "Send fewer rows at once, or wait longer: timeout_s."
            return NotReadyError(f"{service} must answer within {self._timeout_s:g} s", remedy=remedy)
        reason = str(problem) or type(problem).__name__
        remedy = "Start it with 'everfit serve', or give another address."
        return NotReadyError(f"{service} could not be reached: {reason}", remedy=remedy)
