"""High-water mark of the labels that were taken from a model's source into the journal, so that each is read once."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct

from everfit.core.errors import StoreError
from everfit.store.atomic_file import replace_file

_OVERLAP = timedelta(minutes=10)
_LOOKS = ((timedelta(hours=1), timedelta(days=2)), (timedelta(days=1), timedelta(days=60)))
"""Longer overlaps, each after how often: a row may be loaded later than the known time that it states."""


class LabelMark(Struct, frozen=True, kw_only=True):
    """All labels that were known in ``[since, until]`` are in the journal, but for those that were loaded late."""

    since: datetime
    until: datetime
    looks: tuple[datetime, ...]
    """When the source was last looked at as far back as each of the longer overlaps reaches."""

    def begin(self, since: datetime, now: datetime) -> datetime:
        """Return from which known time on the source is to be read, all labels from ``since`` on being wanted."""
        if since < self.since:
            return since
        due = [back for (every, back), last in zip(_LOOKS, self.looks, strict=True) if now - last >= every]
        return max(since, min(self.until, now) - max([_OVERLAP, *due]))

    def moved(self, begin: datetime, now: datetime) -> LabelMark:
        """Return the mark after the source was read from ``begin`` to ``now``."""
        reached = min(self.until, now) - begin
        looks = (now if reached >= back else last for (_, back), last in zip(_LOOKS, self.looks, strict=True))
        return LabelMark(since=min(begin, self.since), until=max(self.until, now), looks=tuple(looks))


def first_mark(since: datetime, now: datetime) -> LabelMark:
    """Return the mark after the source was read for the first time."""
    return LabelMark(since=since, until=now, looks=(now,) * len(_LOOKS))


def read_label_mark(state: Path, model: str, definition: str) -> LabelMark | None:
    """Return the mark of a definition's labels; ``None`` if none were taken, or the file cannot be decoded.

    Raises :class:`StoreError` if the file cannot be read.
    """
    try:
        return msgspec.json.decode(_path(state, model, definition).read_bytes(), type=LabelMark)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    except OSError as error:
        raise StoreError(f"the mark of labels could not be read: {error}", value=model) from error


def write_label_mark(state: Path, model: str, definition: str, mark: LabelMark) -> None:
    """Replace the mark; an older one is as true. Raises :class:`StoreError` if the disk refuses."""
    try:
        replace_file(_path(state, model, definition), msgspec.json.encode(mark))
    except OSError as error:
        raise StoreError(f"the mark of labels could not be written: {error}", value=model) from error


def label_lock(state: Path, model: str) -> Path:
    """Return the file whose lock is held while labels of a model are taken; its folder is made.

    Raises :class:`StoreError` if the disk refuses.
    """
    try:
        (state / "labels").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder of marks could not be made: {error}", value=str(state / "labels")) from error
    return state / "labels" / f"{model}.lock"


def _path(state: Path, model: str, definition: str) -> Path:
    return state / "labels" / f"{model}.{definition}.json"
