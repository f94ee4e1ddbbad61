"""Releases in rounds, in process: real git, ledger and engine; a commit is pushed, released, trained and judged."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.design.records import FRONT, design
from tests.loop.town import DAY, HOUR, MODEL, Town, definitions, found, rides, town
from tests.releases.origin import Origin, git
from tests.serving.test_deployment import wait_for

from everfit.commands.releases import ask_release, cancel_release, leave_releases
from everfit.commands.rollouts import roll_back
from everfit.core.errors import MisuseError, ReleaseError
from everfit.core.release import Release
from everfit.loop.release_activation import folder_of
from everfit.loop.release_step import delete_working_folders
from everfit.store.active_release import ActiveRelease, active_release, change_active, read_active, write_release
from everfit.store.look_signal import signal_look

SAME = rides(60, change=None)
POLICY = "late.retrain_when(ef.Every('3650d'))\n"
LEVEL = """
[loop]
level = "full"

[releases]
repository = "../origin.git"
poll_seconds = 0.2
"""
LEARNS = "X, y = X[-100:], y[-100:]"
"""Line of the trainer that pushes change."""
BETTER = "X, y = X[-500:], y[-500:]"
DESIGN = design(FRONT.replace("source: orders", "source: rides"))


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found(tmp_path_factory.mktemp("town") / "first")


@pytest.fixture
def folder(founded: Path, tmp_path: Path) -> Path:
    """Return a copy of a project with version 1 as its champion, at level full."""
    copy = Path(shutil.copytree(founded, tmp_path / "town"))
    settings = copy / "everfit.toml"
    settings.write_text(settings.read_text() + LEVEL)
    return copy


@pytest.fixture
def origin(folder: Path) -> Origin:
    """Return the source repository, which has no commit yet."""
    made = Origin(folder.parent / "origin.git")
    made.folder.mkdir()
    git(made.folder, "init", "--quiet", "--bare", "--initial-branch=main")
    return made


def push(origin: Origin, folder: Path, change: str = "", *, subject: str = "change", **files: str) -> str:
    """Push the project's files, with a change of the trainer; return the commit."""
    code = definitions(POLICY).replace(LEARNS, change or LEARNS)
    content = {
        "everfit.toml": folder.joinpath("everfit.toml").read_bytes(),
        "town.py": code.encode(),
        "design.md": DESIGN.encode(),
    }
    more = {name.replace("_", "."): text.encode() for name, text in files.items()}
    return origin.commit(content | more, message=f"{subject}\n")


@contextmanager
def living(folder: Path, *, in_replay: bool = False) -> Iterator[Town]:
    with town(folder, POLICY, data=SAME, in_replay=in_replay) as opened:
        yield opened


def rounds_until(opened: Town, number: int, *states: str, seconds: float = 60) -> Release:
    """Make rounds until a release is in one of the states; return it."""
    until_s = time.monotonic() + seconds
    while True:
        opened.round()
        known = {release.number: release for release in opened.system.releases.all()}
        if number in known and known[number].state in states:
            return known[number]
        assert time.monotonic() < until_s, (known, opened.system.incidents.of(MODEL))
        time.sleep(0.05)


def problem(opened: Town) -> str:
    """Sentences of open incidents of the loop itself."""
    found = opened.system.incidents.of(MODEL, since=opened.clock.instant)
    return " ".join(
        incident.finding.sentence
        for incident in found
        if incident.resolved_at is None and incident.finding.kind == "loop_trouble"
    )


def test_a_push_is_released_trained_and_the_champion(folder: Path, origin: Origin) -> None:
    with living(folder) as first:
        commit = push(origin, folder, BETTER, subject="better trainer")
        release = rounds_until(first, 1, "active")
        assert (release.commit, release.subject, release.actor) == (commit, "better trainer", "watch")
        assert {step.outcome for step in release.steps} == {"passed", "skipped"}, "there are no tests"
        assert not list(folder.joinpath(".everfit", "releases", "1").glob("*/*/")), "what the trial worked in"
        first.round()
        assert first.loop.makes_way(), "the controller ends for one in the release"
        assert not first.orders, "nothing new is begun in the code of before"
    active = active_release(folder / ".everfit")
    assert active is not None
    assert (active.number, active.commit) == (1, commit)
    with living(folder) as second:
        assert second.system.project.commit == commit
        second.round()
        assert not second.loop.makes_way()
        assert (
            second.orders[0].order.reason
            == f"The code of release 1 ({commit[:7]}: better trainer) is not that of version 1."
        )
        second.live_until_champion(2, within=2 * DAY)
        assert second.orders[0].state == "shipped"
        assert second.system.releases.one(1).state == "active"
        lineage = second.system.registry.version(MODEL, 2)
        assert lineage.version == 2


def test_a_push_that_changes_no_code_does_nothing(folder: Path, origin: Origin) -> None:
    push(origin, folder, BETTER)
    with living(folder) as first:
        rounds_until(first, 1, "active")
        push(origin, folder, BETTER, README_md="Read me.")
        unchanged = rounds_until(first, 2, "unchanged")
        assert unchanged.sentence.startswith("Nothing that matters changed: its code and design are those of release 1")
        assert read_active(folder / ".everfit").number == 1


def test_of_commits_that_wait_the_newest_wins(folder: Path, origin: Origin) -> None:
    with living(folder) as first:
        for number in range(3):
            push(origin, folder, f"X, y = X[-{500 + number}:], y[-{500 + number}:]")
            ask_release(first.system, "", actor="ada", reason="", again=False)
        newest = rounds_until(first, 3, "active")
        assert newest.steps
        for number in (1, 2):
            older = first.system.releases.one(number)
            assert (older.state, older.steps) == ("superseded", ())
            assert older.sentence == f"Superseded by {newest.name}."


def test_a_refused_commit_changes_nothing_and_is_tried_again_on_demand(folder: Path, origin: Origin) -> None:
    with living(folder) as first:
        commit = origin.commit({"README.md": b"No project."}, message="oops\n")
        refused = rounds_until(first, 1, "refused")
        assert refused.sentence.startswith("tree: ")
        assert "everfit.toml" in refused.sentence
        assert read_active(folder / ".everfit").number == 0
        log = folder / ".everfit" / refused.steps[-1].log
        assert "everfit.toml" in log.read_text()
        signal_look(first.system.state)
        time.sleep(0.5)
        first.round()
        assert first.system.releases.all() == (refused,)
        with pytest.raises(ReleaseError, match=rf"everfit release {commit[:7]} --again"):
            ask_release(first.system, commit, actor="ada", reason="", again=False)
        ask_release(first.system, commit, actor="ada", reason="I insist", again=True)
        again = rounds_until(first, 1, "refused")
        assert [(step.step, step.attempt, step.run) for step in again.steps] == [("tree", 1, 1), ("tree", 2, 2)]


@pytest.mark.slow
def test_in_a_replay_only_a_signal_makes_it_look(folder: Path, origin: Origin) -> None:
    commit = push(origin, folder)
    with living(folder, in_replay=True) as replayed:
        time.sleep(1)
        replayed.round()
        assert not replayed.system.releases.all(), "the replay is one of the folder's code"
        signal_look(replayed.system.state)
        assert rounds_until(replayed, 1, "active").commit == commit
    push(origin, folder, BETTER)
    with living(folder, in_replay=True) as again:
        assert rounds_until(again, 2, "running", "active"), "the signal may have been given while no controller ran"


def test_trouble_with_the_repository_is_a_finding_until_it_works_again(folder: Path, origin: Origin) -> None:
    hidden = origin.folder.rename(folder.parent / "elsewhere")
    with living(folder) as first:
        until_s = time.monotonic() + 20
        while "could not be looked at" not in problem(first):
            assert time.monotonic() < until_s
            first.round()
            time.sleep(0.1)
        hidden.rename(origin.folder)
        push(origin, folder, BETTER)
        rounds_until(first, 1, "active")
        first.round()
        assert not problem(first)


@pytest.mark.slow
def test_a_forced_push_and_a_deleted_branch_are_on_record(folder: Path, origin: Origin) -> None:
    with living(folder) as first:
        before = push(origin, folder, BETTER)
        rounds_until(first, 1, "active")
        origin.git("update-ref", "-d", "refs/heads/main")
        until_s = time.monotonic() + 20
        while not [line for line in first.system.audit.read() if line.action == "deleted branch"]:
            assert time.monotonic() < until_s
            first.round()
            time.sleep(0.05)
        assert "was deleted" in first.system.audit.read()[0].reason
        assert first.system.releases.one(1).state == "active"
        after = push(origin, folder, "X, y = X[-700:], y[-700:]")
        rounds_until(first, 2, "active")
        origin.git("update-ref", "refs/heads/main", before)
        rounds_until(first, 1, "active")
        (line,) = [line for line in first.system.audit.read() if line.action == "rewritten branch"]
        assert line.actor == "watch"
        assert f"main was moved to {before[:7]}, which does not contain {after[:7]} (a forced push)." in line.reason
        assert first.system.releases.one(2).state == "retired"


def test_a_release_whose_candidate_is_refused_is_taken_back(folder: Path, origin: Origin) -> None:
    with living(folder) as first:
        # It predicts the opposite.
        push(origin, folder, "X, y = X[-100:], 1 - y[-100:]", subject="upside down")
        rounds_until(first, 1, "active")
    with living(folder) as second:
        taken = rounds_until(second, 1, "taken_back")
        assert taken.sentence.startswith("late: order 2: The candidate was refused:")
        assert second.champion == 1
        second.round()
        assert second.loop.makes_way()
    assert active_release(folder / ".everfit") is None
    with living(folder) as third:
        third.live(2 * HOUR)
        assert len(third.orders) == 1
        push(origin, folder, "X, y = X[-100:], 1 - y[-100:]", README_md="Read me.")
        unchanged = rounds_until(third, 2, "unchanged")
        assert unchanged.sentence.endswith("which was taken back.")


def test_a_person_s_rollback_takes_the_release_back(folder: Path, origin: Origin) -> None:
    push(origin, folder, BETTER)
    with living(folder) as first:
        rounds_until(first, 1, "active")
    with living(folder) as second:
        second.live_until_champion(2, within=2 * DAY)
        roll_back(second.system, MODEL, actor="ada", reason="complaints")
        taken = rounds_until(second, 1, "taken_back")
        assert taken.sentence == "late: version 2: ada took it back: complaints."
        assert len(second.orders) == 1
        assert second.champion == 1


def test_a_person_leaves_and_cancels(folder: Path, origin: Origin) -> None:
    push(origin, folder, BETTER)
    with living(folder) as first:
        rounds_until(first, 1, "active")
        left = leave_releases(first.system, actor="ada", reason="to try something")
        assert (left.state, left.sentence) == ("retired", "ada left it: to try something.")
        assert active_release(folder / ".everfit") is None
        with pytest.raises(MisuseError, match="there must be an active release"):
            leave_releases(first.system, actor="ada", reason="")
        first.round()
        assert first.system.releases.one(1).state == "retired", "the branch has not changed"
        push(origin, folder, "X, y = X[-700:], y[-700:]")
        asked = ask_release(first.system, "main", actor="ada", reason="", again=False)
        assert cancel_release(first.system, asked.number, actor="ada", reason="no").state == "cancelled"
        with pytest.raises(MisuseError, match="not ended"):
            cancel_release(first.system, asked.number, actor="ada", reason="really")
        wait_for(first.loop.wants_round)
        first.round()
        assert first.system.releases.one(asked.number).state == "cancelled"


def test_a_release_that_was_given_back_by_the_supervisor_is_taken_back(folder: Path, origin: Origin) -> None:
    push(origin, folder, BETTER)
    with living(folder) as first:
        rounds_until(first, 1, "active")
    back = ActiveRelease(number=0, given_back=1, reason="The controller could not start in its code.")
    change_active(folder / ".everfit", lambda present: back)
    with living(folder) as second:
        second.round()
        taken = second.system.releases.one(1)
        assert (taken.state, taken.sentence) == ("taken_back", "The controller could not start in its code.")
        assert read_active(folder / ".everfit") == ActiveRelease()
        assert second.system.releases.active() is None
        (line,) = [line for line in second.system.audit.read() if line.action == "take_back_release"]
        assert line.actor == "policy"


def test_the_audit_follows_the_ledger_after_a_kill(folder: Path, origin: Origin) -> None:
    push(origin, folder, BETTER)
    with living(folder) as first:
        system, now = first.system, first.clock.instant
        ask_release(system, "main", actor="ada", reason="", again=False)
        system.releases.begin(1, now=now)
        tree = system.state / "tree"
        tree.mkdir()
        for name in ("everfit.toml", "town.py"):
            shutil.copyfile(folder / name, tree / name)
        system.releases.describe(1, tree="tree")
        step = system.releases.begin_step(1, "activate", now=now)
        system.releases.end_step(1, "activate", step.attempt, outcome="passed", sentence="All passed.", now=now)
        write_release(system.state, folder_of(system.releases.one(1)))
        system.releases.activate(1, sentence="All passed.", now=now)
    with living(folder) as second:
        assert second.system.audit.read()[0].action == "release"
        assert read_active(folder / ".everfit").number == 1
        second.system.releases.take_back(1, sentence="In vain.", now=second.clock.instant)
    for _ in range(2):
        with living(folder) as third:
            actions = [line.action for line in third.system.audit.read() if not line.model]
            assert actions == ["take_back_release", "release", "ask_release"]
            assert read_active(folder / ".everfit").number == 0


def test_of_a_trial_results_and_logs_stay(folder: Path, origin: Origin) -> None:
    """A link that the code has left is not followed."""
    push(origin, folder, BETTER)
    with living(folder) as first:
        elsewhere, trial = folder / "elsewhere", folder / ".everfit" / "releases" / "1" / "trial-1"
        for made in (elsewhere / "data", trial / "scratch" / "closed"):
            made.mkdir(parents=True)
        (trial / "scratch" / "closed").chmod(0)
        elsewhere.chmod(0o750)
        (trial / "link").symlink_to(elsewhere)
        (trial / "check.log").write_text("fine")
        (trial.parent / "environment-1").mkdir()
        (trial.parent / "environment-1.log").write_text("fine")
        delete_working_folders(first.system, 1)
        assert sorted(path.name for path in trial.parent.iterdir()) == ["environment-1.log", "trial-1"]
        assert sorted(path.name for path in trial.iterdir()) == ["check.log", "link"]
        assert (elsewhere / "data").is_dir()
        assert elsewhere.stat().st_mode & 0o777 == 0o750


def test_a_release_that_another_process_left_goes_on(folder: Path, origin: Origin) -> None:
    """As after a kill: the record says that it runs, with an attempt at a step that never ended."""
    commit = push(origin, folder, BETTER)
    with living(folder) as first:
        wait_for(first.loop.wants_round)
        system, now = first.system, first.clock.instant
        ask_release(system, commit, actor="ada", reason="", again=False)
        system.releases.begin(1, now=now)
        system.releases.begin_step(1, "tree", now=now)
        release = rounds_until(first, 1, "active")
        interrupted, again, *_ = release.steps
        assert (interrupted.step, interrupted.attempt, interrupted.outcome) == ("tree", 1, None)
        assert (again.step, again.attempt, again.outcome) == ("tree", 2, "passed")
