"""Durable workflows: results are recorded, what has ended is deleted after a while."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import Struct

from everfit.runtime.workflows import KEEP, Engine, Workflow, step

STEPS = 5


class Number(Struct, frozen=True, kw_only=True):
    number: int


def count(argument: Number) -> None:
    for place in range(STEPS):
        found = step(f"step {place}", lambda: Number(number=argument.number + 1), Number)
        assert found.number == argument.number + 1


def fail(argument: Number) -> None:
    raise ValueError(f"{argument.number} is no good")


COUNT = Workflow(name="count", argument=Number, run=count)
FAIL = Workflow(name="fail", argument=Number, run=fail)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with closing(Engine(f"sqlite:///{tmp_path}/loop.db", [COUNT, FAIL])) as engine:
        yield engine


def wait(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def run(engine: Engine, numbers: range) -> None:
    for number in numbers:
        engine.start(COUNT, f"count/{number}", Number(number=number))
    wait(lambda: all(engine.state(f"count/{number}") == "done" for number in numbers))


def rows(folder: Path) -> dict[str, int]:
    with closing(sqlite3.connect(folder / "loop.db")) as database:
        return {
            table: database.execute(f"select count(*) from {table}").fetchone()[0]
            for table in ("workflow_status", "operation_outputs")
        }


def test_a_key_is_started_once(engine: Engine) -> None:
    run(engine, range(1))
    engine.start(COUNT, "count/0", Number(number=7))
    assert engine.states("count/") == {"count/0": "done"}
    assert engine.state("count/1") is None


@pytest.mark.filterwarnings("ignore")
def test_a_failure_is_a_state(engine: Engine) -> None:
    engine.start(FAIL, "fail/3", Number(number=3))
    wait(lambda: engine.state("fail/3") == "failed")
    assert engine.stranded() == ()


def test_the_database_stays_as_large_as_what_is_kept(engine: Engine, tmp_path: Path) -> None:
    """Round after round of finished workflows fill the pages that the earlier ones left."""
    sizes = []
    for batch in range(4):
        run(engine, range(batch * 25, batch * 25 + 25))
        assert rows(tmp_path) == {"workflow_status": 25, "operation_outputs": 25 * STEPS}
        assert engine.prune() == 0, f"none is {KEEP} old"
        assert engine.prune(keep=timedelta(0)) == 25
        assert rows(tmp_path) == {"workflow_status": 0, "operation_outputs": 0}
        with closing(sqlite3.connect(tmp_path / "loop.db")) as database:
            sizes.append(database.execute("pragma page_count").fetchone()[0])
    assert max(sizes[1:]) <= 1.1 * sizes[0]
