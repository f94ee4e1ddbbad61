"""What is deployed, as callers see it, and whether the service answers for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from everfit.core.errors import NotReadyError, UnknownModelError

if TYPE_CHECKING:
    from everfit.core.clock import Clock
    from everfit.serving.inference.data_plane import Plane
    from everfit.store.deployment import DeploymentRecord, ModelDeployment

_LOOK_S = 0.02
_FOLLOW_S = 5.0
"""How long this worker may take to follow the deployment."""


class Listed(Struct, frozen=True, kw_only=True):
    """A version that is deployed."""

    name: str
    version: str
    state: str
    """``READY`` or ``UNAVAILABLE``."""
    reason: str = ""
    """Why it is not ready."""


class Repository:
    """The deployment, seen and changed by callers. It belongs to the event loop's thread.

    Args:
        deployment: Says what is deployed; every worker follows it.
        plane: What answers in this worker.
        clock: When a change is made.
    """

    def __init__(self, deployment: DeploymentRecord, plane: Plane, clock: Clock) -> None:
        self._deployment = deployment
        self._plane = plane
        self._clock = clock

    def index(self) -> list[Listed]:
        """Every version that is deployed.

        Raises:
            StoreError: If the deployment record cannot be understood.
        """
        record = self._deployment.read()
        return [listed for each in (record.models if record else ()) for listed in self._list(each)]

    def _list(self, wanted: ModelDeployment) -> list[Listed]:
        lineup = self._plane.lineups.get(wanted.model)
        found = []
        for each in (wanted.champion, wanted.canary, wanted.shadow):
            if each is None:
                continue
            is_ready = lineup is not None and each.version in lineup.versions
            problem = self._plane.refused.get(f"{wanted.model} version {each.version}", "is not loaded")
            found.append(
                Listed(
                    name=wanted.model,
                    version=str(each.version),
                    state="READY" if is_ready else "UNAVAILABLE",
                    reason="" if is_ready else "unloaded" if not wanted.loaded else problem,
                )
            )
        return found

    async def set_loaded(self, model: str, loaded: bool) -> None:
        """Let the service answer for a model, or stop it; returns once this worker has followed.

        Raises:
            UnknownModelError: If it was never deployed.
            NotReadyError: If it cannot be loaded, or this worker does not follow in time.
            StoreError: If the deployment record cannot be read or written.
        """

        def decide(present: ModelDeployment | None) -> ModelDeployment:
            if present is None:
                raise UnknownModelError("the model must have been deployed", value=model[:200])
            return msgspec.structs.replace(present, loaded=loaded)

        await asyncio.to_thread(self._deployment.change, model, decide, changed_at=self._clock.now())
        try:
            async with asyncio.timeout(_FOLLOW_S):
                while (model in self._plane.lineups) != loaded:
                    await asyncio.sleep(_LOOK_S)
                    if loaded and any(name.startswith(f"{model} version ") for name in self._plane.refused):
                        self._plane.lineup(model)  # raises, and says why
        except TimeoutError:
            rule = f"this worker must have followed the deployment within {_FOLLOW_S:g} seconds; it still may"
            raise NotReadyError(rule, place=model) from None
