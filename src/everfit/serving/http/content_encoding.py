"""Decompression of request bodies."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from everfit.core.errors import InvalidRequestError, UnsupportedEncodingError
from everfit.serving.http.responses import body_too_large

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
# Many clients send deflate without the zlib header that RFC 9110, 8.4.1.2, asks for.
_WINDOWS = {b"gzip": (_GZIP,), b"x-gzip": (_GZIP,), b"deflate": (_ZLIB, _RAW)}


def decode_body(http: HttpRequest, max_bytes: int) -> bytes:
    """Return a request's body without its content coding; never more than ``max_bytes`` are decompressed.

    Raises :class:`UnsupportedEncodingError` if the coding is not one of gzip and deflate, or there are several,
    :class:`InvalidRequestError` if the body is not in its stated coding, and :class:`RequestTooLargeError` if it is
    larger.
    """
    windows = _WINDOWS.get(http.encoding)
    if windows is None:
        rule, shown = "a body's content-encoding must be one of gzip and deflate, or none", http.encoding[:100]
        raise UnsupportedEncodingError(rule, value=shown.decode("latin-1"), place="content-encoding")
    if not http.body:
        return b""
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
        raise body_too_large(max_bytes, when=" once it is decompressed")
    if not inflater.eof or inflater.unused_data:
        raise InvalidRequestError("must be compressed as one piece, and whole", place="body")
    return body
