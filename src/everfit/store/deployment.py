"""Deployment record: the traffic assignment of each model, which names champion, canary and shadow.

One small document, replaced as a whole, so that the prediction service needs neither MLflow nor the ledger.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from everfit.core.errors import StoreError
from everfit.core.event_log import log_event
from everfit.store.active_release import python_of
from everfit.store.atomic_file import replace_file

_log = logging.getLogger(__name__)


class Deployed(Struct, frozen=True, kw_only=True):
    """A deployed version."""

    version: int
    digest: str
    folder: str
    """The package's folder; relative to the record's folder if it is below it."""
    environment: str = ""
    """The environment of the release that trained it, relative to the record's folder; empty for Everfit's own."""


class ModelDeployment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Traffic assignment of a model."""

    model: str
    champion: Deployed
    canary: Deployed | None = None
    """Answers a share of the ids instead of the champion."""
    canary_share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    shadow: Deployed | None = None
    """Receives a copy of each request after the response was sent; its predictions are only logged."""
    loaded: bool = True
    """False if the service was told to unload the model."""

    @property
    def taking_part(self) -> tuple[Deployed, ...]:
        """Champion, canary and shadow, as far as there are any."""
        return tuple(version for version in (self.champion, self.canary, self.shadow) if version is not None)


class Deployment(Struct, frozen=True, kw_only=True):
    """Content of the deployment record."""

    number: int
    """Number of changes so far."""
    changed_at: datetime
    models: tuple[ModelDeployment, ...] = ()


class DeploymentRecord:
    """The record's file, replaced as a whole (copy-on-write); changes are serialized by a lock file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Deployment | None:
        """Return the present record, or ``None`` if nothing was ever deployed.

        Raises :class:`StoreError` if the file is there and cannot be understood.
        """
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Deployment)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, OSError) as error:
            remedy = "Promote a version again: everfit promote MODEL VERSION."
            rule = f"the deployment record could not be read: {error}"
            raise StoreError(rule, value=str(self._path), remedy=remedy) from error

    def of(self, model: str) -> ModelDeployment | None:
        """Return a model's traffic assignment, or ``None`` if it was never deployed.

        Raises :class:`StoreError` as :meth:`read`.
        """
        present = self.read()
        return next((assigned for assigned in present.models if assigned.model == model), None) if present else None

    def change(
        self, model: str, decide: Callable[[ModelDeployment | None], ModelDeployment], *, changed_at: datetime
    ) -> None:
        """Change a model's traffic assignment; nothing is written if it stays as it is.

        Under the lock ``decide`` maps the present assignment, ``None`` if there is none, to the new one. Raises
        :class:`StoreError` if the present record cannot be understood, or the new one not be written.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            present = self.read() or Deployment(number=0, changed_at=changed_at)
            models = {assigned.model: assigned for assigned in present.models}
            wanted = decide(models.get(model))
            if models.get(model) == wanted:
                return
            models[model] = wanted
            changed = Deployment(number=present.number + 1, changed_at=changed_at, models=tuple(models.values()))
            try:
                replace_file(self._path, msgspec.json.format(msgspec.json.encode(changed)), durable=True)
            except OSError as error:
                rule = f"the deployment record could not be written: {error}"
                raise StoreError(rule, value=str(self._path)) from error
        _log_deployment(changed.number, wanted)

    def stamp(self) -> tuple[int, int]:
        """Return a value that changes with the record; cheap enough for many calls a second."""
        try:
            status = self._path.stat()
        except OSError:
            return 0, 0
        return status.st_mtime_ns, status.st_ino

    def folder_of(self, deployed: Deployed) -> Path:
        """Return the package's folder as an absolute path."""
        return (self._path.parent / deployed.folder).resolve()

    def interpreter_of(self, deployed: Deployed) -> Path | None:
        """Return the Python of a version's environment as an absolute path; ``None`` for Everfit's own."""
        if not deployed.environment:
            return None
        return python_of(self._path.parent.absolute() / deployed.environment)


def _log_deployment(number: int, present: ModelDeployment) -> None:
    versions = [f"version {present.champion.version} is deployed"]
    if present.canary is not None:
        versions.append(f"version {present.canary.version} receives {present.canary_share:.0%} of the ids")
    if present.shadow is not None:
        versions.append(f"version {present.shadow.version} runs in shadow")
    log_event(
        _log,
        "deployment_changed",
        f"{present.model}: deployment {number}: {', '.join(versions)}",
        model=present.model,
        deployment=number,
        version=present.champion.version,
        canary=present.canary.version if present.canary else None,
        canary_share=present.canary_share if present.canary else None,
        shadow=present.shadow.version if present.shadow else None,
    )
