"""The releases of a ledger: one per commit, each state reached once, every attempt kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from everfit.core.errors import MisuseError, StoreError
from everfit.core.release import REJECTED, FeatureChange, Release, ReleaseState
from everfit.releases.releases import Releases
from everfit.store.ledger import RELEASES, open_ledger

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def minute(number: float) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=number)


def commit(letter: str, **more: Any) -> Release:
    given: dict[str, Any] = {"ref": "refs/heads/main", "asked_at": NOON, "actor": "watch", "number": 0}
    return Release(commit=letter * 40, subject=f"change {letter}", **given | more)


@pytest.fixture
def ledger(tmp_path: Path) -> sa.Engine:
    return open_ledger(f"sqlite:///{tmp_path}/ledger.db")


@pytest.fixture
def releases(ledger: sa.Engine) -> Releases:
    return Releases(ledger)


def activated(releases: Releases, letter: str, at: float) -> Release:
    """A commit that became the active release."""
    number = releases.ask(commit(letter)).number
    releases.begin(number, now=minute(at))
    return releases.activate(number, sentence="All passed.", now=minute(at))


def test_a_release_goes_its_way(releases: Releases) -> None:
    asked = releases.ask(commit("a"))
    assert (asked.number, asked.state, asked.runs, asked.ended) == (1, "waiting", 0, False)
    begun = releases.begin(1, now=minute(1))
    assert (begun.state, begun.started_at, begun.runs) == ("running", minute(1), 1)
    tree = releases.begin_step(1, "tree", now=minute(2))
    assert (tree.attempt, tree.run, tree.log) == (1, 1, "releases/1/tree-1.log")
    releases.end_step(1, "tree", 1, outcome="passed", sentence="12 files.", now=minute(3))
    change = FeatureChange(feature="rain", change="added", sentence="rain is new.")
    releases.describe(1, code="sha256:a", tree="releases/trees/a", features=(change,))
    releases.describe(1, environment="releases/environments/e")
    active = releases.activate(1, sentence="All passed.", now=minute(4))
    assert (active.state, active.activated_at, active.ended_at) == ("active", minute(4), minute(4))
    assert (active.code, active.tree, active.environment) == ("sha256:a", "releases/trees/a", "releases/environments/e")
    assert active.features == (change,)
    step = active.step("tree")
    assert step is not None
    assert (step.outcome, step.sentence, step.ended_at) == ("passed", "12 files.", minute(3))
    assert releases.active() == active == releases.of_commit("a" * 40)
    assert active.name == "release 1 (aaaaaaa: change a)"


def test_a_verdict_ends_step_and_release_at_once(releases: Releases, caplog: pytest.LogCaptureFixture) -> None:
    """Were they two transactions, a process that is killed in between would leave a verdict that is tried again."""
    caplog.set_level("INFO")
    releases.ask(commit("a"))
    releases.begin(1, now=minute(1))
    verdict = {"outcome": "refused", "sentence": "1 test failed.", "ends_release": True}
    for attempt in (1, 2):
        releases.begin_step(1, "tests", now=minute(2))
        killed = attempt == 1
        given = {"outcome": "failed", "sentence": "Killed."} if killed else verdict
        ended = releases.end_step(1, "tests", attempt, **given, now=minute(3))
        assert ended.state == ("running" if killed else "refused")
    assert (ended.sentence, ended.ended_at) == ("tests: 1 test failed.", minute(3))
    assert releases.end_step(1, "tests", 2, **verdict, now=minute(4)) == ended  # type: ignore[arg-type]
    step, release = caplog.messages[-2:]
    assert step == "release 1: tests refused: 1 test failed."
    assert release.endswith("was refused: tests: 1 test failed.")
    assert releases.ask(commit("b")).number == 2
    releases.begin(2, now=minute(5))
    releases.begin_step(2, "tests", now=minute(5))
    releases.finish(2, state="cancelled", sentence="ada cancelled it.", now=minute(6))
    late = releases.end_step(2, "tests", 1, **verdict, now=minute(7))  # type: ignore[arg-type]
    assert (late.state, late.sentence) == ("cancelled", "ada cancelled it.")


def test_a_step_done_twice_changes_nothing(releases: Releases) -> None:
    asked = releases.ask(commit("a"))
    assert releases.ask(commit("a", ref="refs/heads/other", actor="ada")) == asked
    begun = releases.begin(1, now=minute(1))
    assert releases.begin(1, now=minute(2)) == begun == releases.ask(commit("a"), again=True)
    active = releases.activate(1, sentence="All passed.", now=minute(3))
    assert releases.activate(1, sentence="Again.", now=minute(4)) == active
    assert releases.finish(1, state="failed", sentence="Too late.", now=minute(5)) == active
    back = releases.take_back(1, sentence="Worse.", now=minute(6))
    assert releases.take_back(1, sentence="Much worse.", now=minute(7)) == back
    assert releases.active() is None


def test_many_who_ask_at_once_get_one_release(ledger: sa.Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = set(pool.map(lambda _: Releases(ledger).ask(commit("a")).number, range(32)))
    assert len(numbers) == 1
    with ledger.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(RELEASES)).scalar() == 1


def test_changes_at_the_same_time_are_all_kept(ledger: sa.Engine) -> None:
    """A lost update would lose an attempt."""
    Releases(ledger).ask(commit("a"))
    Releases(ledger).begin(1, now=NOON)
    with ThreadPoolExecutor(8) as pool:
        attempts = list(pool.map(lambda _: Releases(ledger).begin_step(1, "tests", now=NOON).attempt, range(24)))
    assert len(Releases(ledger).one(1).steps) == 24
    assert max(attempts) == 24


@pytest.mark.parametrize("ended", ["superseded", "cancelled", "unchanged", *REJECTED])
def test_a_commit_that_was_judged_is_only_tried_again_on_demand(releases: Releases, ended: ReleaseState) -> None:
    releases.ask(commit("a"))
    releases.begin(1, now=minute(1))
    releases.begin_step(1, "tree", now=minute(1))
    if ended == "taken_back":
        releases.take_back(1, sentence="Why.", now=minute(2))
    else:
        releases.finish(1, state=ended, sentence="Why.", now=minute(2))
    if ended == "cancelled":
        assert releases.ask(commit("a", asked_at=minute(3))).state == "cancelled", "the watch respects it"
    asked = releases.ask(commit("a", actor="ada", asked_at=minute(3)))
    assert asked.state == (ended if ended in REJECTED else "waiting")
    again = releases.ask(commit("a", actor="ada", reason="the disk was full", asked_at=minute(4)), again=True)
    assert (again.number, again.state, again.sentence, again.ended_at) == (1, "waiting", "", None)
    assert again.actor == "ada"
    assert releases.begin(1, now=minute(5)).runs == 2
    assert releases.one(1).step("tree") is None, "the first run's does not count"
    assert releases.begin_step(1, "tree", now=minute(5)).attempt == 2
    assert [record.run for record in releases.one(1).steps] == [1, 2]


def test_the_first_end_of_an_attempt_counts(releases: Releases) -> None:
    releases.ask(commit("a"))
    releases.begin(1, now=minute(1))
    releases.begin_step(1, "tests", now=minute(1))
    releases.begin_step(1, "tests", now=minute(2))
    releases.end_step(1, "tests", 2, outcome="refused", sentence="2 failed.", now=minute(3))
    releases.end_step(1, "tests", 2, outcome="passed", sentence="Or not.", now=minute(4))
    interrupted, refused = releases.one(1).steps
    assert (interrupted.outcome, interrupted.ended_at) == (None, None)
    assert (refused.outcome, refused.sentence) == ("refused", "2 failed.")


def test_one_release_is_active_and_the_one_before_it_comes_back(releases: Releases) -> None:
    first, second = activated(releases, "a", 1), activated(releases, "b", 2)
    assert (first.previous, second.previous) == (0, 1)
    assert releases.one(1).state == "retired"
    assert releases.one(1).sentence == "Replaced by release 2 (bbbbbbb: change b)."
    taken = releases.take_back(2, sentence="Its version was worse.", now=minute(3))
    assert (taken.state, taken.sentence) == ("taken_back", "Its version was worse.")
    active = releases.active()
    assert active is not None
    assert (active.number, active.activated_at) == (1, minute(1))
    assert active.sentence == "Active again, since release 2 (bbbbbbb: change b) was taken back."


def test_what_is_taken_back_before_it_was_active_leaves_the_active_one(releases: Releases) -> None:
    activated(releases, "a", 1)
    releases.ask(commit("b"))
    releases.begin(2, now=minute(2))
    releases.take_back(2, sentence="Its controller could not start.", now=minute(3))
    assert releases.active() == releases.one(1)
    assert releases.activate(2, sentence="All passed.", now=minute(4)).state == "taken_back"


def test_a_person_leaves_the_releases(releases: Releases) -> None:
    assert releases.leave(sentence="Nothing to leave.") is None
    activated(releases, "a", 1)
    left = releases.leave(sentence="ada left it: to try something.")
    assert left is not None
    assert left.state == "retired"
    assert releases.active() is None
    assert activated(releases, "b", 2).previous == 0


def test_mistakes_are_named(releases: Releases) -> None:
    with pytest.raises(StoreError, match="a release with that number, but got 7"):
        releases.begin(7, now=NOON)
    releases.ask(commit("a"))
    with pytest.raises(MisuseError, match="a state that ends it, but got 'active'"):
        releases.finish(1, state="active", sentence="", now=NOON)
    with pytest.raises(MisuseError, match="only a running release has steps to begin, but got 'waiting'"):
        releases.begin_step(1, "tree", now=NOON)


def test_folders_that_were_deleted_and_made_again_are_on_record(releases: Releases) -> None:
    first, second = (activated(releases, letter, at).number for letter, at in (("a", 1), ("b", 2)))
    running = releases.ask(commit("c")).number
    releases.begin(running, now=minute(3))
    assert releases.collect(running, now=minute(4)).collected_at is None, "it has not ended"
    assert releases.collect(first, now=minute(4)).collected_at == minute(4)
    assert releases.collect(first, now=minute(5)).collected_at == minute(4)
    restored = releases.restore(first, environment="releases/environments/other")
    assert (restored.state, restored.collected_at) == ("retired", None)
    assert restored.environment == "releases/environments/other"
    releases.collect(first, now=minute(6))
    assert releases.ask(commit("a")).collected_at is None, "all of its steps begin again"
    assert releases.active() == releases.one(second)
