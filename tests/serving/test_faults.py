"""The disk is full, the online store is slow, too many ask at once: what is promised still holds."""

from __future__ import annotations

import resource
import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest
from tests.serving.orders import ROW, Shop
from tests.serving.process import Service, running
from tests.store.recent_predictions import recent_predictions, recent_records

from everfit.store.journal_records import OUTCOMES, Outcomes


@pytest.fixture
def own(shop: Shop, tmp_path: Path) -> Shop:
    """A shop whose disk a test may fill."""
    ignored = shutil.ignore_patterns("journal", "workers")
    return replace(shop, folder=Path(shutil.copytree(shop.folder, tmp_path / "shop", ignore=ignored)))


def ask(service: Service, **more: Any) -> httpx.Response:
    return httpx.post(f"{service.url}/predict/late", json={"inputs": ROW} | more, timeout=30)


def fill_disk(service: Service) -> None:
    """No file of the process may grow any more: to it, the disk is full."""
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def clear_disk(service: Service) -> None:
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def recorded(shop: Shop) -> set[str]:
    return {each for _, found in recent_predictions(shop.journal) for each in found.ids}


def test_sync_answers_nothing_that_a_full_disk_cannot_keep(own: Shop) -> None:
    with running(own.folder, durability="sync") as service:
        assert ask(service, id="before").status_code == 200
        fill_disk(service)
        for number in range(3):
            refused = ask(service, id=f"full-{number}")
            assert refused.status_code == 503
            assert refused.json()["error"]["message"].startswith("the log could not be written")
        assert httpx.get(f"{service.url}/health/live").status_code == 200
        clear_disk(service)
        assert ask(service, id="after").status_code == 200
        service.stop()
    assert recorded(own) == {"before", "after"}


def test_batch_answers_all_the_same_and_raises_an_alarm(own: Shop) -> None:
    with running(own.folder) as service:
        assert ask(service, id="before").status_code == 200
        fill_disk(service)
        assert [ask(service, id=f"full-{number}").status_code for number in range(3)] == [200] * 3
        assert "everfit_unrecorded_rows_total 3.0" in httpx.get(f"{service.url}/metrics").text
        # What somebody reports is never taken without being kept.
        report = httpx.post(f"{service.url}/outcomes/late", json={"id": "before", "value": True})
        assert report.status_code == 503
        clear_disk(service)
        assert ask(service, id="after").status_code == 200
        _, _, said = service.stop()
    assert recorded(own) == {"before", "after"}
    assert "predictions are sent that are not recorded" in said
    assert list(recent_records(own.journal / OUTCOMES, Outcomes)) == []


def test_a_slow_store_slows_its_own_callers_only(own: Shop) -> None:
    with (
        running(own.folder, store_wait_s=0.2) as service,
        ThreadPoolExecutor(8) as threads,
        httpx.Client(base_url=service.url) as other,
    ):
        ask(service)  # by this one the service finds out
        began_s = time.monotonic()
        asked = [threads.submit(ask, service, id=f"slow-{number}") for number in range(32)]
        waits_s = []
        while not all(each.done() for each in asked):
            at_s = time.monotonic()
            assert other.get("/health/live").status_code == 200
            waits_s.append(time.monotonic() - at_s)
            time.sleep(0.02)
        took_s = time.monotonic() - began_s
        assert [each.result().status_code for each in asked] == [200] * 32
        # One by one, two views for each of them, it would be 12.8 s: what waits is looked up together.
        assert took_s < 6
        # Were they to wait for the store, most would; a single one may wait for a busy machine.
        assert median(waits_s) < 0.1
        service.stop()
    assert recorded(own) >= {f"slow-{number}" for number in range(32)}


def test_more_than_can_wait_are_sent_away_and_told_when_to_come_back(own: Shop) -> None:
    with running(own.folder, store_wait_s=0.2, max_waiting=4) as service, ThreadPoolExecutor(32) as threads:
        ask(service)
        answers = list(threads.map(lambda number: ask(service, id=f"many-{number}"), range(64)))
        statuses = Counter(each.status_code for each in answers)
        assert set(statuses) == {200, 503}
        assert all(int(each.headers["retry-after"]) >= 1 for each in answers if each.status_code == 503)
        assert "at most 4 requests may wait at once" in next(each.text for each in answers if each.status_code == 503)
        assert ask(service, id="later").status_code == 200
        service.stop()
    answered = {each.json()["ids"][0] for each in answers if each.status_code == 200}
    assert answered <= recorded(own)


def test_an_answer_that_comes_too_late_is_not_waited_for(own: Shop) -> None:
    with running(own.folder, store_wait_s=2.0, answer_seconds=0.3) as service:
        ask(service)
        late = ask(service)
        assert late.status_code == 503
        assert "within 0.3 seconds" in late.text
        assert httpx.get(f"{service.url}/health/live").elapsed.total_seconds() < 1.0
