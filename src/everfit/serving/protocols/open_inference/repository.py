"""The deployment record as the Open Inference Protocol's model repository."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import Struct

from everfit.core.clock import Clock
from everfit.core.errors import NotReadyError, UnknownModelError
from everfit.serving.inference.data_plane import DataPlane
from everfit.store.deployment import DeploymentRecord, ModelDeployment

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


class ModelRepository:
    """Lists what is deployed, and loads and unloads models. It belongs to the event loop's thread."""

    def __init__(self, deployment: DeploymentRecord, data_plane: DataPlane, clock: Clock) -> None:
        self._deployment = deployment
        self._data_plane = data_plane
        self._clock = clock

    def index(self) -> list[RepositoryEntry]:
        """Return every deployed version. Raises :class:`StoreError` if the deployment record cannot be read."""
        record = self._deployment.read()
        return [entry for wanted in (record.models if record else ()) for entry in self._entries(wanted)]

    def _entries(self, wanted: ModelDeployment) -> list[RepositoryEntry]:
        variants = self._data_plane.models.get(wanted.model)
        loaded = variants.versions if variants else {}
        found = []
        for deployed in filter(None, (wanted.champion, wanted.canary, wanted.shadow)):
            version, state, reason = str(deployed.version), "READY", ""
            if deployed.version not in loaded:
                problem = self._data_plane.refused.get(f"{wanted.model} version {version}", "is not loaded")
                state, reason = "UNAVAILABLE", problem if wanted.loaded else "unloaded"
            found.append(RepositoryEntry(name=wanted.model, version=version, state=state, reason=reason))
        return found

    async def set_loaded(self, model: str, loaded: bool) -> None:
        """Load or unload a model in every worker; return once this one has applied it.

        Raises :class:`UnknownModelError` if it was never deployed, :class:`NotReadyError` if it cannot be loaded, or
        not in time, and :class:`StoreError` if the deployment record cannot be read or written.
        """

        def _decide(present: ModelDeployment | None) -> ModelDeployment:
            if present is None:
                raise UnknownModelError("the model must have been deployed", value=model[:200])
            return msgspec.structs.replace(present, loaded=loaded)

        await asyncio.to_thread(self._deployment.change, model, _decide, changed_at=self._clock.now())
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                while (model in self._data_plane.models) != loaded:
                    await asyncio.sleep(_POLL_S)
                    if loaded and any(name.startswith(f"{model} version ") for name in self._data_plane.refused):
                        self._data_plane.variants(model)  # raises the reason
        except TimeoutError:
            rule = f"this worker must have followed the deployment within {_TIMEOUT_S:g} seconds; it still may"
            raise NotReadyError(rule, place=model) from None
