"""Activation of releases: the ledger decides which one is active, and the document that processes read follows it.

After a crash between the two, the next call completes what was left.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from everfit.core.release import Release
from everfit.delivery.state_machine import POLICY
from everfit.store.active_release import ActiveRelease, ReleaseFolder, change_active, read_active, write_release

if TYPE_CHECKING:
    from everfit.system import System


def activate(system: System, release: Release, *, sentence: str) -> Release:
    """Make a running release the active one: what starts from now on runs in its code and environment.

    Nothing changes if it is not running any more. Raises :class:`StoreError` if a document cannot be written.
    """
    write_release(system.state, folder_of(release))
    activated = system.releases.activate(release.number, sentence=sentence, now=system.clock.now())
    if activated.state == "active":
        _record_activated(system, activated)
    follow_ledger(system)
    return activated


def folder_of(release: Release) -> ReleaseFolder:
    """Return code and environment of a release, as processes need them."""
    return ReleaseFolder(
        number=release.number,
        commit=release.commit,
        code=release.code,
        tree=release.tree,
        environment=release.environment,
    )


def complete_records(system: System) -> None:
    """Complete what a process that was killed has left: audit and document follow the ledger."""
    for release in system.releases.all():
        if release.state == "active":
            _record_activated(system, release)
        elif release.state == "taken_back":
            _record_taken_back(system, release, actor=POLICY)
    follow_ledger(system)


def take_back(system: System, release: Release, *, actor: str, sentence: str) -> Release:
    """Take the active release back: the one before it is active again."""
    taken = _take_back(system, release.number, actor=actor, sentence=sentence)
    follow_ledger(system)
    return taken


def leave(system: System, *, actor: str, reason: str) -> Release | None:
    """Return to the code of the project's own folder; return the release that was active, ``None`` if none was."""
    left = system.releases.leave(sentence=f"{actor} left it: {reason.rstrip('.')}.")
    if left is not None:
        record(system, "leave_releases", left, at=system.clock.now(), actor=actor, reason=reason)
    follow_ledger(system)
    return left


def follow_ledger(system: System) -> None:
    """Let the document name the release that is active in the ledger; one that was given back is recorded first."""
    document = read_active(system.state)
    if document.given_back:
        _take_back(system, document.given_back, actor=POLICY, sentence=document.reason)

    def follow(present: ActiveRelease) -> ActiveRelease:
        # Read under the lock, so that the last writer has read the newest state.
        active = system.releases.active()
        wanted = ActiveRelease(number=active.number, previous=active.previous) if active else ActiveRelease()
        if present.given_back != document.given_back:
            # The next call records what was given back in the meantime.
            return present
        return wanted if present.number != wanted.number else replace(present, given_back=0, reason="")

    change_active(system.state, follow)


def _take_back(system: System, number: int, *, actor: str, sentence: str) -> Release:
    taken = system.releases.take_back(number, sentence=sentence, now=system.clock.now())
    _record_taken_back(system, taken, actor=actor)
    return taken


def _record_activated(system: System, activated: Release) -> None:
    """Add the line to the audit unless it is there: all of it is from the ledger."""
    concluded, at = activated.step("activate"), activated.activated_at or activated.asked_at
    reason = concluded.sentence if concluded is not None else activated.sentence
    record(system, "release", activated, at=at, actor=activated.actor, reason=reason)


def _record_taken_back(system: System, taken: Release, *, actor: str) -> None:
    at = taken.ended_at or taken.asked_at
    record(system, "take_back_release", taken, at=at, actor=actor, reason=taken.sentence)


def record(system: System, action: str, release: Release, *, at: datetime, actor: str, reason: str) -> None:
    """Add a line on a release to the audit; it is of no model."""
    system.audit.append(at=at, actor=actor, action=action, model="", reason=f"{release.name}: {reason}")
