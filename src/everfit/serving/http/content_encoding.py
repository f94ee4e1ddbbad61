"""Request bodies that clients compressed."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from everfit.core.errors import InvalidRequestError, RequestTooLargeError, UnsupportedEncodingError

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest

ACCEPTED = "gzip, deflate"
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_WINDOWS = {b"gzip": _GZIP, b"x-gzip": _GZIP, b"deflate": _ZLIB}


def plain_body(http: HttpRequest, most: int) -> bytes:
    """Return a request's body without its content coding.

    Args:
        http: The request.
        most: Bytes of the largest body that is accepted; no more are ever decompressed.

    Raises:
        UnsupportedEncodingError: If the coding is not one of gzip and deflate, or there are several.
        InvalidRequestError: If the body is not what its coding says.
        RequestTooLargeError: If the body is larger.
    """
    window = _WINDOWS.get(http.encoding)
    if window is None:
        raise UnsupportedEncodingError(
            "a body's content-encoding must be one of gzip and deflate, or none",
            value=http.encoding[:100].decode("latin-1"),
            place="content-encoding",
        )
    if not http.body:
        return b""
    try:
        return _inflate(http.body, window, most)
    except zlib.error as problem:
        if window != _ZLIB:
            raise _broken(problem) from problem
    # Many clients send deflate without the zlib header that RFC 9110, 8.4.1.2, asks for.
    try:
        return _inflate(http.body, _RAW, most)
    except zlib.error as problem:
        raise _broken(problem) from problem


def _inflate(packed: bytes, window: int, most: int) -> bytes:
    inflater = zlib.decompressobj(window)
    body = inflater.decompress(packed, most + 1)
    if len(body) > most:
        raise RequestTooLargeError(
            f"a request's body may have at most {most} bytes once it is decompressed",
            remedy="Send the rows in several requests, or raise [serving] max_body_bytes.",
            place="body",
        )
    if not inflater.eof or inflater.unused_data:
        raise InvalidRequestError("must be compressed as one piece, and whole", place="body")
    return body


def _broken(problem: zlib.error) -> InvalidRequestError:
    return InvalidRequestError(f"must be compressed as content-encoding says: {problem}", place="body")
