"""Watching of the source repository: a thread looks at the branch, the next round records what it found.

It looks every ``[releases] poll_seconds``, and at once after a signal (:mod:`everfit.store.look_signal`). In a replay
it looks after signals only: a replay tries the code that it was started with, unless a hook says that new code is for
it. Git's commands have time limits; no round waits for them.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from datetime import datetime

from msgspec import Struct

from everfit.core.errors import EverfitError
from everfit.core.event_log import log_event
from everfit.core.release import WATCH, Release
from everfit.loop.health import describe
from everfit.releases.mirror import BranchTip, Commit, open_mirror
from everfit.store.look_signal import look_stamp
from everfit.store.watched_branch import WatchedBranch, read_watched, write_watched
from everfit.system import System

_POLL_S = 0.1

_log = logging.getLogger(__name__)


class _News(Struct, frozen=True, kw_only=True):
    """Result of one look at the branch."""

    since: WatchedBranch
    tip: BranchTip | None = None
    problem: str = ""


class RepositoryWatch:
    """Watch over one branch, in a thread of its own.

    Args:
        polls: Look without a signal, too.
    """

    def __init__(self, system: System, *, polls: bool) -> None:
        self._system = system
        self._polls = polls
        self._settings = system.project.settings.releases
        self._news: _News | None = None
        self._problem = ""
        """The reason why the last look was in vain."""
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._watch, name="repository", daemon=True).start()

    def stop(self) -> None:
        """Look no more; a look that has begun ends by itself."""
        self._stopped.set()

    @property
    def has_news(self) -> bool:
        """True if a look found something that was not recorded yet."""
        return self._news is not None

    def record_news(self, now: datetime) -> str:
        """Record what the last look found; return the reason why looks are in vain, or an empty text."""
        news, self._news = self._news, None
        if news is not None:
            self._problem = news.problem
            if news.tip is not None:
                record_tip(self._system, news.since, news.tip, now)
        return self._problem

    def _watch(self) -> None:
        due_s, seen = 0.0 if self._polls else math.inf, 0
        while not self._stopped.is_set():
            stamp = look_stamp(self._system.state)
            if time.monotonic() >= due_s or stamp != seen:
                # It was read before the look: a push during the look is looked at again.
                seen = stamp
                self._look()
                due_s = time.monotonic() + self._settings.poll_seconds if self._polls else math.inf
            self._stopped.wait(_POLL_S)

    def _look(self) -> None:
        try:
            since = read_watched(self._system.state, self._settings)
            mirror = open_mirror(self._system.project.root, self._system.state, self._settings)
            tip = mirror.update(since=since.head)
        except Exception as error:  # noqa: BLE001 - whatever a disk or a library raises must not end the thread
            problem = f"The source repository could not be looked at: {describe(error)}"
            if not isinstance(error, EverfitError):
                _log.exception("the source repository could not be looked at")
            self._report(_News(since=WatchedBranch(), problem=problem))
        else:
            self._report(_News(since=since, tip=tip))

    def _report(self, news: _News) -> None:
        """Keep news for the next round, unless they are none."""
        if news.problem != self._problem or (news.tip is not None and news.tip.change != "unchanged"):
            self._news = news


def record_tip(system: System, since: WatchedBranch, tip: BranchTip, now: datetime) -> None:
    """Record what became of the branch: a new head is to be released, and a head that is gone is on record.

    Doing it again after a crash changes nothing: the head that was seen is written last.
    """
    settings, head = system.project.settings.releases, tip.commit
    if read_watched(system.state, settings) != since:
        # It was looked at again before the news of the last look were recorded.
        return
    branch = settings.branch
    if tip.change in {"rewritten", "deleted"}:
        sentence = f"The branch {branch} was deleted; its last commit was {since.head[:7]}."
        if head is not None:
            sentence = f"{branch} was moved to {head.id[:7]}, which does not contain {since.head[:7]} (a forced push)."
        log_event(_log, "branch_moved", sentence, level=logging.WARNING, commit=head.id if head else "")
        system.audit.append(at=now, actor=WATCH, action=f"{tip.change} branch", model="", reason=sentence)
    if head is not None and tip.change != "unchanged":
        system.releases.ask(release_of_commit(head, ref=f"refs/heads/{branch}", actor=WATCH, now=now))
    write_watched(system.state, settings, head.id if head else "")


def release_of_commit(commit: Commit, *, ref: str, actor: str, now: datetime, reason: str = "") -> Release:
    """Return the release that a commit is to become."""
    return Release(
        number=0,
        commit=commit.id,
        ref=ref,
        subject=commit.subject,
        author=commit.author,
        asked_at=now,
        actor=actor,
        reason=reason,
    )
