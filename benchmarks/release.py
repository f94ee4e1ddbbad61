"""From `git push` to the verdict of the gates, on the simulated company, and what an unchanged lock costs.

The real system at level full: a hook gives the signal, the controller makes the release active, and a training by its
code follows. The first push builds the environment of its lock; the others change the trainer alone. Times are those of
the wall clock: the system takes its own from a replay, since the company's data ends in the past.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

from tests.releases.local_index import LocalIndex
from tests.releases.origin import git

from benchmarks.measure import DATA, Figure
from everfit.cli.demo_project import copy_of, running
from everfit.cli.demo_repository import WorkingCopy
from everfit.commands.rollouts import promote
from everfit.commands.train import train
from everfit.core.order import OrderRecord
from everfit.core.release import Release
from everfit.releases.hook import install_hook
from everfit.store.replay_clock import CLOCK_FILE, LeadingClock
from everfit.system import System
from everfit.triggers.signals import is_caused_by_release
from everfit.wiring import open_system

PUSHES = 3
"""With the lock of the first one."""
MODEL, ACTOR = "late_delivery", "bench"
FIRST = datetime(2026, 1, 22, 0, 6, tzinfo=UTC)
NOW = datetime(2026, 2, 3, 0, 6, tzinfo=UTC)
_LOOK_S = 0.02
_LONGEST_S = 600.0

T = TypeVar("T")


class Push(NamedTuple):
    """One push, in seconds from when `git push` was typed."""

    release: Release
    active: float
    verdict: float
    training: float
    """Of the process that trains, tunes and runs the gates."""
    load: float
    """Processes that wanted to run when it was pushed, by the system's average of one minute."""

    @property
    def without_training(self) -> float:
        return self.verdict - self.training


def run() -> list[Figure]:
    """Push a lock, then code under the same lock, several times."""
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA) as name:
        index = LocalIndex(Path(name) / "index")
        with _project(Path(name)) as (system, copy, clock):
            index.lock(copy.folder, ["tinylib==1.0"])
            git(copy.folder, "add", "--all")
            copy.commit("a lock")
            pushes, built = [], []
            for number in range(1 + PUSHES):
                before, after = 120 - number, 119 - number
                copy.replace("deliveries.py", {f"max_iter={before}": f"max_iter={after}"})
                copy.commit(f"{after} trees")
                pushes.append(_push(system, copy))
                built.append(_environment(system, pushes[-1].release))
                clock.advance(NOW + timedelta(hours=1 + number))
    return _figures(pushes, builds=len(set(built)))


def _figures(pushes: list[Push], *, builds: int) -> list[Figure]:
    first, *cached = pushes
    slowest = max(cached, key=lambda push: push.without_training)
    load = f"load {min(push.load for push in cached):.1f} to {max(push.load for push in cached):.1f}"
    return [
        Figure(
            name="release: from push to gates passed, training excluded, worst",
            value=slowest.without_training,
            unit="s",
            goal=60,
            reference=f"best {min(push.without_training for push in cached):.1f} s; with {slowest.training:.1f} s of "
            f"training and gates {slowest.verdict:.1f} s; {load}",
        ),
        Figure(
            name="release: from push to the active release, worst",
            value=max(push.active for push in cached),
            unit="s",
            goal=None,
            reference=f"best {min(push.active for push in cached):.1f} s; with the build of an environment "
            f"{first.active:.1f} s",
        ),
        Figure(
            name=f"release: environments built for {len(pushes)} pushes of one lock", value=builds, unit="", goal="<= 1"
        ),
    ]


@contextmanager
def _project(folder: Path) -> Iterator[tuple[System, WorkingCopy, LeadingClock]]:
    """The company's project with a champion, the system that watches its repository, and the time."""
    with copy_of("deliveries", folder) as root:
        copy = WorkingCopy(root)
        system = open_system(root)
        made = train(system, MODEL, as_of=FIRST, reason="the first one", actor=ACTOR)
        if made.version is None:
            raise RuntimeError(f"the first version must pass its gates: {made.report.failures}")
        promote(system, MODEL, made.version.version, actor=ACTOR, reason="the first one")
        with (
            LeadingClock(system.state / CLOCK_FILE) as clock,
            running(root, "up", "--replay", "--port", "0", log=system.state / "up.log") as service,
        ):
            clock.begin(NOW)
            service.url()
            settings = system.project.settings.releases
            install_hook(copy.repository, root, system.state, settings, interpreter=sys.executable)
            yield system, copy, clock


def _push(system: System, copy: WorkingCopy) -> Push:
    """Push, and wait until the version of the release has passed the gates."""
    commit, load = git(copy.folder, "rev-parse", "HEAD"), os.getloadavg()[0]
    began_s = time.time()
    pushing = threading.Thread(target=_read_all, args=(copy,))
    pushing.start()

    def released() -> Release | None:
        found = system.releases.of_commit(commit)
        return found if found is not None and found.ended else None

    release = _wait(released, "a release")
    active_s = time.time() - began_s
    if release.state != "active":
        raise RuntimeError(f"{release.name} must be active, but is {release.state}: {release.sentence}")

    def judged() -> OrderRecord | None:
        for record in system.orders.of(MODEL):
            if is_caused_by_release(record.order.cause, release.code) and (record.ended or record.version is not None):
                return record
        return None

    order = _wait(judged, "an order with a verdict")
    if order.version is None:
        raise RuntimeError(f"the gates must pass, but order {order.number} ended: {order.sentence}")
    pushing.join()
    (trained_s, training_s), (filed_s, _) = (_step(system, order.number, name) for name in ("train", "file"))
    if not began_s < trained_s < filed_s:
        raise RuntimeError("the steps of an order must follow its push")
    return Push(release=release, active=active_s, verdict=filed_s - began_s, training=training_s, load=load)


def _read_all(copy: WorkingCopy) -> None:
    with copy.push() as lines:
        for _ in lines:
            pass


def _step(system: System, order: int, name: str) -> tuple[float, float]:
    """End of a step, in seconds since 1970, and its length, by the durable workflow's own record."""
    query = (
        "select started_at_epoch_ms, completed_at_epoch_ms from operation_outputs"
        " where workflow_uuid = ? and function_name = ?"
    )

    def recorded() -> tuple[float, float] | None:
        with sqlite3.connect(f"file:{system.state / 'loop.db'}?mode=ro", uri=True) as database:
            rows = database.execute(query, (f"order/{order}", name)).fetchall()
        return (rows[0][1] / 1e3, (rows[0][1] - rows[0][0]) / 1e3) if rows else None

    return _wait(recorded, f"the step {name} on record")


def _environment(system: System, release: Release) -> tuple[str, int]:
    """Name of a release's environment, and when it was completed."""
    if not release.environment:
        raise RuntimeError(f"{release.name} must have an environment")
    return release.environment, (system.state / release.environment / ".complete").stat().st_mtime_ns


def _wait(look: Callable[[], T | None], what: str) -> T:
    deadline_s = time.monotonic() + _LONGEST_S
    while time.monotonic() < deadline_s:
        found = look()
        if found is not None:
            return found
        time.sleep(_LOOK_S)
    raise RuntimeError(f"there must be {what} within {_LONGEST_S:.0f} s")
