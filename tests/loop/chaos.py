"""One life of a loop in which processes are killed, and what must be true of it in the end.

A release asks for a training; its version is tried in shadow and as a canary, promoted, watched and kept, all within
seconds, while callers ask without a pause. Meanwhile one or two processes are killed: each at a named point, or at some
instant, or all of them at once as in a power cut.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import psutil
from tests.loop import killing
from tests.loop.calling import Callers, free_port
from tests.loop.parcels import HONEST, MODEL

from everfit.core.order import OrderRecord
from everfit.core.rollout import Rollout
from everfit.journal.ship import ship
from everfit.journal.tables import scan_predictions
from everfit.system import System
from everfit.wiring import open_system

RELEASE = f"""
from pathlib import Path

import killing

killing.arm(Path(__file__).parent / ".everfit")

{HONEST}

late.roll_out(ef.Shadow(40), ef.Canary(0.5, 40), watch="2s")
"""
"""The same model, and a plan that is over in seconds."""

VICTIMS = {"controller": "controller", "training": "make-candidate", "worker": "worker"}
"""Whom chance may kill, by a word of the command."""
EVERYTHING = "everything"
LONGEST_S = 300.0
_AT_MOST = {"deployment-due": 4, "deployment-changed": 4, "rollout-moved": 3, "audit-due": 4, "audited": 4}
"""How often a life goes past a point that it comes to more than once."""
_TWICE = ("alias-due", "order-finished", "rows-shipped", "segments-deleted", "learn-started", "run-ended")


@dataclass(frozen=True)
class Kill:
    """One kill: at a point, or some seconds after the start."""

    point: str = ""
    victim: str = ""
    after_s: float = 0.0

    def __str__(self) -> str:
        return self.point or f"{self.victim} at {self.after_s:.1f} s"


def plan_kills(seed: int) -> tuple[Kill, ...]:
    """One or two kills; the first ones of a long series go through all points in turn."""
    random = np.random.default_rng(seed)
    names = sorted(killing.POINTS)
    first = _at_point(names[seed // 2 % len(names)], random) if seed % 2 == 0 else _by_chance(random)
    if random.random() < 0.5:
        return (first,)
    second = _at_point(str(random.choice(names)), random) if random.random() < 0.5 else _by_chance(random)
    return (first, second)


def _at_point(name: str, random: np.random.Generator) -> Kill:
    times = _AT_MOST.get(name, 2 if name in _TWICE else 1)
    return Kill(point=f"{name} {random.integers(1, times + 1)}")


def _by_chance(random: np.random.Generator) -> Kill:
    victim = str(random.choice([*VICTIMS, EVERYTHING]))
    return Kill(victim=victim, after_s=float(random.uniform(0.0, 12.0)))


@dataclass
class Life:
    """A copy of the project, the running system, its callers, and whoever kills.

    Args:
        folder: The project, with a champion.
        kills: What is to happen.
    """

    folder: Path
    kills: tuple[Kill, ...]
    port: int = field(default_factory=free_port)
    done: list[str] = field(default_factory=list)
    """The kills that took place."""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        shutil.copy(killing.__file__, self.folder / "killing.py")
        self.folder.joinpath("parcels.py").write_text(RELEASE)
        self._state = self.folder / ".everfit"
        points = [each.point for each in self.kills if each.point]
        self._state.joinpath(killing.PLAN).write_text("".join(f"{each}\n" for each in points))
        self.callers = Callers(self.port)
        self._processes: list[subprocess.Popen[bytes]] = []

    @cached_property
    def system(self) -> System:
        """A look at its stores from outside."""
        return open_system(self.folder)

    @property
    def log(self) -> str:
        """What the system printed."""
        return self._log.read_text()

    def live(self) -> None:
        """Begin, kill, and wait until the loop has come to its end all the same.

        Raises:
            AssertionError: If it does not in time, or does not end when it is told to.
        """
        began_s = time.monotonic()
        self._start()
        try:
            with self.callers:
                self._live(began_s)
        finally:
            self._stop()
        self.seconds = time.monotonic() - began_s
        with suppress(FileNotFoundError):
            self.done += self._state.joinpath(killing.DONE).read_text().splitlines()

    def _live(self, began_s: float) -> None:
        for kill in sorted((each for each in self.kills if each.victim), key=lambda each: each.after_s):
            while time.monotonic() < began_s + kill.after_s:
                time.sleep(0.01)
            self._kill(kill)
        while not self._over():
            assert time.monotonic() - began_s < LONGEST_S, f"it is not over: {self._where()}\n{self.log[-3000:]}"
            assert self._up.poll() is None, f"it ended: {self.log[-3000:]}"
            time.sleep(0.05)

    def orders(self) -> tuple[OrderRecord, ...]:
        """All there are."""
        return self.system.orders.of(MODEL)

    def rollouts(self) -> tuple[Rollout, ...]:
        """All there are."""
        return self.system.rollouts.of(MODEL)

    def _over(self) -> bool:
        orders, rollouts = self.orders(), self.rollouts()
        ended = all(each.ended for each in orders) and all(each.ended for each in rollouts)
        return bool(orders) and ended and not self._still_recording()

    def _still_recording(self) -> bool:
        """Whether the last deed is not in the audit yet: the ledger is written first, the audit last."""
        return any(each.history[-1].action not in self._deeds() for each in self.rollouts())

    def _deeds(self) -> list[str]:
        return [line.action for line in self.system.audit.read(MODEL)]

    def _where(self) -> str:
        return f"{[each.state for each in self.orders()]}, {[each.state for each in self.rollouts()]}, {self._deeds()}"

    @property
    def _log(self) -> Path:
        return self.folder / "up.log"

    @property
    def _up(self) -> subprocess.Popen[bytes]:
        return self._processes[-1]

    def _start(self) -> None:
        command = [sys.executable, "-m", "everfit", "up", "--port", str(self.port)]
        with self._log.open("ab") as log:
            process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        self._processes.append(process)

    def _stop(self) -> None:
        self._up.send_signal(signal.SIGTERM)
        try:
            code = self._up.wait(30)
        except subprocess.TimeoutExpired:
            _kill_all(self._up.pid)
            raise AssertionError(f"it does not end when it is told to: {self.log[-2000:]}") from None
        assert code == 0, self.log[-2000:]

    def _kill(self, kill: Kill) -> None:
        if kill.victim == EVERYTHING:
            _kill_all(self._up.pid)
            self._up.wait()
            self.done.append(str(kill))
            self._start()
            return
        word = VICTIMS[kill.victim]
        for each in psutil.Process(self._up.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if word in each.cmdline():
                    each.kill()
                    self.done.append(str(kill))
                    return


def _kill_all(number: int) -> None:
    """As a power cut does."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(number)
        below = process.children(recursive=True)
        for each in (process, *below):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(below, timeout=10)


def assert_whole(life: Life) -> None:
    """Every order was done once, the records agree, and every answer is in the log once."""
    system = life.system
    orders, rollouts = life.orders(), life.rollouts()
    causes = Counter(each.order.cause for each in orders)
    assert set(causes.values()) == {1}, causes
    [order] = orders
    assert order.state == "shipped", order.sentence
    versions = {each.version: each for each in system.registry.versions(MODEL)}
    assert set(versions) == {1, 2}
    assert order.version == 2
    # Without its gate report it would be no version at all; the report is its run's.
    assert system.registry.passed_gates(versions[2])
    assert system.registry.run_of_order(MODEL, order.number) == versions[2].run_id == order.run_id
    [rollout] = rollouts
    assert (rollout.version, rollout.previous, rollout.state) == (2, 1, "kept")
    moves = [each.action for each in rollout.history]
    assert moves == ["begin", "next", "promote", "keep"]
    deeds = Counter(line.action for line in system.audit.read(MODEL) if line.version == 2)
    assert deeds == Counter(moves), deeds
    champion = system.registry.champion(MODEL)
    deployed = system.deployment.of(MODEL)
    assert champion is not None
    assert deployed is not None
    assert champion.version == deployed.champion.version == 2
    assert (deployed.canary, deployed.shadow) == (None, None)
    changes = [each for each in system.registry.history(MODEL) if each.alias == "champion" and each.version == 2]
    assert len(changes) == 1, changes
    assert life.callers.answered
    assert not life.callers.refusals, life.callers.refusals[0]
    ship(system.journal, system.lake)
    logged = (
        scan_predictions(system.lake, system.journal, MODEL)
        .filter(pl.col("route") != "shadow")
        .select("id", "version")
        .collect()
    )
    found = Counter(logged["id"].to_list())
    assert max(found.values()) == 1
    assert set(life.callers.answered) <= set(found)
    said = dict(zip(logged["id"].to_list(), logged["version"].to_list(), strict=True))
    assert all(said[each] == version for each, version in life.callers.answered.items())
