"""A version that needs its release's environment is executed there, by a process of each worker."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from msgspec import structs
from tests.serving.environment import make_environment
from tests.serving.load import load
from tests.serving.orders import ROW, Shop, make_shop
from tests.serving.process import Service, running
from tests.serving.trapped import CRASH, HANG, LIBRARY, RAISE, Trapped
from tests.store.recent_predictions import recent_predictions

from everfit.journal.tables import scan_failures
from everfit.store.deployment import Deployed
from everfit.store.release_lock import unused

CONNECTIONS = 8


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    made = make_shop(tmp_path_factory.mktemp("trapped") / "shop", Trapped())
    for name, number in (("one", 0.25), ("two", 0.75)):
        make_environment(made.folder / name, number=number)
    return made


@pytest.fixture
def remote(trapped: Shop, tmp_path: Path) -> Shop:
    """A shop of which version 3 is deployed, to be executed in environment one."""
    folder = tmp_path / "shop"
    shutil.copytree(trapped.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("journal", "workers"))
    shop = replace(trapped, folder=folder)
    shop.deploy(champion(shop, environment="one"))
    return shop


def champion(shop: Shop, **changes: Any) -> Deployed:
    present = shop.deployment.read()
    assert present is not None
    return structs.replace(present.models[0].champion, **changes)


def ask(service: Service, weight: float | None = None, **more: Any) -> httpx.Response:
    inputs = ROW if weight is None else ROW | {"weight kg": weight}
    return httpx.post(f"{service.url}/predict/late", json={"inputs": inputs} | more, timeout=60)


def children(service: Service) -> list[psutil.Process]:
    return psutil.Process(service.process.pid).children()


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def wait_for(what: Callable[[], bool], *, seconds: float = 30.0) -> None:
    until_s = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def test_it_predicts_and_records_what_the_worker_itself_would(trapped: Shop, remote: Shop) -> None:
    rows = [ROW, ROW | {"shop": None, "weight kg": None}, ROW | {"kind": 99, "wanted_on": None, "express": None}]
    answers, records = [], []
    for shop in (remote, replace(trapped, folder=trapped.folder)):
        with running(shop.folder) as service:
            bodies = [{"inputs": row, "id": "one"} for row in rows] + [{"inputs": rows, "ids": ["a", "b", "c"]}]
            bodies.append({"inputs": ROW | {"weight kg": "heavy"}, "id": "wrong"})
            answers.append([httpx.post(f"{service.url}/predict/late", json=body).json() for body in bodies])
            service.stop()
        found = [(one.ids, one.rows, one.features, one.values) for _, one in recent_predictions(shop.journal)]
        records.append(found)
    assert answers[0] == answers[1]
    assert records[0] == records[1]
    assert len(records[0]) == 4


def is_kept(environment: Path) -> bool:
    """True if a process runs in an environment."""
    with unused(environment) as is_unused:
        return not is_unused


def test_each_version_has_the_library_of_its_own_environment(remote: Shop) -> None:
    old = champion(remote)
    shutil.copytree(remote.package, remote.folder / "newer")
    new = structs.replace(old, version=4, environment="two", folder="newer")
    remote.deploy(old, canary=new, canary_share=0.5)
    with running(remote.folder) as service:
        answers = [ask(service, LIBRARY, id=str(number)).json() for number in range(40)]
        assert {(one["version"], *one["predictions"]) for one in answers} == {(3, 0.25), (4, 0.75)}
        assert len(children(service)) == 2
        assert is_kept(remote.folder / "one")
        # What is not deployed any more takes no memory, and its environment may be deleted.
        remote.deploy(new)
        wait_for(lambda: ask(service, LIBRARY).json()["version"] == 4)
        wait_for(lambda: len(children(service)) == 1)
        assert not is_kept(remote.folder / "one")
        assert is_kept(remote.folder / "two")
        assert ask(service, LIBRARY).json()["predictions"] == [0.75]
        remote.deploy(old)
        wait_for(lambda: ask(service, LIBRARY).json()["predictions"] == [0.25])
        _, modules, _ = service.stop()
    assert not {"sklearn", "polars", "scipy", "tinylib"} & modules


def test_what_the_model_raises_is_its_own_failure(remote: Shop) -> None:
    old = champion(remote)
    new = structs.replace(old, version=4, environment="two")
    remote.deploy(old, canary=new, canary_share=1.0)
    with running(remote.folder) as service:
        told = ask(service, RAISE, id="both")
        assert told.status_code == 500
        assert "heavy" not in told.text
        remote.deploy(old)
        wait_for(lambda: ask(service).json()["version"] == 3)
        assert ask(service, RAISE, id="alone").status_code == 500
        assert ask(service).status_code == 200
        _, _, said = service.stop()
    assert "in predict_proba" in said  # the traceback of the other process
    failures = scan_failures(remote.folder / "lake", remote.journal, "late").collect()
    assert failures.select("version", "route", "problem").rows() == [(3, "champion", "RemoteError: KeyError: 'heavy'.")]


def test_a_crash_costs_the_request_and_nothing_else(remote: Shop) -> None:
    with running(remote.folder) as service:
        before = children(service)[0].pid
        crashed = ask(service, CRASH)
        assert (crashed.status_code, crashed.headers["retry-after"]) == (503, "1")
        assert "it ended" in crashed.json()["error"]["message"]
        # It waits until the process runs again.
        assert ask(service).status_code == 200
        assert children(service)[0].pid != before
        _, _, said = service.stop()
    assert "failed on route champion" in said


def test_the_champion_predicts_while_its_canary_is_started_again(remote: Shop) -> None:
    old = champion(remote)
    remote.deploy(old, canary=structs.replace(old, version=4, environment="two"), canary_share=1.0)
    with running(remote.folder) as service:
        assert ask(service).json()["version"] == 4
        canary = next(one for one in children(service) if "two" in one.cmdline()[0])
        canary.kill()
        began_s = time.monotonic()
        versions: list[int] = []
        while 4 not in versions[-1:]:
            told = ask(service)
            assert told.status_code == 200
            versions.append(told.json()["version"])
            assert time.monotonic() < began_s + 60
        service.stop()
    assert versions[0] == 3


def test_it_is_tried_again_until_its_environment_is_back(remote: Shop) -> None:
    with running(remote.folder) as service:
        (remote.folder / "one").rename(remote.folder / "gone")
        children(service)[0].kill()
        wait_for(lambda: ask(service).status_code == 503)
        began_s = time.monotonic()
        told = ask(service)
        assert time.monotonic() - began_s < 5  # nobody waits for what fails by itself
        assert "No such file or directory" in told.json()["error"]["message"]
        (remote.folder / "gone").rename(remote.folder / "one")
        wait_for(lambda: ask(service).status_code == 200)
        service.stop()


def test_a_hang_ends_with_the_time_limit(remote: Shop) -> None:
    with running(remote.folder, answer_seconds=1.0) as service:
        began_s = time.monotonic()
        assert ask(service, HANG).status_code == 503
        assert time.monotonic() - began_s < 5
        assert httpx.get(f"{service.url}/health/ready").status_code == 200
        wait_for(lambda: ask(service).status_code == 200)
        service.stop()


def test_it_ends_with_its_worker_even_in_a_computation(remote: Shop) -> None:
    with running(remote.folder) as service:
        child = children(service)[0]
        with pytest.raises(httpx.HTTPError):
            httpx.post(
                f"{service.url}/predict/late", json={"inputs": ROW | {"weight kg": HANG}}, timeout=httpx.Timeout(0.5)
            )
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
        wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, seconds=5)


def test_a_version_that_cannot_start_is_refused_with_the_reason(remote: Shop) -> None:
    old = champion(remote)
    packages = next((remote.folder / "two").glob("lib/python*/site-packages"))
    packages.joinpath("numpy.py").write_text("raise ImportError('a wheel for another machine')")
    broken, absent = (structs.replace(old, version=4, environment=name) for name in ("two", "nowhere"))
    refused = 'everfit_version_refused{version="late version 4"} 1.0'
    with running(remote.folder) as service:
        for canary in (broken, absent):
            remote.deploy(old, canary=canary, canary_share=1.0)
            wait_for(lambda: refused in httpx.get(f"{service.url}/metrics").text)
            assert ask(service).json()["version"] == 3
            remote.deploy(old)
            wait_for(lambda: refused not in httpx.get(f"{service.url}/metrics").text)
        _, _, said = service.stop()
    assert "a wheel for another machine" in said
    assert "nowhere" in said


def test_a_compiled_runtime_stays_in_the_worker(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("journal", "workers"))
    make_environment(folder / "one", number=0.5)
    own = replace(shop, folder=folder)
    own.deploy(champion(own, environment="one"))
    with running(folder) as service:
        expected = ask(service).json()["predictions"]
        assert children(service) == []
        _, modules, said = service.stop()
    assert "sklearn" not in modules
    assert said == ""
    # Where the runtime's library is missing, the environment has the estimator's own.
    (tmp_path / "treelite.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with running(folder) as service:
        assert ask(service).json()["predictions"] == pytest.approx(expected, abs=1e-9)
        assert len(children(service)) == 1
        _, modules, said = service.stop()
    assert "sklearn" not in modules
    assert "late version 3 is executed in its own environment: ImportError: treelite is not installed" in said


@pytest.mark.slow
def test_kills_under_load_give_no_wrong_answer(remote: Shop) -> None:
    with running(remote.folder) as service:
        expected = ask(service).json()["predictions"]
        kills = 5
        with load(f"{service.url}/predict/late", ROW, connections=CONNECTIONS, seconds=20) as told:
            for _ in range(kills):
                time.sleep(2.5)
                wait_for(lambda: bool(children(service)))
                os.kill(children(service)[0].pid, signal.SIGKILL)
        assert ask(service).json()["predictions"] == expected
        code, _, _ = service.stop()
    report = told[0]
    assert code == 0
    assert report.dropped == 0
    # At most those that were in the process: what was predicted together is tried alone once it runs again.
    assert len(report.failed) <= kills * CONNECTIONS
    assert {answer.split()[1] for answer in report.failed} <= {"503"}
    say(f"{len(report.answered)} answers, {len(report.failed)} failed, longest {report.longest_ms:.0f} ms")
    predictions = [value for _, found in recent_predictions(remote.journal) for value in found.values]
    assert set(predictions) == set(expected)
    recorded = {one for _, found in recent_predictions(remote.journal) for one in found.ids}
    assert recorded >= report.answered.keys()
