"""Versions and aliases are read from MLflow's store without MLflow; where that is not possible, an error says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tests.registry.test_probe import server

from everfit.core.errors import StoreError
from everfit.registry.version_list import ListedVersion, list_versions

GET = "/api/2.0/mlflow/registered-models/get"
VERSIONS = {"model_versions": [{"version": "3", "run_id": "b"}, {"version": "1", "run_id": "a", "status": "READY"}]}
MODEL = {"registered_model": {"name": "late", "aliases": [{"alias": "champion", "version": "3"}]}}
"""Fields as MLflow's REST API names them."""


def test_a_database_lists_what_mlflow_registered(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/tracking.db"
    assert list_versions(url, "late") == ()
    assert not list(tmp_path.iterdir())
    client = MlflowClient(tracking_uri=url, registry_uri=url)
    run_id = client.create_run("0").info.run_id
    for model in ("late", "other"):
        client.create_registered_model(model)
        for number in range(3):
            client.create_model_version(model, source="file:///nowhere", run_id=run_id if number else None)
    client.set_registered_model_alias("late", "champion", "2")
    client.set_registered_model_alias("late", "best", "2")
    client.set_registered_model_alias("late", "previous", "1")
    client.set_registered_model_alias("other", "champion", "1")
    first, second, third = list_versions(url, "late")
    assert first == ListedVersion(version=1, run_id="", aliases=("previous",))
    assert second == ListedVersion(version=2, run_id=run_id, aliases=("best", "champion"))
    assert third == ListedVersion(version=3, run_id=run_id)
    client.set_registered_model_alias("late", "champion", "3")
    client.delete_model_version("late", "1")
    assert [(found.version, found.aliases) for found in list_versions(url, "late")] == [
        (2, ("best",)),
        (3, ("champion",)),
    ]


def answers(versions: object, model: object, status: int = 200) -> Mapping[str, tuple[int, bytes]]:
    return {"name='late'": (status, json.dumps(versions).encode()), GET: (status, json.dumps(model).encode())}


def test_a_server_lists_versions() -> None:
    with server(answers(VERSIONS, MODEL)) as url:
        first, third = list_versions(f"{url}/", "late")
    assert first == ListedVersion(version=1, run_id="a")
    assert third == ListedVersion(version=3, run_id="b", aliases=("champion",))


@pytest.mark.parametrize(
    "responses",
    [
        answers(VERSIONS, MODEL, 401),
        answers(VERSIONS, []),
        answers({**VERSIONS, "next_page_token": "more"}, MODEL),
        {},
    ],
)
def test_a_server_that_has_to_be_asked_through_mlflow(responses: Mapping[str, tuple[int, bytes]]) -> None:
    with server(responses) as url, pytest.raises(StoreError):
        list_versions(url, "late")
    with pytest.raises(StoreError, match="does not answer"):
        list_versions(url, "late")


@pytest.mark.parametrize("url", ["databricks://profile", "no url", "sqlite:///{folder}/other.db"])
def test_a_store_that_has_to_be_asked_through_mlflow(url: str, tmp_path: Path) -> None:
    (tmp_path / "other.db").write_bytes(b"no database at all, but as long as one could be" * 10)
    with pytest.raises(StoreError):
        list_versions(url.format(folder=tmp_path), "late")
