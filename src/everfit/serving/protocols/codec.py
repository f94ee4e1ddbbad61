"""Translation between a protocol's messages and the data plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.http.responses import ErrorInfo, Response
    from everfit.serving.inference.data_plane import PredictionResponse
    from everfit.serving.inference.served_model import ServedModel
    from everfit.serving.protocols.json import Request, RequestDecoder


class Codec(Protocol):
    """Stateless reader of requests and writer of responses; several threads may call it at once."""

    is_slow: bool
    """Requests are always read in a thread."""

    def read(self, decoder: RequestDecoder, http: HttpRequest) -> Request:
        """Return the rows of a request.

        Raises:
            InvalidRequestError: If the body violates the protocol or the model's signature.
            RequestTooLargeError: If it has more rows than are accepted.
        """
        ...

    def write(self, model: ServedModel, request: Request, predictions: PredictionResponse) -> Response:
        """Return predictions in the protocol's form; :meth:`read` may have set ``request.response_format``."""
        ...

    def write_error(self, info: ErrorInfo) -> Response:
        """Return an error in the protocol's form."""
        ...
