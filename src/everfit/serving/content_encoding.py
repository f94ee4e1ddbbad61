"""Bodies that callers compressed."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from everfit.core.errors import InvalidRequestError, RequestTooLargeError

if TYPE_CHECKING:
    from everfit.serving.http import HttpRequest

_ANY_HEADER = 32 + zlib.MAX_WBITS
"""zlib finds out by itself whether it reads gzip or zlib, which HTTP calls deflate."""
ENCODINGS = (b"", b"identity", b"gzip", b"deflate")


def plain_body(http: HttpRequest, most: int) -> bytes:
    """A request's body, decompressed if need be.

    Args:
        http: The request; its encoding is one of :data:`ENCODINGS`.
        most: Bytes of the largest body that is accepted; no more are ever decompressed.

    Raises:
        InvalidRequestError: If it is not what its encoding says.
        RequestTooLargeError: If it is larger.
    """
    if http.header(b"content-encoding").lower() not in ENCODINGS[2:]:
        return http.body
    inflater = zlib.decompressobj(_ANY_HEADER)
    try:
        body = inflater.decompress(http.body, most + 1)
    except zlib.error as problem:
        raise InvalidRequestError(f"must be compressed as content-encoding says: {problem}", place="body") from problem
    if len(body) > most:
        raise RequestTooLargeError(
            f"a request's body may have at most {most} bytes once it is decompressed",
            remedy="Send the rows in several requests, or raise [serving] max_body_bytes.",
            place="body",
        )
    if not inflater.eof or inflater.unused_data:
        raise InvalidRequestError("must be compressed as one piece, and whole", place="body")
    return body
