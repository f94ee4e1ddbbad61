"""Two versions of one model that were trained with two definitions of a view: each looks up its own values."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from tests.serving.orders import NOW, ROW, START, Shop, define, deploy_model, trees
from tests.serving.process import Service, running
from tests.serving.test_deployment import wait_for
from tests.store.recent_predictions import recent_predictions, recent_records

import everfit as ef
from everfit.features.compute import view_rows
from everfit.features.materialize import materialize
from everfit.store.deployment import Deployed
from everfit.store.journal_records import PUSHES, PushedRows
from everfit.store.reader import Reader

SOURCES = "*.parquet"
PERCENT = 100.0


def redefined() -> ef.Model:
    """The same model, but stars are per cent, the chain is gone, and there is a count."""
    model = define()
    before, demand, *others = model.features
    assert isinstance(before, ef.FeatureView)

    @ef.feature_view(entities=before.entities, source=before.source, ttl="5d", created="known")
    def rating(shops: pl.LazyFrame) -> pl.LazyFrame:
        return shops.select("shop", "at", "known", stars=pl.col("stars") * PERCENT, count=pl.lit(7.0))

    return ef.Model(
        model.name,
        task=model.task,
        events=model.events,
        request=model.request,
        features=[rating, demand, *others],
        label=model.label,
    )


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> Path:
    """A shop with the newer definition."""
    folder = tmp_path_factory.mktemp("redefined") / "shop"
    folder.mkdir()
    for file in shop.folder.glob(SOURCES):
        shutil.copy(file, folder)
    return deploy_model(folder, redefined(), trees(), until=NOW).folder


@pytest.fixture
def two(shop: Shop, packaged: Path, tmp_path: Path) -> tuple[Shop, Deployed, Deployed]:
    """A shop whose champion, version 3, has the older definition; version 4, with the newer one, lies ready."""
    folder = Path(
        shutil.copytree(shop.folder, tmp_path / "shop", ignore=shutil.ignore_patterns("journal", "workers", "online*"))
    )
    shutil.copytree(packaged / "package", folder / "next")
    own = replace(shop, folder=folder)
    newer = replace(shop, folder=packaged).deployment.read()
    older = own.deployment.read()
    assert older is not None
    assert newer is not None
    fill(own, define())
    next_one = Deployed(version=4, digest=newer.models[0].champion.digest, folder="next")
    return own, older.models[0].champion, next_one


def fill(shop: Shop, model: ef.Model, *, until: datetime = NOW, full: bool = False) -> None:
    reader = Reader(shop.folder, {}, pushes=(shop.folder / "lake", shop.journal))
    materialize(model.views, reader, shop.online(), until=until, full=full)


def used(shop: Shop, version: int, name: str) -> list[Any]:
    """All values that a version used of a feature, in order."""
    return [
        features[layout.features.index(name)]
        for layout, record in recent_predictions(shop.journal)
        if layout.version == version
        for features in record.features
    ]


def test_each_version_reads_its_own_generation(two: tuple[Shop, Deployed, Deployed]) -> None:
    shop, old, new = two
    fill(shop, redefined())
    shop.deploy(old, canary=new, canary_share=0.5)
    variants = shop.worker().data_plane.variants("late")
    assert variants.canary is not None
    row = variants.decoder.decode(httpx.Request("POST", "http://x", json={"inputs": ROW}).content).rows[0]
    at_us = int(NOW.timestamp() * 1e6)
    champion, canary = (
        dict(zip(model.features, model.predict([row], now_us=at_us).used[0], strict=True))
        for model in (variants.champion, variants.canary)
    )
    assert champion["rating.stars"] is not None
    assert canary["rating.stars"] == pytest.approx(PERCENT * champion["rating.stars"])
    assert (canary["rating.count"], champion["rating.chain"]) == (7.0, "chain-3")
    # The view that did not change is one generation, which both read.
    assert canary["demand.open"] == champion["demand.open"] is not None
    demand = [found for found in shop.online().generations() if found.view == "demand"]
    assert len(demand) == 1
    # A shadow does not take over what was looked up by another definition.
    looked_up = variants.champion.predict([row], now_us=at_us)
    wanted = next(found for found in variants.canary._lookups if found.view == "rating")
    assert variants.champion.places_of(wanted) is None
    assert looked_up.missing == {}


def test_a_version_whose_generation_is_missing_is_refused_until_it_is_there(
    two: tuple[Shop, Deployed, Deployed],
) -> None:
    shop, old, new = two
    with running(shop.folder) as service:
        shop.deploy(old, canary=new, canary_share=1.0)
        refused = 'everfit_version_refused{version="late version 4"} 1.0'
        wait_for(lambda: refused in httpx.get(f"{service.url}/metrics").text)
        answer = httpx.post(f"{service.url}/predict/late", json={"inputs": ROW})
        assert (answer.status_code, answer.json()["version"]) == (200, 3)
        fill(shop, redefined())
        wait_for(lambda: httpx.post(f"{service.url}/predict/late", json={"inputs": ROW}).json()["version"] == 4)
        assert refused not in httpx.get(f"{service.url}/metrics").text
        code, _, err = service.stop()
    assert code == 0
    assert err.count("late version 4 is not served") == 1
    assert "must be materialised as they were defined when it was trained" in err
    assert "everfit features materialize" in err


def push(service: Service, **columns: Any) -> httpx.Response:
    row = {"shop": "shop-7", "event_time": NOW.isoformat(), "created": NOW.isoformat()} | columns
    return httpx.post(f"{service.url}/features/rating", json={"rows": [row]})


def test_pushed_rows_reach_every_generation_that_has_their_features(two: tuple[Shop, Deployed, Deployed]) -> None:
    shop, old, new = two
    fill(shop, redefined())
    shop.deploy(old, canary=new, canary_share=0.5)
    older, newer = (model.views[0].definition for model in (define(), redefined()))
    online = shop.online()

    def stored(definition: str, *features: str) -> Any:
        return online.get_one("rating", ("shop-7",), at_us=None, ttl_us=0, features=features, definition=definition)

    with running(shop.folder) as service:
        both = push(service, stars=2.0, chain="chain-1", count=5.0)
        assert both.json() == {"rows": 1, "written": 1}
        assert stored(older, "stars", "chain") == [2.0, "chain-1"]
        assert stored(newer, "stars", "count") == [2.0, 5.0]

        one = push(service, stars=3.0, chain="chain-2", created=(NOW + timedelta(seconds=1)).isoformat())
        [partial] = one.json()["partial"]
        assert (partial["definition"], partial["readers"]) == (newer, ["late version 4"])
        assert partial["reason"] == "null stands for what is missing: count"
        assert stored(older, "stars", "chain") == [3.0, "chain-2"]
        assert stored(newer, "stars", "count") == [3.0, None]

        wrong = push(service, stars=1.0)
        assert wrong.status_code == 422
        assert "shop, event_time, stars, chain" in wrong.json()["error"]["message"]
        unknown = push(service, stars=1.0, chain="chain-1", color="red")
        assert (unknown.status_code, "color" in unknown.json()["error"]["message"]) == (422, True)
        documented = httpx.get(f"{service.url}/openapi.json").json()["components"]["schemas"]
        row = next(schema for name, schema in documented.items() if "count" in schema.get("properties", {}))
        assert set(row["required"]) == {"shop", "event_time", "stars", "chain"}
        service.stop()
    # History has what is online, by either definition.
    for model in (define(), redefined()):
        before = [stored(model.views[0].definition, *names) for names in (("stars",),)]
        fill(shop, model, until=NOW + timedelta(minutes=1), full=True)
        assert [stored(model.views[0].definition, *names) for names in (("stars",),)] == before == [[3.0]]


def test_rows_without_a_feature_of_a_definition_are_none_of_its_history(two: tuple[Shop, Deployed, Deployed]) -> None:
    shop, _, _ = two
    with running(shop.folder) as service:
        assert push(service, stars=2.0, chain="chain-1").status_code == 200
        service.stop()
    [pushed] = [record for _, record in recent_records(shop.journal / PUSHES, PushedRows)]
    assert pushed.features == {"stars": [2.0], "chain": ["chain-1"]}
    reader = Reader(shop.folder, {}, pushes=(shop.folder / "lake", shop.journal))
    source = define().views[0].source
    entity = ef.Entity("shop", dtype=pl.String)

    def rows(*features: str) -> int:
        renamed = ef.Source("shops", function=lambda: kept(shop, source), timestamp="at", created="known")
        view = ef.FeatureView("rating", entities=[entity], source=renamed, features=features, ttl="5d")
        return view_rows(view, reader).collect().height

    assert rows("stars", "chain") == rows("stars") == rows("score", "stars") == rows("score") + 1


def kept(shop: Shop, source: ef.Source) -> pl.LazyFrame:
    return pl.scan_parquet(shop.folder / str(source.path)).with_columns(score=pl.col("stars"))


@contextmanager
def repeated(work: Any) -> Iterator[list[BaseException]]:
    """Do work again and again in a thread."""
    stop, problems = threading.Event(), list[BaseException]()

    def run() -> None:
        while not stop.is_set() and not problems:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - shown by the test
                problems.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield problems
    finally:
        stop.set()
        thread.join(30)


@pytest.mark.slow
def test_neither_version_ever_sees_the_others_values(two: tuple[Shop, Deployed, Deployed]) -> None:
    """While rows are pushed, and both generations are written again and again."""
    shop, old, new = two
    fill(shop, redefined())
    shop.deploy(old, canary=new, canary_share=0.5)
    numbers = iter(range(10**9))
    with running(shop.folder) as service, httpx.Client() as client:

        def push_one() -> None:
            second = (START + timedelta(days=5, seconds=next(numbers))).isoformat()
            row = {"shop": "shop-1", "event_time": second, "created": second, "chain": "chain-1", "count": 7.0}
            assert client.post(f"{service.url}/features/rating", json={"rows": [row | {"stars": None}]}).is_success

        def write() -> None:
            fill(shop, define(), full=True)
            fill(shop, redefined())

        with repeated(push_one) as pushing, repeated(write) as writing:
            rows = [ROW | {"shop": f"shop-{shop}"} for shop in range(1, 60)]
            for turn in range(60):
                ids = [f"{turn}-{place}" for place in range(len(rows))]
                answer = httpx.post(f"{service.url}/predict/late", json={"inputs": rows, "ids": ids})
                assert answer.status_code == 200
        assert (pushing, writing) == ([], [])
        code, _, err = service.stop()
    assert (code, err) == (0, "")
    assert next(numbers) > 20
    ours, theirs = used(shop, 3, "rating.stars"), used(shop, 4, "rating.stars")
    assert min(len(ours), len(theirs)) > 1000
    # Shares are at most 2; what is not 0 is at least a third.
    assert max(value for value in ours if value is not None) == 2.0
    assert min(value for value in theirs if value) == pytest.approx(PERCENT / 3)
    assert set(used(shop, 4, "rating.count")) <= {7.0, None}
