"""Translation between a protocol's messages and the data plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.http.responses import ErrorInfo, Response
    from everfit.serving.inference.data_plane import PredictionResponse
    from everfit.serving.inference.served_model import ServedModel
    from everfit.serving.protocols.json import Request, RequestDecoder


class Codec(NamedTuple):
    """Functions that read requests and write responses; several threads may call them at once."""

    read: Callable[[RequestDecoder, HttpRequest], Request]
    """Return the rows of a request. Raises :class:`InvalidRequestError` if the body violates the protocol or the
    model's signature, and :class:`RequestTooLargeError` if it has more rows than are accepted."""
    write: Callable[[ServedModel, Request, PredictionResponse], Response]
    """Return predictions in the protocol's form; :attr:`read` may have set ``request.response_format``."""
    write_error: Callable[[ErrorInfo], Response]
    """Return an error in the protocol's form."""
    is_slow: bool = False
    """Requests are always read in a thread."""
