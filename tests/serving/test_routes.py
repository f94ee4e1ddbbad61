"""The table of routes, the OpenAPI document and the documentation name the same paths."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import msgspec
import pytest
from tests.serving.orders import Shop

from everfit.serving.feature_push import AcceptedRows
from everfit.serving.feedback import ReportedOutcomes
from everfit.serving.http.connection import HttpRequest
from everfit.serving.http.responses import Response
from everfit.serving.http.routes import MLFLOW, OPEN_INFERENCE, RELEASES, Router
from everfit.serving.inference.served_model import ServedModelDescription
from everfit.serving.openapi.template import load_template
from everfit.serving.protocols.open_inference.repository import RepositoryEntry
from everfit.serving.routes import ROUTES
from everfit.store.webhook_secrets import WebhookSecrets

HOWTO = Path(__file__).parents[2] / "docs" / "howto"


def test_each_route_is_found_by_its_path() -> None:
    router = Router(ROUTES)
    for route in ROUTES:
        for path in (route.path, f"{route.path}/"):
            match = router.match(path.format(model="late", view="rating", version="3"))
            assert match is not None, path
            assert match.routes[route.method] is route
            assert len(match.parameters) == route.path.count("{")


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/v2/models/stats", ()),
        ("/v2/models/stats/ready", ("stats",)),
        ("/v2/models/stats/versions/3", ("stats", "3")),
        ("/predict/a%2Fb", ("a/b",)),
        ("/%70redict/late", ("late",)),
    ],
)
def test_a_literal_goes_before_a_parameter(path: str, parameters: tuple[str, ...]) -> None:
    match = Router(ROUTES).match(path)
    assert match is not None
    assert match.parameters == parameters


@pytest.mark.parametrize("path", ["", "*", "/predict", "/predict/", "/predict/a/b", "/v2/models//infer", "/nowhere"])
def test_other_paths_are_not_found(path: str) -> None:
    assert (Router(ROUTES).match(path) is None) == (path != "")


def test_many_paths_do_not_fill_the_memory() -> None:
    router = Router(ROUTES)
    for number in range(5_000):
        router.match(f"/predict/model-{number}")
    assert len(router._matches) <= 1024


@pytest.mark.parametrize("has_secret", [False, True])
def test_the_document_has_the_table_s_operations(shop: Shop, tmp_path: Path, has_secret: bool) -> None:
    copy = replace(shop, folder=Path(shutil.copytree(shop.folder, tmp_path / "shop")))
    if has_secret:
        WebhookSecrets(copy.folder / "keys").rotate()
    worker = copy.worker()
    response = worker.app.handle(HttpRequest("GET", "/openapi.json", b"", [], b""))
    worker.app.predictions.close()
    assert isinstance(response, Response)
    paths = msgspec.json.decode(response.body)["paths"]
    wanted = set()
    for route in ROUTES if has_secret else [route for route in ROUTES if route.tag != RELEASES]:
        models = ["late"] if "{model}" in route.operation else ["{model}"]
        views = ["demand", "rating"] if "{view}" in route.operation else ["{view}"]
        for model, view in product(models, views):
            path = route.path.replace("{model}", model).replace("{view}", view)
            wanted.add((path, route.method.lower(), route.operation.replace("{model}", model).replace("{view}", view)))
    assert {(path, method, one["operationId"]) for path, own in paths.items() for method, one in own.items()} == wanted


def test_the_template_has_the_operations_of_the_table() -> None:
    operations = load_template()["operations"]
    assert set(operations) <= {route.operation for route in ROUTES}
    for route in ROUTES:
        described = operations.get(route.operation.replace("v2_version_", "v2_"), {})
        assert ("body" in described) == bool(route.bodies.takes), route.operation


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ModelDescription", ServedModelDescription),
        ("Reported", ReportedOutcomes),
        ("Accepted", AcceptedRows),
        ("Listed", RepositoryEntry),
    ],
)
def test_the_template_s_schemas_are_those_of_the_types(name: str, kind: type) -> None:
    found = load_template()["schemas"][f"everfit.{name}"]
    (schema,) = (
        schema for title, schema in msgspec.json.schema_components([kind])[1].items() if title == kind.__name__
    )
    assert set(found["properties"]) == set(schema["properties"])
    assert found.get("required") == schema.get("required")


def test_the_documentation_names_every_path() -> None:
    serve, protocols = ((HOWTO / f"{name}.md").read_text() for name in ("serve", "protocols"))
    for route in ROUTES:
        if route.tag == OPEN_INFERENCE:
            continue
        page = protocols if route.tag == MLFLOW else serve
        method = "" if route.tag == MLFLOW and route.path != "/invocations" else f"{route.method} "
        assert f"`{method}{route.path}`" in page, route.path
    router = Router(ROUTES)
    for method, path in re.findall(r"`(GET|POST) (/[^`?…]*)`", serve + protocols):
        match = router.match(path)
        assert match is not None, path
        assert method in match.routes, path
