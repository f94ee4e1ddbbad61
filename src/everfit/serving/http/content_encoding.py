"""Decompression of request bodies."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from everfit.core.errors import InvalidRequestError, RequestTooLargeError, UnsupportedEncodingError

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_WINDOWS = {b"gzip": _GZIP, b"x-gzip": _GZIP, b"deflate": _ZLIB}


def decode_body(http: HttpRequest, max_bytes: int) -> bytes:
    """Return a request's body without its content coding; never more than ``max_bytes`` are decompressed.

    Raises:
        UnsupportedEncodingError: If the coding is not one of gzip and deflate, or there are several.
        InvalidRequestError: If the body is not in its stated coding.
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
    # Many clients send deflate without the zlib header that RFC 9110, 8.4.1.2, asks for.
    windows = (_ZLIB, _RAW) if window == _ZLIB else (window,)
    for window in windows:
        try:
            return _inflate(http.body, window, max_bytes)
        except zlib.error as error:
            problem = error
    raise InvalidRequestError(f"must be compressed as content-encoding says: {problem}", place="body") from problem


def _inflate(packed: bytes, window: int, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj(window)
    body = inflater.decompress(packed, max_bytes + 1)
    if len(body) > max_bytes:
        raise RequestTooLargeError(
            f"a request's body may have at most {max_bytes} bytes once it is decompressed",
            remedy="Send the rows in several requests, or raise [serving] max_body_bytes.",
            place="body",
        )
    if not inflater.eof or inflater.unused_data:
        raise InvalidRequestError("must be compressed as one piece, and whole", place="body")
    return body
