"""Decisions on releases: the next one to start, taking back, pinning, collection. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from everfit.core.order import OrderRecord
from everfit.core.records import AliasChange
from everfit.core.release import REJECTED, WATCH, Release, ReleaseState
from everfit.core.rollout import Rollout
from everfit.delivery.state_machine import POLICY
from everfit.triggers.signals import is_caused_by_release

_WHY_NOT: Mapping[ReleaseState, str] = {"refused": "was refused", "failed": "failed", "taken_back": "was taken back"}


class NextRelease(Struct, frozen=True, kw_only=True):
    """The release to start, and those that a newer one makes superfluous."""

    start: Release | None = None
    superseded: tuple[Release, ...] = ()
    newest: Release | None = None
    """The one that the superseded ones give way to."""


class ModelHistory(Struct, frozen=True, kw_only=True):
    """A model's orders, rollouts and alias changes, each oldest first."""

    orders: Sequence[OrderRecord]
    rollouts: Sequence[Rollout]
    changes: Sequence[AliasChange]


def next_release(present: Sequence[Release]) -> NextRelease:
    """Choose among the releases that are present: one runs at a time, and the one that was asked for last is next."""
    waiting = sorted(
        (release for release in present if release.state == "waiting"), key=lambda one: (one.asked_at, one.number)
    )
    if not waiting:
        return NextRelease()
    *older, newest = waiting
    is_running = any(release.state == "running" for release in present)
    return NextRelease(start=None if is_running else newest, superseded=tuple(older), newest=newest)


def reason_to_skip(release: Release, releases: Iterable[Release]) -> str:
    """Return why a release's steps need not go on, as a sentence, once its code is known; empty if they must.

    Code that was taken back is only tried again if a person wants it, whatever other files a commit changes.
    """
    same = [known for known in releases if known.content == release.content and known.number != release.number]
    for known in same:
        if known.state == "active":
            return f"Nothing that matters changed: its code and design are those of {known.name}, which is active."
        if known.state == "taken_back" and release.actor == WATCH:
            return f"Nothing that matters changed: its code and design are those of {known.name}, which was taken back."
    return ""


def reason_to_take_back(release: Release, histories: Mapping[str, ModelHistory]) -> str:
    """Return why an active release must be taken back, as a sentence; empty if it stays.

    It is taken back if a person took back a version that it caused to be trained, or if every training that it caused
    has ended, one at least in vain, and none led to a champion. A release that caused none stays: it changed nothing
    that a model is trained by.
    """
    since = release.activated_at or release.asked_at
    caused: list[OrderRecord] = []
    for model, history in histories.items():
        orders = [
            record
            for record in history.orders
            if record.order.asked_at >= since and is_caused_by_release(record.order.cause, release.code)
        ]
        versions = {record.version for record in orders if record.version is not None}
        if sentence := _by_a_person(model, versions, release, history):
            return sentence
        caused += orders
    if not caused or not all(record.ended for record in caused) or any(record.state == "shipped" for record in caused):
        return ""
    in_vain = [record for record in caused if record.brought_nothing]
    return " ".join(f"{record.order.model}: order {record.number}: {record.sentence}" for record in in_vain)


def _by_a_person(model: str, versions: set[int], release: Release, history: ModelHistory) -> str:
    """Return a sentence if a person took back one of a release's versions since it became active."""
    since = release.activated_at or release.asked_at
    for rollout in history.rollouts:
        last = rollout.history[-1]
        taken_back = rollout.state in {"refused", "rolled_back"} and last.at >= since
        if rollout.version in versions and taken_back and last.actor != POLICY:
            return f"{model}: version {rollout.version}: {last.sentence}"
    champion: int | None = None
    for change in history.changes:
        if change.alias != "champion":
            continue
        before, champion = champion, change.version
        if before is None or champion is None or change.actor == POLICY or change.changed_at < since:
            continue
        if before in versions and champion not in versions and champion < before:
            why = change.reason.rstrip(".")
            return f"{model}: {change.actor} made version {champion} the champion instead of version {before}: {why}."
    return ""


def last_judged(releases: Iterable[Release]) -> Release | None:
    """Return the release that was asked for last, among those with a verdict."""
    judged = [release for release in releases if release.state in (*REJECTED, "active")]
    return max(judged, key=lambda release: (release.asked_at, release.number), default=None)


def pin(releases: Iterable[Release]) -> str:
    """Return why the active code is not that of the newest commit, as a sentence; empty if it is.

    That is so as long as the release that was asked for last, among those with a verdict, was not accepted.
    """
    newest = last_judged(releases)
    if newest is None or newest.state == "active":
        return ""
    return (
        f"pinned because {newest.name} {_WHY_NOT[newest.state]}: {newest.sentence} It is not tried again: push another "
        f"commit, or run 'everfit release {newest.commit[:7]} --again'"
    )


def releases_to_collect(releases: Sequence[Release], needed: Collection[int], *, keep: int) -> tuple[Release, ...]:
    """Return the releases whose code and environments are to be deleted, oldest first.

    Those stay that have not ended, the active one and the one that is active again if that is taken back, and those
    that are needed; of the others, the ``keep`` that ended last. One that changed nothing never stays.

    Args:
        releases: All of them.
        needed: Numbers of those that a version, an order or a process needs.
    """
    active = next((release for release in releases if release.state == "active"), None)
    kept = {*needed, *((active.number, active.previous) if active else ())}
    others = [
        release
        for release in releases
        if release.ended and release.number not in kept and release.tree and release.collected_at is None
    ]
    others.sort(
        key=lambda release: (release.state != "unchanged", release.ended_at or release.asked_at, release.number)
    )
    useful = sum(release.state != "unchanged" for release in others)
    collected = others[: len(others) - min(keep, useful)]
    return tuple(sorted(collected, key=lambda release: release.number))
