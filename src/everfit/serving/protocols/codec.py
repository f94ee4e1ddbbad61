"""What a protocol adds to the data plane: how it asks, and how it wants to be answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from everfit.serving.http.responses import Refusal, Reply, reply_json, say

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import Answer
    from everfit.serving.inference.served_model import ServedModel
    from everfit.serving.protocols.json import Request, RequestDecoder


class Dialect(Protocol):
    """Reads requests and writes answers; may be called from several threads at once, and keeps nothing."""

    def read(self, decoder: RequestDecoder, http: HttpRequest) -> Request:
        """From a body to rows.

        Raises:
            InvalidRequestError: If it is not what the protocol or the model's signature says.
            RequestTooLargeError: If it has more rows than are accepted.
        """
        ...

    def write(self, model: ServedModel, request: Request, answer: Answer) -> Reply:
        """The answer in the protocol's form; ``request.wish`` is what :meth:`read` left there."""
        ...

    def refuse(self, refusal: Refusal) -> Reply:
        """A refusal in the protocol's form."""
        ...


class Plain:
    """``POST /predict/{model}``: the service's own form, JSON in and out."""

    def read(self, decoder: RequestDecoder, http: HttpRequest) -> Request:
        """As :class:`Dialect` promises."""
        return decoder.decode(http.body)

    def write(self, model: ServedModel, request: Request, answer: Answer) -> Reply:  # noqa: ARG002
        """As :class:`Dialect` promises."""
        return reply_json(answer)

    def refuse(self, refusal: Refusal) -> Reply:
        """As :class:`Dialect` promises."""
        return say(refusal)
