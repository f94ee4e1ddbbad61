"""Handlers of the Open Inference Protocol, version 2, with Triton's extensions for binary tensors, statistics and
configurations: https://github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import everfit
from everfit.core.errors import UnknownModelError
from everfit.serving.counters import RequestCounters
from everfit.serving.http.responses import Response, json_response
from everfit.serving.protocols.open_inference.codec import OUTPUT, TENSORS
from everfit.serving.protocols.open_inference.tensor import FIELD_DATATYPES

if TYPE_CHECKING:
    from everfit.serving.app import App
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.served_model import ServedModel
    from everfit.serving.inference.variants import Variants

_EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")


def describe_service(_app: App, _: HttpRequest) -> Response:
    """Return the service's name and version, and the protocol's extensions."""
    return json_response({"name": "everfit", "version": everfit.__version__, "extensions": _EXTENSIONS})


def describe(app: App, _: HttpRequest, model: str, version: str = "") -> Response:
    """Return the tensors that a model takes and gives."""
    variants, served = _find(app, model, version)
    output: dict[str, Any] = {"name": OUTPUT, "datatype": "FP64", "shape": _output_shape(served)}
    if served.schema.classes:
        output["parameters"] = {"classes": served.class_names}
        if served.schema.task == "binary":
            output["parameters"]["positive"] = served.class_names[-1]
    fields = served.schema.request
    content = {
        "name": served.name,
        "versions": [str(number) for number in sorted(variants.versions)],
        "platform": f"everfit_{served.form}",
        "inputs": [{"name": field.name, "datatype": FIELD_DATATYPES[field.type], "shape": [-1]} for field in fields],
        "outputs": [output],
    }
    return json_response(content)


def model_ready(app: App, _: HttpRequest, model: str, version: str = "") -> Response:
    """Return that a model can predict."""
    variants, served = _find(app, model, version)
    app.data_plane.require_readable(variants)
    return json_response({"name": served.name, "ready": True})


def configuration(app: App, _: HttpRequest, model: str, version: str = "") -> Response:
    """Return a model's configuration in Triton's form; a batch size of 0: the shapes include the rows."""
    served = _find(app, model, version)[1]
    types = {field.name: FIELD_DATATYPES[field.type].replace("BYTES", "STRING") for field in served.schema.request}
    content = {
        "name": served.name,
        "platform": f"everfit_{served.form}",
        "backend": "everfit",
        "max_batch_size": 0,
        "input": [{"name": name, "data_type": f"TYPE_{datatype}", "dims": [-1]} for name, datatype in types.items()],
        "output": [{"name": OUTPUT, "data_type": "TYPE_FP64", "dims": _output_shape(served)}],
    }
    return json_response(content)


def statistics(app: App, _: HttpRequest, model: str, version: str = "") -> Response:
    """Return a model's counters in Triton's form."""
    return json_response({"model_stats": [_statistics(app, _find(app, model, version)[1])]})


def all_statistics(app: App, http: HttpRequest) -> Response:
    """Return every model's counters; of one model, if it is called ``stats``, its description."""
    models = app.data_plane.models
    if "stats" in models:
        return describe(app, http, "stats")
    return json_response({"model_stats": [_statistics(app, variants.champion) for variants in models.values()]})


def infer(app: App, http: HttpRequest, model: str, version: str = "") -> Response | Awaitable[Response]:
    """Return predictions for rows in tensors."""
    return app.predictions.handle(TENSORS, http, model, _number(version) if version else None)


def _find(app: App, model: str, version: str) -> tuple[Variants, ServedModel]:
    variants = app.data_plane.variants(model)
    return variants, variants.named(_number(version)) if version else variants.champion


def _statistics(app: App, model: ServedModel) -> dict[str, Any]:
    """Return Triton's counts as far as they are counted here: since the start, and of all the model's versions."""
    counters = app.predictions.counters_by_model.get(model.name, RequestCounters())
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


def _output_shape(model: ServedModel) -> list[int]:
    return [-1, len(model.class_names)] if model.schema.task == "multiclass" else [-1]
