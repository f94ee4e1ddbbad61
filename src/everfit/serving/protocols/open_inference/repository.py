"""Handlers of Triton's model repository extension: the repository is the deployment record."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from everfit.core.errors import InvalidRequestError, NotReadyError, UnknownModelError
from everfit.serving.http.responses import ErrorInfo, Response, json_response
from everfit.serving.protocols.json import decode_json
from everfit.serving.protocols.open_inference.codec import TENSORS

if TYPE_CHECKING:
    from everfit.serving.app import App
    from everfit.serving.http.connection import HttpRequest
    from everfit.store.deployment import ModelDeployment

_NO_CONTROL = (
    "callers must be allowed to load and unload models. Set [serving] repository_control = true, "
    "or the variable EVERFIT_SERVING_REPOSITORY_CONTROL."
)
_POLL_S = 0.02
_TIMEOUT_S = 5.0
"""Longest wait for this worker to apply a change of the deployment."""


class RepositoryEntry(Struct, frozen=True, kw_only=True):
    """A deployed version."""

    name: str
    version: str
    state: str
    """``READY`` or ``UNAVAILABLE``."""
    reason: str = ""
    """Reason for ``UNAVAILABLE``."""


class _RepositoryRequest(Struct):
    """Body of any request; it may be empty."""

    ready: bool = False
    parameters: dict[str, Any] | None = None


_BODY = msgspec.json.Decoder(_RepositoryRequest)


def index(app: App, http: HttpRequest) -> Response:
    """Return the deployed versions, with their state."""
    asked = decode_json(_BODY, http.body or b"{}", 'must be empty, or such as {"ready": true}')
    record = app.deployment.read()
    entries = [entry for wanted in (record.models if record else ()) for entry in _entries(app, wanted)]
    return json_response([entry for entry in entries if entry.state == "READY" or not asked.ready])


async def load(app: App, http: HttpRequest, model: str) -> Response:
    """Load a model in every worker; respond once this one has applied it."""
    return await _set_loaded(app, http, model, loaded=True)


async def unload(app: App, http: HttpRequest, model: str) -> Response:
    """Unload a model in every worker; respond once this one has applied it."""
    return await _set_loaded(app, http, model, loaded=False)


def _entries(app: App, wanted: ModelDeployment) -> list[RepositoryEntry]:
    variants = app.data_plane.models.get(wanted.model)
    loaded = variants.versions if variants else {}
    found = []
    for deployed in filter(None, (wanted.champion, wanted.canary, wanted.shadow)):
        version, state, reason = str(deployed.version), "READY", ""
        if deployed.version not in loaded:
            problem = app.data_plane.refused.get(f"{wanted.model} version {version}", "is not loaded")
            state, reason = "UNAVAILABLE", problem if wanted.loaded else "unloaded"
        found.append(RepositoryEntry(name=wanted.model, version=version, state=state, reason=reason))
    return found


async def _set_loaded(app: App, http: HttpRequest, model: str, *, loaded: bool) -> Response:
    if not app.settings.repository_control:
        return TENSORS.write_error(ErrorInfo(403, _NO_CONTROL))
    rule = "a model is loaded as it was promoted: neither a config nor files may be given"
    if set(decode_json(_BODY, http.body or b"{}", rule).parameters or ()) - {"unload_dependents"}:
        raise InvalidRequestError(rule)

    def _decide(present: ModelDeployment | None) -> ModelDeployment:
        if present is None:
            raise UnknownModelError("the model must have been deployed", value=model[:200])
        return replace(present, loaded=loaded)

    data_plane = app.data_plane
    await asyncio.to_thread(app.deployment.change, model, _decide, changed_at=app.clock.now())
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            while (model in data_plane.models) != loaded:
                await asyncio.sleep(_POLL_S)
                if loaded and any(name.startswith(f"{model} version ") for name in data_plane.refused):
                    data_plane.variants(model)  # raises the reason
    except TimeoutError:
        rule = f"this worker must have followed the deployment within {_TIMEOUT_S:g} seconds; it still may"
        raise NotReadyError(rule, place=model) from None
    return json_response({})
