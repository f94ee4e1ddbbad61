"""Endpoints of the Open Inference Protocol, version 2, with Triton's extensions for binary tensors, statistics,
configurations and the model repository: https://github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

import everfit
from everfit.core.errors import InvalidRequestError, UnknownModelError
from everfit.serving.counters import RequestCounters
from everfit.serving.http.responses import ErrorInfo, Response, json_response
from everfit.serving.protocols.open_inference.codec import OUTPUT, OpenInferenceCodec
from everfit.serving.protocols.open_inference.tensor import FIELD_DATATYPES

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import DataPlane
    from everfit.serving.inference.prediction_handler import PredictionHandler
    from everfit.serving.inference.served_model import ServedModel
    from everfit.serving.inference.variants import Variants
    from everfit.serving.protocols.open_inference.repository import ModelRepository

_EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")
_NO_CONTROL = (
    "callers must be allowed to load and unload models. Set [serving] repository_control = true, "
    "or the variable EVERFIT_SERVING_REPOSITORY_CONTROL."
)
_CODEC = OpenInferenceCodec()
_Body = TypeVar("_Body")


class _IndexRequest(Struct):
    ready: bool = False


class _LoadRequest(Struct):
    parameters: dict[str, Any] | None = None


class OpenInferenceEndpoints:
    """Handlers of the routes below ``/v2``; errors are raised."""

    def __init__(
        self,
        data_plane: DataPlane,
        predictions: PredictionHandler,
        *,
        repository: ModelRepository,
        may_control: bool,
    ) -> None:
        self._data_plane = data_plane
        self._predictions = predictions
        self._repository = repository
        self._may_control = may_control

    def describe_service(self, http: HttpRequest) -> Response:  # noqa: ARG002
        """Return the service's name and version, and the protocol's extensions."""
        return json_response({"name": "everfit", "version": everfit.__version__, "extensions": _EXTENSIONS})

    def live(self, http: HttpRequest) -> Response:  # noqa: ARG002
        """Return that the service runs."""
        return json_response({"live": True})

    def ready(self, http: HttpRequest) -> Response:  # noqa: ARG002
        """Return that every deployed model can predict."""
        self._data_plane.require_ready()
        return json_response({"ready": True})

    def describe(self, http: HttpRequest, model: str, version: str = "") -> Response:  # noqa: ARG002
        """Return the tensors that a model takes and gives."""
        variants, served = self._find(model, version)
        output: dict[str, Any] = {"name": OUTPUT, "datatype": "FP64", "shape": _output_shape(served)}
        if served.schema.classes:
            output["parameters"] = {"classes": served.class_names}
            if served.schema.task == "binary":
                output["parameters"]["positive"] = served.class_names[-1]
        content = {
            "name": served.name,
            "versions": [str(number) for number in sorted(variants.versions)],
            "platform": f"everfit_{served.form}",
            "inputs": [
                {"name": field.name, "datatype": FIELD_DATATYPES[field.type], "shape": [-1]}
                for field in served.schema.request
            ],
            "outputs": [output],
        }
        return json_response(content)

    def model_ready(self, http: HttpRequest, model: str, version: str = "") -> Response:  # noqa: ARG002
        """Return that a model can predict."""
        variants, served = self._find(model, version)
        self._data_plane.require_readable(variants)
        return json_response({"name": served.name, "ready": True})

    def configuration(self, http: HttpRequest, model: str, version: str = "") -> Response:  # noqa: ARG002
        """Return a model's configuration in Triton's form; a batch size of 0: the shapes include the rows."""
        _, served = self._find(model, version)
        content = {
            "name": served.name,
            "platform": f"everfit_{served.form}",
            "backend": "everfit",
            "max_batch_size": 0,
            "input": [
                {"name": field.name, "data_type": _triton_type(FIELD_DATATYPES[field.type]), "dims": [-1]}
                for field in served.schema.request
            ],
            "output": [{"name": OUTPUT, "data_type": _triton_type("FP64"), "dims": _output_shape(served)}],
        }
        return json_response(content)

    def statistics(self, http: HttpRequest, model: str, version: str = "") -> Response:  # noqa: ARG002
        """Return a model's counters in Triton's form."""
        _, served = self._find(model, version)
        return json_response({"model_stats": [self._statistics(served)]})

    def all_statistics(self, http: HttpRequest) -> Response:
        """Return every model's counters; of one model, if it is called ``stats``, its description."""
        if "stats" in self._data_plane.models:
            return self.describe(http, "stats")
        champions = [variants.champion for variants in self._data_plane.models.values()]
        return json_response({"model_stats": [self._statistics(champion) for champion in champions]})

    def infer(self, http: HttpRequest, model: str, version: str = "") -> Response | Awaitable[Response]:
        """Return predictions for rows in tensors."""
        return self._predictions.handle(_CODEC, http, model, _number(version) if version else None)

    def repository_index(self, http: HttpRequest) -> Response:
        """Return the deployed versions, with their state.

        Raises:
            InvalidRequestError: If the body is neither empty nor a filter.
        """
        asked = _read(http.body, _IndexRequest)
        if asked is None:
            raise InvalidRequestError('the body must be empty, or such as {"ready": true}')
        entries = self._repository.index()
        return json_response([entry for entry in entries if entry.state == "READY" or not asked.ready])

    async def load(self, http: HttpRequest, model: str) -> Response:
        """Load a model."""
        return await self._set_loaded(http, model, loaded=True)

    async def unload(self, http: HttpRequest, model: str) -> Response:
        """Unload a model."""
        return await self._set_loaded(http, model, loaded=False)

    async def _set_loaded(self, http: HttpRequest, model: str, *, loaded: bool) -> Response:
        if not self._may_control:
            return _CODEC.write_error(ErrorInfo(403, _NO_CONTROL))
        body = _read(http.body, _LoadRequest)
        if body is None or any(name != "unload_dependents" for name in body.parameters or ()):
            raise InvalidRequestError("a model is loaded as it was promoted: neither a config nor files may be given")
        await self._repository.set_loaded(model, loaded)
        return json_response({})

    def _find(self, model: str, version: str) -> tuple[Variants, ServedModel]:
        variants = self._data_plane.variants(model)
        return variants, variants.named(_number(version)) if version else variants.champion

    def _statistics(self, model: ServedModel) -> dict[str, Any]:
        """Return Triton's counts as far as they are counted here: since the start, and of all the model's versions."""
        counters = self._predictions.counters_by_model.get(model.name, RequestCounters())
        success = {"count": counters.answered, "ns": int(counters.seconds * 1e9)}
        return {
            "name": model.name,
            "version": str(model.version),
            "inference_count": counters.rows,
            "execution_count": counters.answered,
            "inference_stats": {"success": success, "fail": {"count": sum(counters.refused.values()), "ns": 0}},
        }


def _number(version: str) -> int:
    if not (version.isascii() and version.isdigit()) or len(version) > 18:
        raise UnknownModelError("a model's version must be a number", value=version[:100])
    return int(version)


def _read(body: bytes, kind: type[_Body]) -> _Body | None:
    """Return a body that may be empty; ``None`` if it cannot be parsed."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _output_shape(model: ServedModel) -> list[int]:
    return [-1, len(model.class_names)] if model.schema.task == "multiclass" else [-1]


def _triton_type(datatype: str) -> str:
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
