"""The releases' share of a round: the branch is compared with what was seen, the active release is judged, the next
one is started.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from everfit.core.errors import ReleaseError, StoreError
from everfit.core.event_log import log_event
from everfit.delivery.state_machine import POLICY
from everfit.loop.health import describe
from everfit.loop.release_activation import complete_records, follow_ledger, take_back
from everfit.loop.release_collection import collect_releases, delete_folders
from everfit.loop.release_decisions import ModelHistory, reason_to_take_back
from everfit.loop.release_job import choose_next
from everfit.loop.release_restoration import restore
from everfit.loop.release_watch import RepositoryWatch
from everfit.registry.history import AliasHistory
from everfit.runtime.workflows import Engine, Workflow
from everfit.store.active_release import read_active
from everfit.system import System

_log = logging.getLogger(__name__)


class ReleaseArgument(Struct, frozen=True, kw_only=True):
    """Argument of the release workflow."""

    release: int


class ReleaseRound:
    """Part of one controller's rounds that concerns releases.

    Args:
        workflow: Carries a release out.
        watches: Watch the source repository, as at level full.
        polls: Look at it without a signal, too.
    """

    def __init__(self, system: System, workflow: Workflow[ReleaseArgument], *, watches: bool, polls: bool) -> None:
        self._system = system
        self._workflow = workflow
        self._watch = RepositoryWatch(system, polls=polls) if watches else None

    def begin(self) -> None:
        """Record what the supervisor decided while no controller ran, and begin to watch; before workflows go on."""
        complete_records(self._system)
        if self._watch is not None:
            self._watch.start()

    def end(self) -> None:
        """Watch the repository no more."""
        if self._watch is not None:
            self._watch.stop()

    def wants_round(self) -> bool:
        """Return true if the repository was looked at since the last round."""
        return self._watch is not None and self._watch.has_news

    def round(self, engine: Engine, now: datetime) -> str:
        """Do the releases' share; return what is wrong, as a sentence, or an empty text."""
        try:
            problem = self._watch.record_news(now) if self._watch is not None else ""
            unjudged = self._judge_active()
            self._start_next(engine, now)
            follow_ledger(self._system)
        except Exception as error:  # noqa: BLE001 - a failure must not keep the models waiting
            _log.exception("the releases could not be attended to")
            return f"The loop could not attend to the releases: {describe(error)}"
        return " ".join(filter(None, (problem, unjudged)))

    def collect(self) -> bool:
        """Delete what no release needs; return false if that must wait. A failure is logged, and tried again later."""
        try:
            # A large environment takes seconds, for which no round waits.
            return collect_releases(self._system, _delete_in_thread)
        except Exception as error:  # noqa: BLE001 - whatever a disk or a library raises; nothing depends on it
            _log.error("the releases could not be collected: %s", describe(error))
            return True

    def makes_way(self, engine: Engine | None) -> bool:
        """Return true if another release is active than that of this process, and nothing is under way here."""
        if not self.is_outdated or (engine is not None and engine.running()):
            return False
        active = self._active()
        message = f"this controller ends, since {f'release {active}' if active else 'no release'} is active"
        log_event(_log, "controller_hands_over", message, release=active)
        return True

    @property
    def is_outdated(self) -> bool:
        """True if another release is active than that of this process, which should begin nothing new."""
        return self._active() != self._system.project.release

    def _active(self) -> int:
        try:
            return read_active(self._system.state).number
        except StoreError as error:
            _log.error("the active release could not be read: %s", error)
            return self._system.project.release

    def _judge_active(self) -> str:
        """Take the active release back if what it caused was in vain, or a person took its version back.

        Return why that is not possible, as a sentence, or an empty text.
        """
        system = self._system
        active = system.releases.active()
        if active is None:
            return ""
        changes = AliasHistory(system.ledger)  # MLflow, which the registry imports, stays in memory
        histories = {
            model: ModelHistory(
                orders=system.orders.of(model),
                rollouts=system.rollouts.of(model),
                changes=changes.of(model),
            )
            for model in system.project.models
        }
        if sentence := reason_to_take_back(active, histories):
            try:
                if active.previous:
                    restore(system, system.releases.one(active.previous))
            except ReleaseError as error:
                return f"{active.name} cannot be taken back: {error}"
            take_back(system, active, actor=POLICY, sentence=sentence)
        return ""

    def _start_next(self, engine: Engine, now: datetime) -> None:
        """Start the release that is next, unless one runs; those that it makes superfluous are superseded."""
        releases = self._system.releases
        for release in releases.present():
            if release.state == "running":
                state, attempt = engine.newest_attempt(f"release/{release.number}/")
                if state == "failed":
                    sentence = "It could not be carried out; see the controller's log."
                    releases.finish(release.number, state="failed", sentence=sentence, now=now)
                elif state != "running":
                    # A command that carried it out was interrupted.
                    self._start(engine, release.number, attempt + 1)
        following = choose_next(self._system)
        if following is not None:
            state, attempt = engine.newest_attempt(f"release/{following.number}/")
            if state != "running":
                self._start(engine, following.number, attempt + 1)

    def _start(self, engine: Engine, number: int, attempt: int) -> None:
        engine.start(self._workflow, f"release/{number}/{attempt}", ReleaseArgument(release=number))


def _delete_in_thread(folders: Sequence[Path]) -> None:
    threading.Thread(target=delete_folders, args=(folders,), name="collection", daemon=True).start()
