"""Probe of MLflow's store: its runs and versions, without MLflow itself, which takes four seconds to import."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import urlencode

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from everfit.core.errors import StoreError
from everfit.store.database_probe import database_exists, probing
from everfit.store.http_probe import probe_server

_VERSIONS = "SELECT name, version FROM model_versions WHERE current_stage <> 'Deleted_Internal' ORDER BY name, version"


class RegistryContents(Struct, frozen=True, kw_only=True):
    """Contents of MLflow's store."""

    runs: int | None = None
    """``None`` if it does not tell."""
    versions: dict[str, tuple[int, ...]] | None = None
    """Versions by model; ``None`` if it does not tell."""
    registry_problem: str = ""
    """The reason why runs can be read and versions cannot; else empty."""


def probe_registry(tracking: str, models: Iterable[str]) -> RegistryContents | None:
    """Return the contents of the store at a tracking URI; ``None`` if it was not made yet.

    Raises :class:`StoreError` if it cannot be used.
    """
    if tracking.startswith(("http://", "https://")):
        return _probe_server(tracking.rstrip("/"), models)
    if not database_exists(tracking):
        return None
    with probing(tracking) as engine, engine.connect() as connection:
        runs = connection.execute(sa.text("SELECT count(*) FROM runs")).scalar_one()
        try:
            rows = connection.execute(sa.text(_VERSIONS)).all()
        except sa.exc.SQLAlchemyError as error:
            return RegistryContents(runs=runs, registry_problem=str(getattr(error, "orig", None) or error))
    versions: dict[str, tuple[int, ...]] = {}
    for name, version in rows:
        versions[name] = (*versions.get(name, ()), int(version))
    return RegistryContents(runs=runs, versions=versions)


class _Version(Struct):
    version: str


class _Page(Struct):
    model_versions: list[_Version] = []


def _probe_server(url: str, models: Iterable[str]) -> RegistryContents:
    status, _ = probe_server(f"{url}/health")
    if status != HTTPStatus.OK:
        raise StoreError(f"{url}/health answers with status {status}")
    versions: dict[str, tuple[int, ...]] = {}
    for model in models:
        query = urlencode({"filter": f"name='{model}'", "max_results": 1000})
        status, body = probe_server(f"{url}/api/2.0/mlflow/model-versions/search?{query}")
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return RegistryContents()
        try:
            page = msgspec.json.decode(body, type=_Page)
        except msgspec.DecodeError as error:
            return RegistryContents(registry_problem=f"{url} answers with status {status}: {error}")
        versions[model] = tuple(int(one.version) for one in page.model_versions)
    return RegistryContents(versions=versions)
