"""The deployment record: which version of each model serves.

One small document, replaced as a whole, so that the prediction service needs neither MLflow nor the ledger.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from everfit.core.errors import StoreError


class Deployed(Struct, frozen=True, kw_only=True):
    """A model's serving version."""

    model: str
    version: int
    digest: str
    folder: str
    """The package's folder; relative to the record's own folder where it lies below it."""


class Deployment(Struct, frozen=True, kw_only=True):
    """What serves."""

    number: int
    """Counts the changes of this record."""
    changed_at: datetime
    models: tuple[Deployed, ...] = ()


class DeploymentRecord:
    """The record's file. Written whole and renamed into place, so that a reader sees the old or the new one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Deployment | None:
        """The present record, or ``None`` if nothing was ever deployed.

        Raises:
            StoreError: If the file is there and cannot be understood.
        """
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Deployment)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, OSError) as error:
            raise StoreError(
                f"the deployment record could not be read: {error}",
                value=str(self._path),
                remedy="Promote a version again: everfit promote MODEL VERSION.",
            ) from error

    def put(self, deployed: Deployed, *, changed_at: datetime) -> Deployment:
        """Let a version serve; nothing is written if it does already."""
        present = self.read()
        others = tuple(each for each in present.models if each.model != deployed.model) if present else ()
        if present is not None and deployed in present.models:
            return present
        changed = Deployment(
            number=present.number + 1 if present else 1, changed_at=changed_at, models=(*others, deployed)
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(f".{os.getpid()}.new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(changed)))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        return changed

    def folder_of(self, deployed: Deployed) -> Path:
        """The package's folder as an absolute path."""
        return (self._path.parent / deployed.folder).resolve()
