"""Walks of docs/architecture.md: every file that they name has a part in them, and they are short."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
from tests.architecture.sources import PACKAGE
from tests.architecture.traced import observed, seen
from tests.loop.town import DAY, HOUR, MODEL, found, rides, town
from tests.serving.orders import Shop, make_shop, request_of, trees
from tests.serving.test_deployment import wait_for

from everfit.commands.orders import give_order
from everfit.loop.loop import Loop
from everfit.runtime.launcher import Launcher
from everfit.store.journal_records import Outcome, Outcomes
from everfit.store.record_log import RecordLog

ROOT = Path(__file__).parents[2]
PREDICTION, LABEL, ORDER = "The life of a prediction", "The life of a late label", "The life of a training order"


def walk(title: str) -> set[str]:
    """Files that a section of the page names."""
    page = ROOT.joinpath("docs", "architecture.md").read_text(encoding="utf-8")
    section = page.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return set(re.findall(r"`([a-z_/]+\.py)`", section))


@pytest.mark.parametrize(("title", "most"), [(PREDICTION, 19), (LABEL, 25), (ORDER, 40)])
def test_a_walk_is_short(title: str, most: int) -> None:
    files = walk(title)
    assert not [name for name in files if not PACKAGE.joinpath(name).is_file()]
    assert 0 < len(files) <= most


@dataclass
class Observed:
    """A prediction service of which it is seen in which files functions run."""

    process: subprocess.Popen[str]
    out: Path
    shop: Shop
    url: str

    def during(self, action: Callable[[], object]) -> set[str]:
        """Files that ran during an action."""
        self.out.write_text("")
        self.process.send_signal(signal.SIGUSR1)
        time.sleep(0.1)
        action()
        time.sleep(0.3)
        self.process.send_signal(signal.SIGUSR2)
        wait_for(lambda: bool(self.out.read_text()))
        return set(self.out.read_text().split())

    def post(self, path: str, content: object) -> None:
        """Send a request that succeeds."""
        assert httpx.post(f"{self.url}{path}/late", json=content, timeout=30).status_code == 200

    def predict(self) -> None:
        """Request a prediction with the id ``mine``."""
        row = self.shop.frame.row(5, named=True)
        self.post("/predict", {"inputs": [request_of(row, self.shop.schema)], "id": "mine"})


@contextmanager
def service(folder: Path) -> Iterator[Observed]:
    """Serve a model of scikit-learn's trees with features of the online store."""
    shop, out = make_shop(folder / "shop", trees()), folder / "files"
    command = [
        sys.executable,
        "-m",
        "tests.architecture.traced",
        str(out),
        "tests.serving.process",
        str(shop.folder),
        "0",
    ]
    variables = os.environ | {"EVERFIT_TEST_SERVING": "{}"}
    with subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            started = Observed(process, out, shop, process.stdout.readline().strip())
            for _ in range(30):
                started.predict()  # the first ones open what others find
            yield started
        finally:
            process.terminate()
            process.communicate(timeout=30)


@dataclass(frozen=True, kw_only=True)
class TracingLauncher(Launcher):
    """Starts processes that add the files which they ran to one file."""

    out: Path

    def command(self, *words: str) -> list[str]:
        """Return the command line, observed."""
        return [self.interpreter, "-m", "tests.architecture.traced", str(self.out), *super().command(*words)[2:]]


@pytest.mark.slow
def test_a_prediction_and_a_label(tmp_path: Path) -> None:
    with service(tmp_path) as running:
        background = running.during(lambda: time.sleep(1.5))
        predicted = running.during(running.predict)
        reported = running.during(lambda: running.post("/outcomes", {"id": "mine", "value": True}))
    named = walk(PREDICTION)
    assert predicted >= named
    # No other file has a part in it, but for what runs at the same time and what opens a thread's connection.
    opening = {"store/sqlite_file.py"}
    assert predicted - named - {"core/clock.py", "serving/counters.py"} - opening <= background
    with town(found(tmp_path / "town"), "late.retrain_when()", data=rides(60, change=None)) as living:
        living.live(2 * HOUR)
        at_us = int(living.clock.instant.timestamp() * 1_000_000)
        log: RecordLog[Outcomes] = RecordLog(living.system.journal / "outcomes", seal_after_s=0.0)
        log.append(
            Outcomes(model=MODEL, recorded_us=at_us, outcomes=[Outcome(id="ride-2885", value="true", known_us=at_us)])
        )
        living.clock.instant += HOUR
        with observed():
            living.round()
            living.round()
        assert reported | seen() >= walk(LABEL)


@pytest.mark.slow
def test_an_order(tmp_path: Path) -> None:
    out = tmp_path / "files"
    out.touch()
    data = rides(60, change=None)
    with observed(), town(found(tmp_path / "town"), "late.retrain_when()", data=data) as living:
        launcher = TracingLauncher(root=tmp_path / "town", out=out, environment={"PYTHONPATH": str(ROOT)})
        living.loop._launchers = lambda release: launcher
        living.loop._train = partial(Loop._train, living.loop)  # type: ignore[method-assign]
        living.live(2 * HOUR)
        give_order(living.system, MODEL, actor="ada", reason="to see")
        living.round()
        living.live_until_champion(2, within=2 * DAY)
    assert seen() | set(out.read_text().split()) >= walk(ORDER)
