"""List of a model's versions with their aliases, from MLflow's store without MLflow itself.

Importing MLflow takes two seconds and some 90 MiB, which a controller keeps that only asks whether an alias has moved.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from everfit.core.errors import StoreError
from everfit.store.database_probe import database_exists, probing
from everfit.store.http_probe import probe_server

_VERSIONS = sa.text("SELECT version, run_id FROM model_versions WHERE name = :model AND current_stage <> :deleted")
_ALIASES = sa.text("SELECT alias, version FROM registered_model_aliases WHERE name = :model")
ARTIFACTS = "artifacts"
"""Folder of all runs' artifacts, in the state's, where MLflow is a database without a server."""
_DELETED = "Deleted_Internal"
_MOST = 10_000

_Response = TypeVar("_Response", bound=Struct)


class ListedVersion(Struct, frozen=True, kw_only=True):
    """A registered version."""

    version: int
    run_id: str
    aliases: tuple[str, ...] = ()


class _NumberedRun(Struct):
    version: str
    run_id: str = ""


class _SearchResponse(Struct):
    model_versions: list[_NumberedRun] = []
    next_page_token: str = ""


class _PointedAlias(Struct):
    alias: str
    version: str


class _AliasedModel(Struct):
    aliases: list[_PointedAlias] = []


class _ModelResponse(Struct):
    registered_model: _AliasedModel


def list_versions(tracking: str, model: str) -> tuple[ListedVersion, ...]:
    """Return a model's versions, oldest first; none if there is no store yet.

    Raises :class:`StoreError` if MLflow itself has to be asked: a server that wants a login or does not respond, a
    store that is neither a server nor a database, one with several workspaces.

    Args:
        tracking: MLflow's tracking URI, which is also its registry's.
    """
    if tracking.startswith(("http://", "https://")):
        return _of_server(tracking.rstrip("/"), model)
    return _of_database(tracking, model) if database_exists(tracking) else ()


def local_package(artifacts: Path, model: str, run_id: str) -> Path:
    """Return the folder of a version's package where MLflow is a database without a server."""
    return local_artifacts(artifacts, model, run_id) / "model"


def local_artifacts(artifacts: Path, model: str, run_id: str) -> Path:
    """Return the folder of a run's artifacts where MLflow is a database without a server."""
    return artifacts / model / run_id / "artifacts"


def _of_database(tracking: str, model: str) -> tuple[ListedVersion, ...]:
    with probing(tracking, writes=False) as engine, engine.connect() as connection:
        runs = connection.execute(_VERSIONS, {"model": model, "deleted": _DELETED}).all()
        aliases = connection.execute(_ALIASES, {"model": model}).all()
    return _listed(((int(number), run_id or "") for number, run_id in runs), aliases)


def _of_server(url: str, model: str) -> tuple[ListedVersion, ...]:
    query = urlencode({"filter": f"name='{model}'", "max_results": _MOST})
    page = _get(f"{url}/api/2.0/mlflow/model-versions/search?{query}", _SearchResponse)
    if page.next_page_token:
        raise StoreError("MLflow's server returns the versions in pages", value=url)
    found = _get(f"{url}/api/2.0/mlflow/registered-models/get?{urlencode({'name': model})}", _ModelResponse)
    aliases = ((pointed.alias, int(pointed.version)) for pointed in found.registered_model.aliases)
    return _listed(((int(run.version), run.run_id) for run in page.model_versions), aliases)


def _get(url: str, kind: type[_Response]) -> _Response:
    status, body = probe_server(url)
    if status != HTTPStatus.OK:
        raise StoreError(f"MLflow's server responds with status {status}", value=url)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise StoreError(f"MLflow's server responds otherwise than expected: {error}", value=url) from error


def _listed(runs: Iterable[tuple[int, str]], aliases: Iterable[tuple[str, int]]) -> tuple[ListedVersion, ...]:
    runs, aliases = sorted(runs), sorted(aliases)
    if len(dict(runs)) < len(runs) or len(dict(aliases)) < len(aliases):
        raise StoreError("a version or an alias is there more than once, as with workspaces of MLflow")
    return tuple(
        ListedVersion(
            version=number, run_id=run_id, aliases=tuple(alias for alias, pointed in aliases if pointed == number)
        )
        for number, run_id in runs
    )
