"""HTTP/1.1 server connection as an asyncio protocol, parsed by llhttp (httptools), with limits per connection.

Why no framework and no ASGI server: docs/adr/0009-own-http-connection.md.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, cast

import httptools

from everfit.serving.http.response_queue import ResponseQueue
from everfit.serving.http.responses import JSON, Response, body_too_large, error_info, error_response, http_error

if TYPE_CHECKING:
    from everfit.core.settings import ServingSettings

_LONGEST_PATH_BYTES = 4096
_MOST_HEAD_BYTES = 32 * 1024
_LINGER_S = 2.0
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_WATCHED = frozenset(
    {b"connection", b"content-encoding", b"content-length", b"expect", b"transfer-encoding", b"upgrade"}
)
"""Headers that change how a message is read; the others are only passed on."""
_CODINGS = frozenset({b"", b"identity"})
_OK_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "


class HttpRequest(NamedTuple):
    """A complete request."""

    method: str
    path: str
    """As sent, without the query."""
    query: bytes
    headers: list[tuple[bytes, bytes]]
    """Names in lower case."""
    body: bytes
    encoding: bytes = b""
    """The content codings that were applied to the body, as sent, in lower case; empty where none were."""

    def header(self, name: bytes) -> bytes:
        """A header's value; empty if it was not sent."""
        return next((value for key, value in self.headers if key == name), b"")


Handle = Callable[[HttpRequest], Response | Awaitable[Response]]
"""Return the response, or an awaitable of it; never raise."""


class Connection(asyncio.Protocol):
    """One client connection, in ``connections`` while it is open. Responses are sent in the order of the requests."""

    def __init__(
        self, handle: Handle, settings: ServingSettings, connections: set[Connection], response_queue: ResponseQueue
    ) -> None:
        self.held = 0
        """Number of responses that wait for the disk; kept by the response queue."""
        self._unsent: deque[tuple[bool, bool]] = deque()
        """Of each response that is not sent: whether the connection stays open, and whether only the head is sent."""
        self._handle = handle
        self._settings = settings
        self._connections = connections
        self._response_queue = response_queue
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._waiting: deque[tuple[HttpRequest, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._error: Response | None = None
        self._receiving = False
        self._write_paused = False
        self._input_ended = False
        """True once further input is ignored."""
        self._is_http_1_0 = False
        """True if the request is HTTP/1.0: a connection that stays open needs the header ``connection: keep-alive``."""
        self._closing = False
        self._draining = False
        self._active_s = monotonic()
        self._begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        if len(self._connections) > self._settings.max_connections:
            self._fail(http_error(503, "the service has as many connections as it takes", (b"retry-after", b"1")))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """See :class:`asyncio.Protocol`."""
        self._connections.discard(self)
        self._input_ended = self._closing = True
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        while data and not self._input_ended:  # after an error input is still read: a reset loses the response
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._ignore_upgrade(data[upgrade.args[0] :])
                continue
            except httptools.HttpParserError as error:
                self._fail(self._error or http_error(400, f"a request must be HTTP/1.1: {error}"))
            return

    def eof_received(self) -> bool:
        """See :class:`asyncio.Protocol`; a client may end its side and still wait for responses."""
        return self.is_busy

    def pause_writing(self) -> None:
        """See :class:`asyncio.Protocol`."""
        self._write_paused = True
        self._active_s = monotonic()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """See :class:`asyncio.Protocol`."""
        self._write_paused = False
        if self._task is None:
            self._transport.resume_reading()

    # Callbacks of httptools.

    def on_message_begin(self) -> None:
        """Start a request."""
        self._begin()
        self._receiving = True
        self._active_s = monotonic()

    def on_url(self, url: bytes) -> None:
        """Add a piece of the request's target."""
        self._url += url
        if len(self._url) > _LONGEST_PATH_BYTES:
            self._error = http_error(414, f"a path may have at most {_LONGEST_PATH_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes <= _MOST_HEAD_BYTES:
            self._headers.append((name.lower(), value))
        else:
            self._error = http_error(431, f"a request's head may have at most {_MOST_HEAD_BYTES} bytes")

    def on_headers_complete(self) -> None:
        """Apply the headers once all of them are there."""
        if self._error is None:
            for name, value in self._headers:
                if name in _WATCHED:
                    self._apply(name, value)
        if self._error is not None:
            self._fail(self._error)
        elif self._expects and not self._upgrades:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _apply(self, name: bytes, value: bytes) -> None:
        """Apply a header that changes how the message is read."""
        text = value.strip().lower()
        if name == b"content-length":
            if int(text) > self._settings.max_body_bytes:
                self._error = self._too_large(int(text))
        elif name == b"connection":
            # RFC 9112, 9.3: a client of HTTP/1.0 keeps a connection only if the response says so.
            self._is_http_1_0 = self._parser.get_http_version() == "1.0"
        elif name == b"upgrade":
            self._upgrades = self._parser.should_upgrade()
        elif name == b"expect":
            if text == b"100-continue":
                self._expects = self._parser.get_http_version() != "1.0"
            else:
                shown = value[:100].decode("latin-1")
                self._error = http_error(417, "the service meets no expectation but 100-continue", value=shown)
        elif name == b"content-encoding":
            if text not in _CODINGS:
                self._encoding += b", " + text if self._encoding else text
        elif name == b"transfer-encoding" and text != b"chunked":
            shown = value[:100].decode("latin-1")
            self._error = http_error(501, "the only transfer-encoding must be chunked", value=shown)

    def _ignore_upgrade(self, rest: bytes) -> bytes:
        """Return the message again without its Upgrade header (RFC 9110, 7.8: a server may ignore it).

        llhttp stops at the end of a head that asks for an upgrade, and skips the body. ``rest`` came after the head.
        """
        if not self._upgrades and not self._input_ended:
            self._fail(http_error(405, "the service is no proxy: CONNECT is not allowed"))
        if self._input_ended:
            return b""
        lines = [b"%b %b HTTP/%b" % (self._parser.get_method(), self._url, self._parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self._headers if header[0] != b"upgrade"]
        self._parser = httptools.HttpRequestParser(self)
        return b"\r\n".join(lines) + b"\r\n\r\n" + rest

    def on_body(self, body: bytes) -> None:
        """Add a piece of the body."""
        self._body_bytes += len(body)
        if self._body_bytes > self._settings.max_body_bytes:
            if not self._input_ended:
                self._fail(self._too_large(self._body_bytes))
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Handle the request once it is complete."""
        if self._input_ended or self._upgrades:
            return
        parser, url = self._parser, self._url
        if not url.startswith(b"/"):
            if parser.should_upgrade():  # CONNECT
                return
            url = _origin_form(url)
        self._receiving = False
        path, _, query = url.partition(b"?")
        body = self._body
        request = HttpRequest(
            parser.get_method().decode("latin-1"),
            path.decode("latin-1"),
            query,
            self._headers,
            body[0] if len(body) == 1 else b"".join(body),
            self._encoding,
        )
        keep = parser.should_keep_alive() and not self._draining
        if self._task is not None:
            # Responses keep the order of the requests; reading goes on once they are sent.
            self._waiting.append((request, keep))
            self._transport.pause_reading()
            return
        response = self._handle(request)
        if isinstance(response, Response):
            self._put(response, keep=keep, head_only=request.method == "HEAD")
        else:
            self._task = asyncio.get_running_loop().create_task(self._respond_later(response, request, keep))

    async def _respond_later(self, awaited: Awaitable[Response], request: HttpRequest, keep: bool) -> None:
        self._put(await awaited, keep=keep, head_only=request.method == "HEAD")
        while self._waiting and not self._closing:
            request, keep = self._waiting.popleft()
            response = self._handle(request)
            if not isinstance(response, Response):
                response = await response
            self._put(response, keep=keep, head_only=request.method == "HEAD")
        self._task = None
        if not self._closing and not self._write_paused:
            self._transport.resume_reading()

    def drain(self) -> None:
        """Close once all responses are sent."""
        self._draining = True
        if not self.is_busy:
            self._close()

    @property
    def is_busy(self) -> bool:
        """True while a request is being received or a response is not sent."""
        return self._task is not None or self._receiving or bool(self._unsent)

    def sweep(self, now_s: float) -> None:
        """Close the connection if a time limit has passed; called about once a second."""
        since_s = now_s - self._active_s
        if self._closing or self._write_paused:
            if since_s > (_LINGER_S if self._closing else self._settings.receive_seconds):
                self._transport.abort()
        elif self._receiving:
            if since_s > self._settings.receive_seconds:
                self._fail(http_error(408, f"a request must arrive within {self._settings.receive_seconds:g} seconds"))
        elif not self.is_busy and since_s > self._settings.idle_seconds:
            self._close()

    def _begin(self) -> None:
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._head_bytes = self._body_bytes = 0
        self._encoding = b""
        self._expects = self._upgrades = False

    def _too_large(self, size: int) -> Response:
        return error_response(error_info(body_too_large(self._settings.max_body_bytes, size)))

    def _fail(self, response: Response) -> None:
        """Send an error, then close: the rest of this request cannot be told from the next one."""
        self._input_ended = True
        self._receiving = False
        self._put(response, keep=False)

    def _put(self, response: Response, *, keep: bool, head_only: bool = False) -> None:
        self._unsent.append((keep, head_only))
        self._response_queue.put(self, response)

    def send(self, response: Response) -> None:
        """Send the next response now; called by the response queue, in the order of the requests."""
        keep, head_only = self._unsent.popleft()
        if self._closing:
            return
        status, body, content_type, headers, _ = response
        size = str(len(body)).encode()
        if status == 200 and content_type is JSON and not headers:
            head = _OK_JSON + size
        else:
            more = b"".join(b"\r\n" + name + b": " + value for name, value in headers)
            reason = _REASONS.get(status, b"")
            head = b"HTTP/1.1 %d %b\r\ncontent-type: %b%b" % (status, reason, content_type, more)
            head += b"\r\ncontent-length: " + size
        if not keep:
            head += b"\r\nconnection: close\r\n\r\n"
        else:  # a client of HTTP/1.0 must be told
            head += b"\r\nconnection: keep-alive\r\n\r\n" if self._is_http_1_0 else b"\r\n\r\n"
        self._transport.write(head if head_only else head + body)
        self._active_s = monotonic()
        if not keep:
            self._linger()

    def _linger(self) -> None:
        """Half-close, and read until the client closes: a reset could destroy the response on its way."""
        self._input_ended = self._closing = True
        self._active_s = monotonic()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _close(self) -> None:
        self._input_ended = self._closing = True
        self._transport.close()


def _origin_form(target: bytes) -> bytes:
    """Return a request's target as a path; the absolute form ``http://host/path`` must be accepted (RFC 9112, 3.2.2).

    >>> _origin_form(b"http://service:8000?model=late"), _origin_form(b"HTTP://[::1]/v2/models"), _origin_form(b"*")
    (b'/?model=late', b'/v2/models', b'*')
    """
    scheme, found, rest = target.partition(b"://")
    if not found or scheme.lower() not in {b"http", b"https"}:
        return target
    ends = [place for place in (rest.find(b"/"), rest.find(b"?")) if place >= 0]
    after = rest[min(ends) :] if ends else b""
    return after if after.startswith(b"/") else b"/" + after
