"""What the ledger keeps of rollouts, and of who did what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from tests.delivery.situation import DAY, HOUR, PLAN, START, evidence

from everfit.core.errors import MisuseError, StoreError
from everfit.core.rollout import Rollout
from everfit.definitions.rollout import RolloutPlan
from everfit.delivery import manual_steps
from everfit.delivery.audit import Audit, AuditLine
from everfit.delivery.rollouts import Rollouts
from everfit.delivery.state_machine import advance
from everfit.store.ledger import open_ledger


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    engine = open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    yield engine
    engine.dispose()


def begin(rollouts: Rollouts, version: int = 4, **more: Any) -> Rollout:
    known: dict[str, Any] = {"previous": 3, "plan": PLAN, "cause": "it passed its gates", "now": START}
    return rollouts.begin("late", version, **(known | more))


def test_a_rollout_begins_once_and_is_read_as_it_was_written(engine: sa.Engine) -> None:
    rollouts = Rollouts(engine)
    first = begin(rollouts, order=7)
    assert (first.number, first.state, first.stage, first.order) == (1, "shadow", 0, 7)
    assert begin(rollouts, order=7, now=START + DAY) == first
    assert rollouts.of("late") == (first,)
    assert rollouts.running("late") == first
    assert rollouts.running("other") is None
    waiting = begin(rollouts, 5, plan=RolloutPlan(approval="required"))
    assert (waiting.state, waiting.share) == ("waiting_approval", 0.0)


def test_a_newer_version_supersedes_the_one_that_is_on_its_way(engine: sa.Engine) -> None:
    rollouts = Rollouts(engine)
    begin(rollouts)
    newer = begin(rollouts, 5, now=START + HOUR)
    before, after = rollouts.of("late")
    assert (before.state, before.history[-1].sentence) == ("superseded", "Version 5 is rolled out in its place.")
    assert rollouts.running("late") == after == newer
    # Another model's goes on beside it, and what ended may be tried again, unless it was for the same order.
    other = rollouts.begin("early", 4, previous=3, plan=PLAN, cause="so", now=START, order=1)
    rollouts.apply(other.number, manual_steps.roll_back(other, actor="ada", reason="no"), now=START)
    assert rollouts.begin("early", 4, previous=3, plan=PLAN, cause="so", now=START, order=1).number == other.number
    assert rollouts.begin("early", 4, previous=3, plan=PLAN, cause="so", now=START, order=2).number == 4


def test_a_step_is_carried_out_once_unless_another_was_quicker(engine: sa.Engine) -> None:
    rollouts = Rollouts(engine)
    own = begin(rollouts)
    step = advance(own, PLAN, evidence(100), START + HOUR)
    paused = rollouts.apply(own.number, manual_steps.pause(own, actor="ada", reason="a fair"), now=START + HOUR)
    assert rollouts.apply(own.number, step, now=START + HOUR) == paused
    resumed = rollouts.apply(own.number, manual_steps.resume(paused, actor="ada", reason="over"), now=START + HOUR)
    step = advance(resumed, PLAN, evidence(100), START + 3 * HOUR)
    done = rollouts.apply(own.number, step, now=START + 3 * HOUR)
    assert (done.state, done.stage, done.share) == ("canary", 1, 0.1)
    assert rollouts.apply(own.number, step, now=START + 4 * HOUR) == done
    assert [line.action for line in done.history] == ["begin", "pause", "resume", "next"]
    stays = advance(done, PLAN, evidence(), START + 4 * HOUR)
    assert rollouts.apply(own.number, stays, now=START + 4 * HOUR) == done
    ended = rollouts.apply(own.number, manual_steps.roll_back(done, actor="ada", reason="no"), now=START + DAY)
    assert ended.state == "refused"
    assert rollouts.running("late") is None
    with pytest.raises(MisuseError, match="only a rollout that goes on"):
        manual_steps.roll_back(ended, actor="ada", reason="again")
    with pytest.raises(StoreError, match="with that number"):
        rollouts.apply(99, step, now=START)


def test_the_audit_keeps_every_deed_once_and_tells_the_newest_first(engine: sa.Engine) -> None:
    audit = Audit(engine)
    promoted = AuditLine(at=START, actor="ada", action="promote", model="late", version=4, reason="a fair")
    other = AuditLine(at=START, actor="policy", action="keep", model="early", reason="no worse")
    for line in (promoted, other, promoted):
        audit.append(**{name: value for name, value in msgspec.structs.asdict(line).items() if name != "details"})
    assert audit.read() == (other, promoted)
    assert audit.read("late") == (promoted,)
    assert audit.read(limit=1) == (other,)
