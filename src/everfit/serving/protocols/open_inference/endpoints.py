"""The Open Inference Protocol, version 2, with Triton's extensions for binary tensors, statistics, configurations and
the model repository: https://github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

import everfit
from everfit.core.errors import EverfitError, UnknownModelError
from everfit.serving.http.responses import Refusal, Reply, explain, reply_json
from everfit.serving.protocols.open_inference.codec import OUTPUT, OpenInferenceDialect
from everfit.serving.protocols.open_inference.tensor import FIELD_DATATYPES

if TYPE_CHECKING:
    from everfit.serving.counters import Tally
    from everfit.serving.http.connection import HttpRequest
    from everfit.serving.inference.data_plane import Plane
    from everfit.serving.inference.served_model import ServedModel
    from everfit.serving.inference.variants import Lineup
    from everfit.serving.protocols.codec import Dialect
    from everfit.serving.protocols.open_inference.repository import Repository

    Ask = Callable[[Dialect, HttpRequest, str, int | None], Reply | Awaitable[Reply]]

_EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")
_NO_CONTROL = (
    "callers must be allowed to load and unload models. Set [serving] repository_control = true, "
    "or the variable EVERFIT_SERVING_REPOSITORY_CONTROL."
)


_Asked = TypeVar("_Asked")


class _IndexQuestion(Struct):
    ready: bool = False


class _Load(Struct):
    parameters: dict[str, Any] | None = None


class OpenInference:
    """Everything below ``/v2``.

    Args:
        plane: What answers.
        ask: Answers a prediction request: dialect, request, model and version.
        tallies: What was asked, by model.
        repository: What is deployed.
        may_control: Whether callers may load and unload.
    """

    def __init__(
        self,
        plane: Plane,
        *,
        ask: Ask,
        tallies: Mapping[str, Tally],
        repository: Repository,
        may_control: bool,
    ) -> None:
        self._plane = plane
        self._ask = ask
        self._tallies = tallies
        self._repository = repository
        self._may_control = may_control
        self._dialect = OpenInferenceDialect()

    def handle(self, http: HttpRequest) -> Reply | Awaitable[Reply]:
        """Answer a request, at once or later; raises nothing."""
        try:
            return self._route(http)
        except EverfitError as error:
            return self._dialect.refuse(explain(error))

    def refuse(self, refusal: Refusal) -> Reply:
        """A refusal in the protocol's form."""
        return self._dialect.refuse(refusal)

    def _route(self, http: HttpRequest) -> Reply | Awaitable[Reply]:
        match http.path.split("/")[2:]:
            case ["models", model, "infer"]:
                return self._infer(http, model, None)
            case ["models", model, "versions", version, "infer"]:
                return self._infer(http, model, _number(version))
            case ["repository", "index"]:
                return self._require("POST", http) or self._index(http)
            case ["repository", "models", model, "load" | "unload" as verb]:
                return self._require("POST", http) or self._control(http, model, verb == "load")
            case parts:
                return self._require("GET", http) or self._page(http, parts)

    def _page(self, http: HttpRequest, parts: list[str]) -> Reply:
        match parts:
            case []:
                return reply_json({"name": "everfit", "version": everfit.__version__, "extensions": _EXTENSIONS})
            case ["health", "live"]:
                return reply_json({"live": True})
            case ["health", "ready"]:
                self._plane.require_ready()
                return reply_json({"ready": True})
            case ["models", *rest]:
                return self._models_page(http, rest)
        return self._nothing(http)

    def _models_page(self, http: HttpRequest, parts: list[str]) -> Reply:
        match parts:
            case ["stats"] if "stats" not in self._plane.lineups:
                return reply_json(
                    {"model_stats": [self._stats(each.champion) for each in self._plane.lineups.values()]}
                )
            case [model, "versions", version, *page] if len(page) <= 1:
                lineup = self._plane.lineup(model)
                return self._model_page(http, lineup, lineup.named(_number(version)), page)
            case [model, *page] if len(page) <= 1:
                lineup = self._plane.lineup(model)
                return self._model_page(http, lineup, lineup.champion, page)
        return self._nothing(http)

    def _model_page(self, http: HttpRequest, lineup: Lineup, model: ServedModel, page: list[str]) -> Reply:
        match page:
            case []:
                return reply_json(_describe(lineup, model))
            case ["ready"]:
                self._plane.require_readable(lineup)
                return reply_json({"name": model.name, "ready": True})
            case ["config"]:
                return reply_json(_configuration(model))
            case ["stats"]:
                return reply_json({"model_stats": [self._stats(model)]})
        return self._nothing(http)

    def _infer(self, http: HttpRequest, model: str, version: int | None) -> Reply | Awaitable[Reply]:
        return self._require("POST", http) or self._ask(self._dialect, http, model, version)

    def _index(self, http: HttpRequest) -> Reply:
        question = _read(http.body, _IndexQuestion)
        if question is None:
            return self._say(HTTPStatus.UNPROCESSABLE_ENTITY, 'the body must be empty, or such as {"ready": true}')
        return reply_json([each for each in self._repository.index() if each.state == "READY" or not question.ready])

    def _control(self, http: HttpRequest, model: str, loaded: bool) -> Reply | Awaitable[Reply]:
        if not self._may_control:
            return self._say(HTTPStatus.FORBIDDEN, _NO_CONTROL)
        load = _read(http.body, _Load)
        if load is None or any(name != "unload_dependents" for name in load.parameters or ()):
            rule = "a model is loaded as it was promoted: neither a config nor files may be given"
            return self._say(HTTPStatus.UNPROCESSABLE_ENTITY, rule)
        return self._control_later(model, loaded)

    async def _control_later(self, model: str, loaded: bool) -> Reply:
        try:
            await self._repository.set_loaded(model, loaded)
        except EverfitError as error:
            return self._dialect.refuse(explain(error))
        return reply_json({})

    def _stats(self, model: ServedModel) -> dict[str, Any]:
        """Triton's counts, as far as they are counted here: since the start, and of all the model's versions."""
        tally = self._tallies.get(model.name)
        requests = tally.answered if tally else 0
        refused = sum(tally.refused.values()) if tally else 0
        spent_ns = int(tally.seconds * 1e9) if tally else 0
        return {
            "name": model.name,
            "version": str(model.version),
            "inference_count": tally.rows if tally else 0,
            "execution_count": requests,
            "inference_stats": {"success": {"count": requests, "ns": spent_ns}, "fail": {"count": refused, "ns": 0}},
        }

    def _require(self, method: str, http: HttpRequest) -> Reply | None:
        if http.method == method or (method == "GET" and http.method == "HEAD"):
            return None
        rule = f"the method must be {method}, but got {http.method!r}"
        return self._dialect.refuse(Refusal(405, rule, headers=((b"allow", method.encode()),)))

    def _nothing(self, http: HttpRequest) -> Reply:
        known = "/v2, /v2/health/live, /v2/health/ready, /v2/models/{model}, /v2/repository/index"
        return self._say(HTTPStatus.NOT_FOUND, f"there is nothing at {http.path[:200]!r}; begin at {known}")

    def _say(self, status: HTTPStatus, message: str) -> Reply:
        return self._dialect.refuse(Refusal(status, message))


def _number(version: str) -> int:
    if not (version.isascii() and version.isdigit()) or len(version) > 18:
        raise UnknownModelError("a model's version must be a number", value=version[:100])
    return int(version)


def _read(body: bytes, kind: type[_Asked]) -> _Asked | None:
    """A body that may be empty; ``None`` if it cannot be understood."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _describe(lineup: Lineup, model: ServedModel) -> dict[str, Any]:
    output: dict[str, Any] = {"name": OUTPUT, "datatype": "FP64", "shape": _output_shape(model)}
    if model.schema.classes:
        output["parameters"] = {"classes": model.class_names}
        if model.schema.task == "binary":
            output["parameters"]["positive"] = model.class_names[-1]
    return {
        "name": model.name,
        "versions": [str(number) for number in sorted(lineup.versions)],
        "platform": f"everfit_{model.form}",
        "inputs": [
            {"name": field.name, "datatype": FIELD_DATATYPES[field.type], "shape": [-1]}
            for field in model.schema.request
        ],
        "outputs": [output],
    }


def _configuration(model: ServedModel) -> dict[str, Any]:
    """Triton's form; a batch size of 0 says that the shapes hold the rows themselves."""
    return {
        "name": model.name,
        "platform": f"everfit_{model.form}",
        "backend": "everfit",
        "max_batch_size": 0,
        "input": [
            {"name": field.name, "data_type": _configured(FIELD_DATATYPES[field.type]), "dims": [-1]}
            for field in model.schema.request
        ],
        "output": [{"name": OUTPUT, "data_type": _configured("FP64"), "dims": _output_shape(model)}],
    }


def _output_shape(model: ServedModel) -> list[int]:
    return [-1, len(model.class_names)] if model.schema.task == "multiclass" else [-1]


def _configured(datatype: str) -> str:
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
