"""Versions come, go, and are tried beside the champion, and no caller notices."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serving.load import load
from tests.serving.orders import ROW, Shop, make_shop, trees
from tests.serving.process import Service, running
from tests.store.recent_predictions import recent_predictions

from everfit.serving.inference.variants import Variants
from everfit.store.deployment import Deployed


@pytest.fixture
def two(shop: Shop, boosted: Shop, tmp_path: Path) -> tuple[Shop, Deployed, Deployed]:
    """A shop of which version 3 is deployed, and version 4 lies ready."""
    folder = tmp_path / "shop"
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("journal", "workers"))
    shutil.copytree(boosted.package, folder / "next")
    own = replace(shop, folder=folder)
    old, new = shop.deployment.read(), boosted.deployment.read()
    assert old is not None
    assert new is not None
    return own, old.models[0].champion, Deployed(version=4, digest=new.models[0].champion.digest, folder="next")


def wait_for(what: Callable[[], bool], *, seconds: float = 20.0) -> None:
    until_s = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def version_of(service: Service) -> int:
    answer = httpx.post(f"{service.url}/predict/late", json={"inputs": ROW})
    assert answer.status_code == 200
    return int(answer.json()["version"])


LONGEST_MS = 250 if "PYTEST_XDIST_WORKER" in os.environ else 50
"""Other tests that run beside this one take their share of the cores, and 50 ms with it."""


@pytest.mark.slow
def test_fifty_swaps_under_load_fail_nobody(two: tuple[Shop, Deployed, Deployed]) -> None:
    shop, old, new = two
    with running(shop.folder) as service:
        shop.deploy(new)
        wait_for(lambda: version_of(service) == 4)
        with load(f"{service.url}/predict/late", ROW, seconds=28) as told:
            time.sleep(1)
            for turn in range(50):
                wanted = old if turn % 2 else new
                shop.deploy(wanted)
                wait_for(lambda: version_of(service) == wanted.version)  # noqa: B023 - called at once
                time.sleep(0.1)
        code, _, err = service.stop()
    say(f"{len(told[0].answered)} answers, versions {told[0].versions}, longest {told[0].longest_ms:.1f} ms")
    assert (code, err) == (0, "")
    assert told[0].failed == []
    assert told[0].dropped == 0
    assert set(told[0].versions) == {3, 4}
    assert told[0].longest_ms <= LONGEST_MS
    # What callers were told is what the journal has.
    journal = {each: layout.version for layout, found in recent_predictions(shop.journal) for each in found.ids}
    assert journal | told[0].answered == journal


def test_a_poisoned_version_takes_no_traffic_and_is_reported(two: tuple[Shop, Deployed, Deployed]) -> None:
    shop, _, new = two
    victim = next((shop.folder / "next" / "model").iterdir())
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    with running(shop.folder) as service:
        shop.deploy(new)
        refused = 'everfit_version_refused{version="late version 4"} 1.0'
        wait_for(lambda: refused in httpx.get(f"{service.url}/metrics").text)
        # Version 3 answers on, so that no balancer must take the service out.
        for page in ("/health/ready", "/v2/health/ready", "/ping"):
            assert httpx.get(f"{service.url}{page}").status_code == 200
        assert version_of(service) == 3
        _, _, said = service.stop()
    assert "late version 4 is not served" in said
    assert victim.name in said


def test_an_unreadable_record_changes_nothing(two: tuple[Shop, Deployed, Deployed]) -> None:
    shop, _, _ = two
    with running(shop.folder) as service:
        (shop.folder / "deployment.json").write_text("{")
        refused = 'everfit_version_refused{version="deployment"} 1.0'
        wait_for(lambda: refused in httpx.get(f"{service.url}/metrics").text)
        assert httpx.get(f"{service.url}/health/ready").status_code == 200
        assert version_of(service) == 3


def variants(shop: Shop, **beside: Any) -> Variants:
    record = shop.deployment.read()
    assert record is not None
    shop.deploy(record.models[0].champion, **beside)
    return shop.worker().data_plane.variants("late")


def test_a_canary_takes_its_share_of_ids_the_same_everywhere(two: tuple[Shop, Deployed, Deployed]) -> None:
    shop, _, new = two
    ids = [f"order-{number}" for number in range(100_000)]
    first = variants(shop, canary=new, canary_share=0.1)
    chosen = [each for each in ids if first.is_canary(each)]
    say(f"{len(chosen) / 1e3:.2f} % of 100,000 ids")
    assert 9_500 <= len(chosen) <= 10_500
    # Another worker, or the same after a restart, chooses the same; a larger share holds the smaller one.
    again = variants(shop, canary=new, canary_share=0.1)
    assert again is not first
    assert [each for each in ids if again.is_canary(each)] == chosen
    wider = variants(shop, canary=new, canary_share=0.5)
    assert all(wider.is_canary(each) for each in chosen)
    assert 49_000 <= sum(map(wider.is_canary, ids)) <= 51_000
    other = variants(shop, canary=Deployed(version=5, digest=new.digest, folder=new.folder), canary_share=0.1)
    assert sum(map(other.is_canary, chosen)) < 2_000


def test_rows_of_one_request_go_where_their_ids_belong(two: tuple[Shop, Deployed, Deployed]) -> None:
    shop, old, new = two
    shop.deploy(old, canary=new, canary_share=0.5)
    with running(shop.folder) as service:
        ids = [f"order-{number}" for number in range(200)]
        body = {"inputs": [ROW | {"kind": 99}] + [ROW] * 199, "ids": ids}
        together = httpx.post(f"{service.url}/predict/late", json=body).json()
        alone = {
            each: httpx.post(f"{service.url}/predict/late", json={"inputs": ROW, "id": each}).json()
            for each in ids[1:40]
        }
        service.stop()
    assert set(together["versions"]) == {3, 4}
    assert together["missing"] == {"demand": [0]}
    for place, each in enumerate(ids[1:40], start=1):
        assert together["versions"][place] == alone[each]["version"]
        assert together["predictions"][place] == pytest.approx(alone[each]["predictions"][0], abs=1e-12)
    routes = {(layout.version, found.route) for layout, found in recent_predictions(shop.journal)}
    assert routes == {(3, "champion"), (4, "canary")}


def test_a_shadow_is_heard_by_nobody_and_recorded(two: tuple[Shop, Deployed, Deployed]) -> None:
    shop, old, new = two
    shop.deploy(old, shadow=new)
    with running(shop.folder) as service:
        told = httpx.post(f"{service.url}/predict/late", json={"inputs": [ROW, ROW], "ids": ["a", "b"]}).json()
        service.stop()
    assert told["version"] == 3
    found = {found.route: (layout.version, list(found.ids)) for layout, found in recent_predictions(shop.journal)}
    assert found == {"champion": (3, ["a", "b"]), "shadow": (4, ["a", "b"])}


def test_a_shadow_gives_way_under_load(two: tuple[Shop, Deployed, Deployed]) -> None:
    shop, old, new = two
    shop.deploy(old, shadow=new)
    with running(shop.folder) as service:
        with load(f"{service.url}/predict/late", ROW, seconds=3) as told:
            pass
        metrics = httpx.get(f"{service.url}/metrics").text
        service.stop()
    dropped = float(metrics.split("\neverfit_shadow_dropped_rows_total ")[1].split()[0])
    shadowed = sum(len(found.ids) for _, found in recent_predictions(shop.journal) if found.route == "shadow")
    assert told[0].failed == []
    assert dropped > 0
    assert shadowed + dropped == len(told[0].answered)


def test_a_version_with_other_fields_can_only_take_the_champions_place(
    two: tuple[Shop, Deployed, Deployed], tmp_path: Path
) -> None:
    shop, old, _ = two
    other = make_shop(tmp_path / "other", trees(), asks_when=False)
    shutil.copytree(other.package, shop.folder / "other")
    record = other.deployment.read()
    assert record is not None
    narrow = Deployed(version=5, digest=record.models[0].champion.digest, folder="other")
    shop.deploy(old, canary=narrow, canary_share=0.5)
    data_plane = shop.worker().data_plane
    assert data_plane.variants("late").canary is None
    assert "it can only take its place" in data_plane.refused["late version 5"]
    shop.deploy(narrow)
    assert shop.worker().data_plane.variants("late").champion.version == 5
