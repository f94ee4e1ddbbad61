"""The way to a service: connections that are kept, and asking again where that helps."""

from __future__ import annotations

import random
import re
import time
from collections import deque
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlsplit

from everfit.core.errors import NotReadyError, SettingsError

_BUSY = 503
_TOKEN = re.compile(r"[!-~]+")
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_LONGEST_RETRY_AFTER_S = 30.0


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    retry_after_s: float
    """How long the service asks its callers to wait; 0 if it does not say."""


class Channel:
    """Connections to one service. Any thread may ask at any time; each question has a connection to itself.

    Args:
        url: ``http://host:port`` or ``https://…``, perhaps with a path before the service's own.
        timeout_s: How long to wait for the connection, and then for every piece of the answer.
        token: Sent with every request as ``Authorization: Bearer``; ``None`` sends none.

    Raises:
        SettingsError: If the address is not of that form, or the token not printable ASCII without blanks.
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
        self._connection = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._idle: deque[HTTPConnection] = deque()

    def ask(self, method: str, path: str, body: bytes | None = None, *, retries: int) -> Answer:
        """Ask, and again up to ``retries`` times while the service says 503 or cannot be reached.

        A question must mean the same if it arrives twice. One that took too long is not asked again.

        Raises:
            NotReadyError: If there was no answer.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            wait_s = 0.0
            try:
                answer = self._ask_once(method, path, body)
            except (OSError, HTTPException) as problem:
                if retries == 0 or isinstance(problem, TimeoutError):
                    raise self._unreachable(problem) from problem
            else:
                if retries == 0 or answer.status != _BUSY:
                    return answer
                wait_s = answer.retry_after_s
            retries -= 1
            # Callers that were turned away together must not come back together.
            time.sleep(wait_s + pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def close(self) -> None:
        """Close every connection that is not in use."""
        while self._idle:
            self._idle.pop().close()

    def _ask_once(self, method: str, path: str, body: bytes | None) -> Answer:
        connection = self._take()
        if connection is not None:
            try:
                return self._exchange(connection, method, path, body)
            except TimeoutError:
                raise
            except (OSError, HTTPException):
                # The service has closed it meanwhile, and so most likely the others: that is no fault to be counted.
                self.close()
        fresh = self._connection(self._host, self._port, timeout=self._timeout_s)
        return self._exchange(fresh, method, path, body)

    def _take(self) -> HTTPConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _exchange(self, connection: HTTPConnection, method: str, path: str, body: bytes | None) -> Answer:
        headers = self._headers | ({"Content-Type": "application/json"} if body is not None else {})
        try:
            connection.request(method, self._prefix + path, body, headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.read(), _seconds(response.getheader("Retry-After")))
        except BaseException:  # whatever it was, half an answer may be left in the connection
            connection.close()
            raise
        if not response.will_close:
            self._idle.append(connection)
        return answer

    def _unreachable(self, problem: Exception) -> NotReadyError:
        if isinstance(problem, TimeoutError):
            return NotReadyError(
                f"the prediction service at {self.url} must answer within {self._timeout_s:g} s",
                remedy="Send fewer rows at once, or wait longer: timeout_s.",
            )
        reason = str(problem) or type(problem).__name__
        return NotReadyError(
            f"the prediction service at {self.url} could not be asked: {reason}",
            remedy="Start it with 'everfit serve', or give another address.",
        )


def _seconds(retry_after: str | None) -> float:
    # HTTP allows a date too; the service sends seconds, and without them there is still the pause.
    if retry_after is None or not retry_after.isdecimal():
        return 0.0
    return min(float(retry_after), _LONGEST_RETRY_AFTER_S)
