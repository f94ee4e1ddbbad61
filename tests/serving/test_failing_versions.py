"""A version that raises costs no caller an answer as long as another can give one."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from tests.serving.fragile import HEAVY, Fragile
from tests.serving.orders import ROW, Shop, make_shop, trees
from tests.serving.process import Service, running

from everfit.journal.ship import ship
from everfit.journal.tables import scan_failures, scan_predictions
from everfit.store.deployment import Deployed

RARE = ROW | {"weight kg": HEAVY + 1}


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("fragile") / "shop", Fragile())


@pytest.fixture
def shop(shop: Shop, fragile: Shop, tmp_path: Path) -> Shop:
    folder = tmp_path / "shop"
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("journal", "workers"))
    shutil.copytree(fragile.package, folder / "fragile")
    return replace(shop, folder=folder)


@pytest.fixture
def sound(shop: Shop) -> Deployed:
    present = shop.deployment.read()
    assert present is not None
    return present.models[0].champion


@pytest.fixture
def broken(fragile: Shop) -> Deployed:
    present = fragile.deployment.read()
    assert present is not None
    return replace_version(present.models[0].champion, 4)


def replace_version(deployed: Deployed, version: int) -> Deployed:
    return Deployed(version=version, digest=deployed.digest, folder="fragile")


def ask(service: Service, inputs: Any, **more: Any) -> httpx.Response:
    return httpx.post(f"{service.url}/predict/late", json={"inputs": inputs} | more, timeout=30)


def failures(shop: Shop) -> Counter[tuple[int, str, str]]:
    found = scan_failures(shop.folder / "lake", shop.journal, "late").collect()
    return Counter(zip(found["version"], found["route"], found["problem"], strict=True))


def routes(shop: Shop) -> Counter[tuple[int, str]]:
    found = scan_predictions(shop.folder / "lake", shop.journal, "late").collect()
    return Counter(zip(found["version"], found["route"], strict=True))


def test_the_champion_answers_what_its_canary_cannot(shop: Shop, sound: Deployed, broken: Deployed) -> None:
    shop.deploy(sound, canary=broken, canary_share=1.0)
    with running(shop.folder) as service:
        alone = ask(service, RARE, id="alone")
        assert (alone.status_code, alone.json()["version"]) == (200, 3)
        assert ask(service, ROW, id="fine").json()["version"] == 4
        together = ask(service, [ROW, ROW, RARE, ROW, ROW], ids=[f"row-{place}" for place in range(5)])
        assert together.json()["versions"] == [4, 4, 3, 4, 4]
        # Who asks for the version itself is told that it failed.
        assert httpx.post(f"{service.url}/v2/models/late/versions/4/infer", json=_infer(RARE)).status_code == 500
        _, _, said = service.stop()
    assert failures(shop) == {(4, "canary", "KeyError: 'heavy'"): 2}
    assert routes(shop) == {(4, "canary"): 5, (3, "stand_in"): 2}
    assert said.count("failed on route canary") == 1


def test_what_the_champion_cannot_answer_either_is_no_fault_of_the_canary(
    shop: Shop, sound: Deployed, broken: Deployed
) -> None:
    shop.deploy(replace_version(broken, 2), canary=broken, canary_share=1.0)
    with running(shop.folder) as service:
        assert ask(service, RARE, id="both").status_code == 500
        service.stop()
    assert failures(shop) == {}
    assert routes(shop) == {}


def test_failures_survive_the_worker_that_had_them(shop: Shop, sound: Deployed, broken: Deployed) -> None:
    shop.deploy(sound, canary=broken, canary_share=1.0)
    with running(shop.folder) as service:
        for number in range(3):
            assert ask(service, RARE, id=f"rare-{number}").status_code == 200
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
    before = failures(shop)
    assert sum(before.values()) == 3
    ship(shop.journal, shop.folder / "lake")
    assert failures(shop) == before


def test_a_shadow_that_fails_is_counted_and_the_rest_of_its_rows_kept(
    shop: Shop, sound: Deployed, broken: Deployed
) -> None:
    shop.deploy(sound, shadow=broken)
    with running(shop.folder) as service:
        told = ask(service, [ROW, RARE, ROW], ids=["a", "b", "c"])
        assert (told.status_code, told.json()["version"]) == (200, 3)
        service.stop()
    assert failures(shop) == {(4, "shadow", "KeyError: 'heavy'"): 1}
    assert routes(shop) == {(3, "champion"): 3, (4, "shadow"): 2}


def test_the_one_before_it_answers_what_a_new_champion_cannot(shop: Shop, sound: Deployed, broken: Deployed) -> None:
    shop.deploy(broken, shadow=sound)
    with running(shop.folder) as service:
        assert ask(service, RARE, id="alone").json()["version"] == 3
        assert ask(service, [ROW, RARE], ids=["a", "b"]).json()["versions"] == [4, 3]
        # A field that is wrong is the caller's fault, whoever is asked.
        assert ask(service, ROW | {"shop": 7}).status_code == 422
        service.stop()
    assert failures(shop) == {(4, "champion", "KeyError: 'heavy'"): 2}
    assert routes(shop)[3, "stand_in"] == 2


def test_a_version_that_nobody_heard_yet_stands_in_for_nobody(shop: Shop, sound: Deployed, broken: Deployed) -> None:
    newer = Deployed(version=9, digest=sound.digest, folder=sound.folder)
    shop.deploy(broken, shadow=newer)
    with running(shop.folder) as service:
        assert ask(service, RARE, id="alone").status_code == 500
        service.stop()
    assert failures(shop) == {(4, "champion", "KeyError: 'heavy'"): 1}


def _infer(row: dict[str, Any]) -> dict[str, Any]:
    kinds = {str: "BYTES", bool: "BOOL", int: "INT64", float: "FP64"}
    return {
        "inputs": [
            {"name": name, "shape": [1], "datatype": kinds[type(value)], "data": [value]} for name, value in row.items()
        ]
    }


def test_the_tables_hold_what_the_evidence_needs(shop: Shop, sound: Deployed, broken: Deployed) -> None:
    empty = scan_failures(shop.folder / "lake", shop.journal, "late").collect()
    assert empty.is_empty()
    assert {"version", "route", "recorded_at", "problem"} <= set(empty.columns)
    assert empty.schema["recorded_at"] == pl.Datetime("us", "UTC")


def test_a_version_with_another_request_is_reported_and_changes_nothing(
    shop: Shop, sound: Deployed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import time

    other = make_shop(tmp_path_factory.mktemp("other") / "shop", trees(), asks_when=False)
    shutil.copytree(other.package, shop.folder / "other")
    present = other.deployment.read()
    assert present is not None
    newer = Deployed(version=5, digest=present.models[0].champion.digest, folder="other")
    with running(shop.folder) as service:
        for beside in ({"canary": newer, "canary_share": 1.0}, {"shadow": newer}):
            shop.deploy(sound, **beside)
            told, until = "", time.monotonic() + 30
            while 'everfit_version_refused{version="late version 5"} 1.0' not in told and time.monotonic() < until:
                told = httpx.get(f"{service.url}/metrics").text
            assert 'everfit_version_refused{version="late version 5"} 1.0' in told
            for page in ("/health/ready", "/v2/health/ready", "/v2/models/late/ready", "/ping"):
                assert httpx.get(f"{service.url}{page}").status_code == 200
            assert ask(service, ROW).json()["version"] == 3
            shop.deploy(sound)
            while "everfit_version_refused{" in told and time.monotonic() < until:
                told = httpx.get(f"{service.url}/metrics").text
            assert "everfit_version_refused{" not in told
        _, _, said = service.stop()
    assert said.count("late version 5 is not served beside the champion") == 2
    assert "ordered_at is absent instead of instant" in said


@pytest.mark.parametrize("chance", [float("nan"), float("inf")])
def test_a_row_without_a_finite_prediction_is_refused(tmp_path: Path, chance: float) -> None:
    shop = make_shop(tmp_path / "shop", Fragile(chance))
    with running(shop.folder) as service:
        assert ask(service, ROW).status_code == 200
        for inputs in (RARE, [ROW, RARE, ROW]):
            refused = ask(service, inputs)
            assert refused.status_code == 422
            assert "finite prediction" in refused.text
    assert not failures(shop)
