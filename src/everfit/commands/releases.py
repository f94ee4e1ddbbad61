"""Releases by hand: a commit is released, followed, cancelled; the releases are left.

None of this needs the project's definitions: its code may be what is broken.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msgspec import Struct

from everfit.core.errors import MisuseError, ReleaseError
from everfit.core.release import REJECTED, Release, StepRecord
from everfit.loop import release_activation, release_job
from everfit.loop.health import describe
from everfit.loop.release_activation import record
from everfit.loop.release_watch import release_of_commit
from everfit.releases.mirror import open_mirror
from everfit.store.controller_report import is_alive, read_controller_report
from everfit.store.leadership import Leadership
from everfit.store.left_file import read_left_file
from everfit.store.look_signal import signal_look
from everfit.system import System

_POLL_S = 0.1
_LONGEST_WAIT_S = 60.0
"""For the watch to find a commit."""
_LEAST_ID = 7
"""Digits of the shortest commit id; a number of fewer is a release's."""
_LOG_BYTES = 16 * 1024
"""Of the end of each log; the files hold all of it."""

_log = logging.getLogger(__name__)


class StepLog(Struct, frozen=True, kw_only=True):
    """One attempt at a step, with the end of its log."""

    record: StepRecord
    log_file: str | None = None
    """``None`` if nothing was printed."""
    log: str = ""


class ReleaseDetails(Struct, frozen=True, kw_only=True):
    """One release with the logs of its steps."""

    release: Release
    steps: tuple[StepLog, ...]


def ask_release(system: System, ref: str, *, actor: str, reason: str, again: bool) -> Release:
    """Record that the commit that a ref names is to be released; an empty ref is the watched branch.

    Raises :class:`RepositoryError` if there is no such commit, and :class:`ReleaseError` if it was rejected before and
    is not wanted ``again``.
    """
    settings, now = system.project.settings.releases, system.clock.now()
    wanted = ref or settings.branch
    commit = open_mirror(system.project.root, system.state, settings).resolve(wanted)
    release = release_of_commit(commit, ref=wanted, actor=actor, now=now, reason=reason)
    asked = system.releases.ask(release, again=again)
    if asked.state in REJECTED:
        rule = f"a commit that was rejected is only tried again on demand: {asked.sentence}"
        remedy = f"Release another commit, or this one again: everfit release {commit.id[:7]} --again."
        raise ReleaseError(rule, value=asked.name, remedy=remedy)
    if asked.state == "waiting":
        record(system, "ask_release", asked, at=asked.asked_at, actor=actor, reason=reason)
    signal_look(system.state)
    return asked


@contextmanager
def dry_run(system: System, ref: str, *, actor: str) -> Iterator[Release]:
    """Carry out the steps of a release of the commit that a ref names, by default HEAD, but do not activate it.

    It is carried out in a thread, and stopped at the end of the context. Raises :class:`RepositoryError` if there is no
    such commit.

    Args:
        system: Its state folder and its stores are the run's own; see :func:`everfit.wiring.open_dry_run`.
    """
    asked = ask_release(system, ref or "HEAD", actor=actor, reason="dry run", again=False)
    thread = _start(system, asked.number, lambda: release_job.dry_run(system, asked.number))
    try:
        yield asked
    finally:
        now = system.clock.now()
        system.releases.finish(asked.number, state="cancelled", sentence="It was interrupted.", now=now)
        thread.join()


def carry_out_here(system: System, number: int, leadership: Leadership) -> bool:
    """Carry a release out in a thread of this process; return false if a controller leads, which does it.

    What another command left under way is completed first.
    """
    if not leadership.win():
        return False

    def work() -> None:
        for release in system.releases.present():
            if release.state == "running":
                release_job.carry_out(system, release.number, lambda _, part: part())
        release_job.choose_next(system)
        release_job.carry_out(system, number, lambda _, part: part())

    _start(system, number, work)
    return True


def _start(system: System, number: int, work: Callable[[], object]) -> threading.Thread:
    """Carry a release out in a thread of this process; a failure ends the release."""

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever a disk, a database or a library raises
            _log.exception("release %s could not be carried out", number)
            now = system.clock.now()
            system.releases.finish(number, state="failed", sentence=describe(error), now=now)

    thread = threading.Thread(target=run, name="release", daemon=True)
    thread.start()
    return thread


def find_release(system: System, text: str) -> Release:
    """Return a release by its number or its commit's id; the watch finds a commit that was just pushed in a moment.

    Raises :class:`ReleaseError` if there is none.
    """
    if text.isdecimal() and len(text) < _LEAST_ID:
        return system.releases.one(int(text))
    until_s = time.monotonic() + _LONGEST_WAIT_S
    while (found := system.releases.of_commit(text)) is None:
        report = read_controller_report(system.state)
        is_led = report is not None and (is_alive(report.pid) or report.is_expected)
        if not is_led or system.project.settings.loop.level != "full" or time.monotonic() > until_s:
            rule = "there must be a release of the commit, or a controller at level full to find it"
            raise ReleaseError(rule, value=text, remedy=f"Release it: everfit release {text[:7]}.")
        time.sleep(_POLL_S)
    return found


def follow(
    system: System, number: int, *, starts: Callable[[str], object], longest_s: float | None = None
) -> Iterator[StepRecord]:
    """Yield the attempts at a release's steps as they end, until the release has ended.

    Args:
        starts: Gets the name of each step that begins.
        longest_s: Time after which it is not followed any more, in seconds.
    """
    reported: set[tuple[str, int]] = set()
    until_s = math.inf if longest_s is None else time.monotonic() + longest_s
    while True:
        release = system.releases.one(number)
        for step in release.steps if release.state != "waiting" else ():
            if step.outcome is None:
                starts(step.step)
            elif step.run == release.runs and (step.step, step.attempt) not in reported:
                reported.add((step.step, step.attempt))
                yield step
        if release.ended or time.monotonic() > until_s:
            return
        time.sleep(_POLL_S)


def cancel_release(system: System, number: int, *, actor: str, reason: str) -> Release:
    """Cancel a release that has not ended; the step that it is at is stopped.

    Raises :class:`MisuseError` if it has ended.
    """
    sentence, now = f"{actor} cancelled it: {reason}", system.clock.now()
    cancelled = system.releases.finish(number, state="cancelled", sentence=sentence, now=now)
    if cancelled.sentence != sentence:
        raise MisuseError("only a release that has not ended can be cancelled", value=cancelled.state)
    record(system, "cancel_release", cancelled, at=now, actor=actor, reason=reason)
    return cancelled


def leave_releases(system: System, *, actor: str, reason: str) -> Release:
    """Return to the code of the project's own folder; return the release that was active.

    Raises :class:`MisuseError` if none was.
    """
    left = release_activation.leave(system, actor=actor, reason=reason)
    if left is None:
        raise MisuseError("there must be an active release to leave")
    signal_look(system.state)
    return left


def release_details(system: System, number: int) -> ReleaseDetails:
    """Gather what is on record of a release. Raises :class:`StoreError` if there is none of that number."""
    release = system.releases.one(number)
    return ReleaseDetails(release=release, steps=tuple(_log_of(system, step) for step in release.steps))


def _log_of(system: System, step: StepRecord) -> StepLog:
    path = system.state / step.log
    try:
        log = read_left_file(path, last_bytes=_LOG_BYTES)
        return StepLog(record=step, log_file=str(path), log=log.decode(errors="replace"))
    except OSError:
        return StepLog(record=step)
