"""HTTP/1.1 on a socket: as little as the prediction path needs, and no more than a caller may have.

Why no framework and no ASGI server: docs/adr/0009-own-http-connection.md. The parser is httptools', that is llhttp.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import unquote

import httptools
from msgspec import Struct

from everfit.serving.http.responses import JSON, Reply, refuse

if TYPE_CHECKING:
    from everfit.serving.http.response_queue import Outbox

_LONGEST_PATH_BYTES = 4096
_MOST_HEAD_BYTES = 32 * 1024
_LINGER_S = 2.0
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_WATCHED = frozenset(
    {b"connection", b"content-encoding", b"content-length", b"expect", b"transfer-encoding", b"upgrade"}
)
"""Headers that change how a message is read; all others are only handed on."""
_CODINGS = frozenset({b"", b"identity"})
_ENDS = {
    (True, False): b"\r\n\r\n",
    (True, True): b"\r\nconnection: keep-alive\r\n\r\n",
    (False, False): b"\r\nconnection: close\r\n\r\n",
    (False, True): b"\r\nconnection: close\r\n\r\n",
}
"""The end of a response's head, by whether the connection stays open and whether the client must be told so."""
_OK_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "


class Limits(Struct, frozen=True, kw_only=True):
    """What a caller may take."""

    body_bytes: int
    receive_s: float
    """A request must have arrived whole within so many seconds, and its answer be taken."""
    idle_s: float
    """A connection that asks nothing is closed after so many seconds."""
    connections: int


class HttpRequest(NamedTuple):
    """A whole request."""

    method: str
    path: str
    """Without the query, percent-decoded."""
    query: bytes
    headers: list[tuple[bytes, bytes]]
    """Names in lower case."""
    body: bytes
    encoding: bytes = b""
    """The content codings that were applied to the body, as sent, in lower case; empty where none were."""

    def header(self, name: bytes) -> bytes:
        """A header's value; empty if it was not sent."""
        return next((value for key, value in self.headers if key == name), b"")


Handle = Callable[[HttpRequest], Reply | Awaitable[Reply]]
"""Answers at once or later; raises nothing."""


class Connection(asyncio.Protocol):
    """One caller. Requests are answered in the order in which they came.

    Args:
        handle: Answers.
        limits: What the caller may take.
        others: Every open connection, this one included while it is open.
        outbox: Sends the answers.
    """

    def __init__(self, handle: Handle, limits: Limits, others: set[Connection], outbox: Outbox) -> None:
        self.held = 0
        """Answers that wait for the disk; the outbox's."""
        self._unsent = 0
        self._handle = handle
        self._limits = limits
        self._others = others
        self._outbox = outbox
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._waiting: deque[tuple[HttpRequest, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._refusal: Reply | None = None
        self._receiving = False
        self._stuck = False
        self._deaf = False
        """Whether nothing that the caller sends counts any more."""
        self._is_http_1_0 = False
        """True if the request is HTTP/1.0: a connection that stays open needs the header ``connection: keep-alive``."""
        self._closing = False
        self._draining = False
        self._touched_s = monotonic()
        self._begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio promises."""
        self._transport = cast("asyncio.Transport", transport)
        self._others.add(self)
        if len(self._others) > self._limits.connections:
            self._refuse(refuse(503, "the service has as many connections as it takes", (b"retry-after", b"1")))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """As asyncio promises."""
        self._others.discard(self)
        self._deaf = self._closing = True
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """As asyncio promises."""
        while data and not self._deaf:  # what a refused caller still sends is read, lest the refusal be lost
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._ignore_upgrade(data[upgrade.args[0] :])
                continue
            except httptools.HttpParserError as error:
                self._refuse(self._refusal or refuse(400, f"a request must be HTTP/1.1: {error}"))
            return

    def eof_received(self) -> bool:
        """As asyncio promises; a caller may end its side and still wait for answers."""
        return self.is_busy

    def pause_writing(self) -> None:
        """As asyncio promises."""
        self._stuck = True
        self._touched_s = monotonic()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """As asyncio promises."""
        self._stuck = False
        if self._task is None:
            self._transport.resume_reading()

    # What httptools calls.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._begin()
        self._receiving = True
        self._touched_s = monotonic()

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._url += url
        if len(self._url) > _LONGEST_PATH_BYTES:
            self._refusal = refuse(414, f"a path may have at most {_LONGEST_PATH_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes <= _MOST_HEAD_BYTES:
            self._headers.append((name.lower(), value))
        else:
            self._refusal = refuse(431, f"a request's head may have at most {_MOST_HEAD_BYTES} bytes")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._refusal is None:
            for name, value in self._headers:
                if name in _WATCHED:
                    self._note(name, value)
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif self._expects and not self._upgrades:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _note(self, name: bytes, value: bytes) -> None:
        """Take note of a header that changes how the message is read."""
        text = value.strip().lower()
        if name == b"content-length":
            if int(text) > self._limits.body_bytes:
                self._refusal = self._too_large(int(text))
        elif name == b"connection":
            # RFC 9112, 9.3: a client of HTTP/1.0 keeps a connection only if the response says so.
            self._is_http_1_0 = self._parser.get_http_version() == "1.0"
        elif name == b"upgrade":
            self._upgrades = self._parser.should_upgrade()
        elif name == b"expect":
            if text == b"100-continue":
                self._expects = self._parser.get_http_version() != "1.0"
            else:
                self._refusal = refuse(417, "the service meets no expectation but 100-continue", value=_shown(value))
        elif name == b"content-encoding":
            if text not in _CODINGS:
                self._encoding += b", " + text if self._encoding else text
        elif name == b"transfer-encoding" and text != b"chunked":
            self._refusal = refuse(501, "the only transfer-encoding must be chunked", value=_shown(value))

    def _ignore_upgrade(self, rest: bytes) -> bytes:
        """Return the message once more, without its Upgrade header (RFC 9110, 7.8: a server may ignore it).

        llhttp stops at the end of a head that asks for an upgrade, and skips the body.

        Args:
            rest: What came after the head.
        """
        if not self._upgrades and not self._deaf:
            self._refuse(refuse(405, "the service is no proxy: CONNECT is not allowed"))
        if self._deaf:
            return b""
        lines = [b"%b %b HTTP/%b" % (self._parser.get_method(), self._url, self._parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self._headers if header[0] != b"upgrade"]
        self._parser = httptools.HttpRequestParser(self)
        return b"\r\n".join(lines) + b"\r\n\r\n" + rest

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes:
            if not self._deaf:
                self._refuse(self._too_large(self._body_bytes))
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._deaf or self._upgrades:
            return
        parser, url = self._parser, self._url
        if not url.startswith(b"/"):
            if parser.should_upgrade():  # CONNECT
                return
            url = _origin_form(url)
        self._receiving = False
        path, _, query = url.partition(b"?")
        text = path.decode("latin-1")
        body = self._body
        request = HttpRequest(
            parser.get_method().decode("latin-1"),
            unquote(text) if "%" in text else text,
            query,
            self._headers,
            body[0] if len(body) == 1 else b"".join(body),
            self._encoding,
        )
        keep = parser.should_keep_alive() and not self._draining
        if self._task is not None:
            # Answers keep the order of their questions; the caller is read from again once it has them.
            self._waiting.append((request, keep))
            self._transport.pause_reading()
            return
        reply = self._handle(request)
        if isinstance(reply, Reply):
            self._put(reply, keep=keep, head_only=request.method == "HEAD")
        else:
            self._task = asyncio.get_running_loop().create_task(self._answer_later(reply, request, keep))

    async def _answer_later(self, awaited: Awaitable[Reply], request: HttpRequest, keep: bool) -> None:
        self._put(await awaited, keep=keep, head_only=request.method == "HEAD")
        while self._waiting and not self._closing:
            request, keep = self._waiting.popleft()
            reply = self._handle(request)
            if not isinstance(reply, Reply):
                reply = await reply
            self._put(reply, keep=keep, head_only=request.method == "HEAD")
        self._task = None
        if not self._closing and not self._stuck:
            self._transport.resume_reading()

    def drain(self) -> None:
        """Close once what was asked is answered."""
        self._draining = True
        if not self.is_busy:
            self._close()

    @property
    def is_busy(self) -> bool:
        """Whether something was asked that is not answered."""
        return self._task is not None or self._receiving or self._unsent > 0

    def sweep(self, now_s: float) -> None:
        """Let go of a caller that takes too long; called about once a second."""
        since_s = now_s - self._touched_s
        if self._closing:
            if since_s > _LINGER_S:
                self._transport.abort()
        elif self._stuck:
            if since_s > self._limits.receive_s:
                self._transport.abort()
        elif self._receiving:
            if since_s > self._limits.receive_s:
                self._refuse(refuse(408, f"a request must arrive within {self._limits.receive_s:g} seconds"))
        elif not self.is_busy and since_s > self._limits.idle_s:
            self._close()

    def _begin(self) -> None:
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._head_bytes = self._body_bytes = 0
        self._encoding = b""
        self._expects = self._upgrades = False

    def _too_large(self, size: int) -> Reply:
        most = self._limits.body_bytes
        rule = f"a request's body may have at most {most} bytes, but got {size}. Send the rows in several requests"
        return refuse(413, rule + ", or raise [serving] max_body_bytes.", field="body", value=size)

    def _refuse(self, reply: Reply) -> None:
        """Answer, then close: what the caller still sends cannot be told from its next request."""
        self._deaf = True
        self._receiving = False
        self._put(reply, keep=False, head_only=False)

    def _put(self, reply: Reply, *, keep: bool, head_only: bool) -> None:
        self._unsent += 1
        self._outbox.put(self, reply, keep=keep, head_only=head_only)

    def send(self, reply: Reply, *, keep: bool, head_only: bool = False) -> None:
        """Send a reply now; only the outbox calls this."""
        self._unsent -= 1
        if self._closing:
            return
        status, body, content_type, headers, _ = reply
        size = str(len(body)).encode()
        if status == 200 and content_type is JSON and not headers:
            head = _OK_JSON + size
        else:
            more = b"".join(b"\r\n" + name + b": " + value for name, value in headers)
            reason = _REASONS.get(status, b"")
            head = b"HTTP/1.1 %d %b\r\ncontent-type: %b%b\r\ncontent-length: %b" % (
                status, reason, content_type, more, size,
            )  # fmt: skip
        end = _ENDS[keep, self._is_http_1_0]
        self._transport.write(head + end if head_only else head + end + body)
        self._touched_s = monotonic()
        if not keep:
            self._linger()

    def _linger(self) -> None:
        """End our side, and read on until the caller ends its own: a reset would take the answer from its hands."""
        self._deaf = self._closing = True
        self._touched_s = monotonic()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _close(self) -> None:
        self._deaf = self._closing = True
        self._transport.close()


def _origin_form(target: bytes) -> bytes:
    """A request's target as a path: a server must serve what a proxy would be sent, ``http://host/path``.

    >>> _origin_form(b"http://service:8000?model=late"), _origin_form(b"HTTP://[::1]/v2/models"), _origin_form(b"*")
    (b'/?model=late', b'/v2/models', b'*')
    """
    scheme, found, rest = target.partition(b"://")
    if not found or scheme.lower() not in {b"http", b"https"}:
        return target
    ends = [place for place in (rest.find(b"/"), rest.find(b"?")) if place >= 0]
    after = rest[min(ends) :] if ends else b""
    return after if after.startswith(b"/") else b"/" + after


def _shown(value: bytes) -> str:
    return value[:100].decode("latin-1")


def sweep(connections: set[Connection], now_s: float | None = None) -> None:
    """Let go of every caller that takes too long."""
    now_s = monotonic() if now_s is None else now_s
    for each in tuple(connections):
        each.sweep(now_s)
