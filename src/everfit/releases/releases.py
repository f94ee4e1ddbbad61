"""The releases in the ledger. The one writer of ``releases``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from everfit.core.errors import MisuseError, StoreError
from everfit.core.event_log import log_event
from everfit.core.release import (
    REJECTED,
    UNFINISHED,
    WATCH,
    FeatureChange,
    Release,
    ReleaseState,
    StepName,
    StepOutcome,
    StepRecord,
)
from everfit.store.active_release import RELEASES_FOLDER
from everfit.store.ledger import RELEASES

_log = logging.getLogger(__name__)
_PRESENT: tuple[ReleaseState, ...] = (*UNFINISHED, "active")
_PHRASES: Mapping[str, str] = {
    "waiting": "waits",
    "running": "begins",
    "active": "is active",
    "retired": "is not active any more",
    "unchanged": "changes nothing",
    "superseded": "is superseded",
    "refused": "was refused",
    "failed": "failed",
    "taken_back": "was taken back",
    "cancelled": "was cancelled",
    "passed": "passed its dry run",
    "collected": "is collected",
    "restored": "is made again",
}

Changes = Callable[[Mapping[int, Release]], Iterable[Release]]
"""Function of releases by number that returns those that it changes, as they are afterwards."""


class Releases:
    """The releases in the ledger. Every method is idempotent, and may be called again after a crash.

    A method with a release's number raises :class:`StoreError` if there is none.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def ask(self, release: Release, *, again: bool = False) -> Release:
        """Record that a commit is to be released; a commit has one release.

        One that ended without a judgement waits again; one that was refused, failed or was taken back stays as it is,
        unless it is wanted ``again``; and one that a person cancelled waits again for persons only.
        """
        asked = self._insert(release)
        settled = (*REJECTED, "cancelled") if release.actor == WATCH else REJECTED

        def _reopen(known: Mapping[int, Release]) -> Iterable[Release]:
            before = known[asked.number]
            if before.state not in _PRESENT and (again or before.state not in settled):
                wanted = {name: getattr(release, name) for name in ("ref", "actor", "reason", "asked_at")}
                yield replace(before, **wanted, state="waiting", sentence="", ended_at=None, collected_at=None)

        return self._change(asked.number, _reopen)

    def begin(self, number: int, *, now: datetime) -> Release:
        """Record that the steps of a waiting release begin."""

        def _begin(known: Mapping[int, Release]) -> Iterable[Release]:
            if (before := known[number]).state == "waiting":
                yield replace(before, state="running", runs=before.runs + 1, started_at=now)

        return self._change(number, _begin)

    def begin_step(self, number: int, step: StepName, *, now: datetime, log: str = "") -> StepRecord:
        """Record a further attempt at a step of a running release; by default, its log has a file of its own.

        Raises :class:`MisuseError` if the release is not running.

        Args:
            log: File of its log, relative to the state folder.
        """

        def _begin(known: Mapping[int, Release]) -> Iterable[Release]:
            before = known[number]
            if before.state != "running":
                raise MisuseError("only a running release has steps to begin", value=before.state)
            attempt = 1 + sum(record.step == step for record in before.steps)
            file = log or f"{RELEASES_FOLDER}/{number}/{step}-{attempt}.log"
            record = StepRecord(step=step, attempt=attempt, run=before.runs, started_at=now, log=file)
            yield replace(before, steps=(*before.steps, record))

        begun = self._change(number, _begin).steps[-1]
        message = f"release {number}: {step} begins, attempt {begun.attempt}"
        log_event(_log, "step_started", message, release=number, step=step, attempt=begun.attempt)
        return begun

    def end_step(
        self,
        number: int,
        step: StepName,
        attempt: int,
        *,
        outcome: StepOutcome,
        sentence: str,
        now: datetime,
        ends_release: bool = False,
    ) -> Release:
        """Record the end of an attempt at a step; the first one counts.

        Args:
            ends_release: The release ends in the same transaction, if it is running: a verdict is never tried again.
        """
        ended: list[StepRecord] = []

        def _end(known: Mapping[int, Release]) -> Iterable[Release]:
            before = known[number]
            ended.clear()
            for place, record in enumerate(before.steps):
                if (record.step, record.attempt, record.outcome) == (step, attempt, None):
                    ended.append(replace(record, ended_at=now, outcome=outcome, sentence=sentence))
                    after = replace(before, steps=(*before.steps[:place], ended[-1], *before.steps[place + 1 :]))
                    if ends_release and before.state == "running" and outcome in {"refused", "failed"}:
                        after = replace(after, state=outcome, sentence=f"{step}: {sentence}", ended_at=now)
                    yield after

        def _log_step() -> None:
            if ended:
                message, level = f"release {number}: {step} {outcome}: {sentence}", logging.INFO
                if outcome in {"refused", "failed"}:
                    level = logging.WARNING
                log_event(
                    _log,
                    "step_ended",
                    message,
                    level=level,
                    release=number,
                    step=step,
                    attempt=attempt,
                    outcome=outcome,
                )

        return self._change(number, _end, log=_log_step)

    def describe(
        self,
        number: int,
        *,
        code: str | None = None,
        content: str | None = None,
        tree: str | None = None,
        environment: str | None = None,
        features: tuple[FeatureChange, ...] | None = None,
    ) -> Release:
        """Add what a step found out about a running release; what is ``None`` stays as it is."""
        found = {"code": code, "content": content, "tree": tree, "environment": environment, "features": features}
        given = {name: value for name, value in found.items() if value is not None}

        def _describe(known: Mapping[int, Release]) -> Iterable[Release]:
            if (before := known[number]).state == "running":
                yield replace(before, **given)

        return self._change(number, _describe)

    def finish(self, number: int, *, state: ReleaseState, sentence: str, now: datetime) -> Release:
        """Record the end of a release that has not ended, with the result as a sentence.

        Raises :class:`MisuseError` for a state that another method is for.
        """
        if state not in {"unchanged", "superseded", "refused", "failed", "cancelled", "passed"}:
            raise MisuseError("a release is finished in a state that ends it", value=state)

        def _finish(known: Mapping[int, Release]) -> Iterable[Release]:
            if not (before := known[number]).ended:
                yield replace(before, state=state, sentence=sentence, ended_at=now)

        return self._change(number, _finish)

    def activate(self, number: int, *, sentence: str, now: datetime) -> Release:
        """Record that a running release is the active one; the one that was is retired."""

        def _activate(known: Mapping[int, Release]) -> Iterable[Release]:
            if (before := known[number]).state != "running":
                return
            active = _active(known)
            if active is not None:
                yield replace(active, state="retired", sentence=f"Replaced by {before.name}.")
            yield replace(
                before,
                state="active",
                sentence=sentence,
                ended_at=now,
                activated_at=now,
                previous=active.number if active is not None else 0,
            )

        return self._change(number, _activate)

    def leave(self, *, sentence: str) -> Release | None:
        """Record that the project's own folder is what runs; return the release that was active, if there was one."""
        active = self.active()
        if active is None:
            return None
        number = active.number

        def _retire(known: Mapping[int, Release]) -> Iterable[Release]:
            if (before := known[number]).state == "active":
                yield replace(before, state="retired", sentence=sentence)

        return self._change(number, _retire)

    def take_back(self, number: int, *, sentence: str, now: datetime) -> Release:
        """Record that a release that is active, or about to be, is taken back; the one before it is active again.

        To that one's orders and versions, it is as if it had never been replaced.
        """
        previous = self.one(number).previous

        def _take_back(known: Mapping[int, Release]) -> Iterable[Release]:
            before = known[number]
            if before.state not in {"running", "active"}:
                return
            yield replace(before, state="taken_back", sentence=sentence, ended_at=now)
            restored = known.get(previous) if before.state == "active" else None
            if restored is not None and restored.state == "retired":
                again = f"Active again, since {before.name} was taken back."
                yield replace(restored, state="active", sentence=again)

        return self._change(number, _take_back, previous)

    def collect(self, number: int, *, now: datetime) -> Release:
        """Record that the code and the environment of a release that has ended were deleted."""

        def _collect(known: Mapping[int, Release]) -> Iterable[Release]:
            if (before := known[number]).ended and before.collected_at is None:
                yield replace(before, collected_at=now)

        collected = self._change(number, _collect)
        if collected.collected_at == now:
            _log_change(collected, "collected", "Nothing needs its code and environment.")
        return collected

    def restore(self, number: int, *, environment: str) -> Release:
        """Record that the code of a collected release was made again, and its environment, which may be another one."""

        def _restore(known: Mapping[int, Release]) -> Iterable[Release]:
            yield replace(known[number], collected_at=None, environment=environment)

        restored = self._change(number, _restore)
        _log_change(restored, "restored", "A version needs its code and environment.")
        return restored

    def all(self) -> tuple[Release, ...]:
        """Return all releases, oldest first."""
        with self._engine.connect() as connection:
            return tuple(_read(connection).values())

    def one(self, number: int) -> Release:
        """Return a release by its number. Raises :class:`StoreError` if there is none."""
        with self._engine.connect() as connection:
            return _one(_read(connection, RELEASES.c.number == number), number)

    def of_commit(self, commit: str) -> Release | None:
        """Return the release of a full commit id; ``None`` if there is none."""
        with self._engine.connect() as connection:
            return next(iter(_read(connection, RELEASES.c.commit == commit).values()), None)

    def active(self) -> Release | None:
        """Return the active release; ``None`` while the project's own folder is what runs."""
        return _active({release.number: release for release in self.present()})

    def present(self) -> tuple[Release, ...]:
        """Return the releases that are active, running or waiting, oldest first."""
        with self._engine.connect() as connection:
            return tuple(_read(connection, RELEASES.c.state.in_(_PRESENT)).values())

    def _insert(self, release: Release) -> Release:
        if (known := self.of_commit(release.commit)) is not None:
            return known
        try:
            with self._engine.begin() as connection:
                connection.execute(RELEASES.insert().values(commit=release.commit, **_row(release)))
        except sa.exc.IntegrityError:
            if (known := self.of_commit(release.commit)) is not None:
                return known
            raise
        inserted = self.of_commit(release.commit)
        assert inserted is not None
        _log_change(inserted, inserted.state, inserted.sentence)
        return inserted

    def _change(self, number: int, changes: Changes, *others: int, log: Callable[[], object] = lambda: None) -> Release:
        """Change a release, and what follows for those present and for ``others``, in one transaction.

        An optimistic lock on their records: if one was changed in between, all is decided again. Afterwards ``log`` is
        called, and each new state is logged.
        """
        wanted = sa.or_(RELEASES.c.state.in_(_PRESENT), RELEASES.c.number.in_((number, *others)))
        while True:
            with self._engine.connect() as connection, connection.begin() as transaction:
                texts = _texts(connection, wanted)
                before = {found: _decode(found, text) for found, text in texts.items()}
                _one(before, number)
                after = [release for release in changes(before) if release != before[release.number]]
                if all(_write(connection, texts[release.number], release) for release in after):
                    transaction.commit()
                    break
                transaction.rollback()
        log()
        for release in after:
            if release.state != before[release.number].state:
                _log_change(release, release.state, release.sentence)
        return {**before, **{release.number: release for release in after}}[number]


def _active(known: Mapping[int, Release]) -> Release | None:
    return next((release for release in known.values() if release.state == "active"), None)


def _one(found: Mapping[int, Release], number: int) -> Release:
    if number not in found:
        remedy = "'everfit releases list' shows them all."
        raise StoreError("there must be a release with that number", value=number, remedy=remedy)
    return found[number]


def _read(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> dict[int, Release]:
    return {number: _decode(number, text) for number, text in _texts(connection, *conditions).items()}


def _texts(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> dict[int, str]:
    query = sa.select(RELEASES.c.number, RELEASES.c.release).where(*conditions).order_by(RELEASES.c.number)
    return {row.number: row.release for row in connection.execute(query)}


def _write(connection: sa.Connection, before: str, after: Release) -> bool:
    """Replace a release whose record is still ``before``; return false if it is another one by now."""
    here = sa.and_(RELEASES.c.number == after.number, RELEASES.c.release == before)
    return connection.execute(RELEASES.update().where(here).values(**_row(after))).rowcount > 0


def _row(release: Release) -> dict[str, str]:
    # The number is the row's own.
    return {"state": release.state, "release": msgspec.json.encode(replace(release, number=0)).decode()}


def _decode(number: int, text: str) -> Release:
    return replace(msgspec.json.decode(text, type=Release), number=number)


def _log_change(release: Release, change: str, sentence: str) -> None:
    """Log a change of a release: its new state, or what became of its folders."""
    log_event(
        _log,
        f"release_{change}",
        f"{release.name} {_PHRASES[change]}{f': {sentence}' if sentence else ''}",
        level=logging.WARNING if change in REJECTED else logging.INFO,
        release=release.number,
        commit=release.commit,
        actor=release.actor,
    )
