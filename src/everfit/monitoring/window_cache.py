"""Cache on disk of counted windows: a window is counted again only if its rows have changed.

A window's count is a function of its rows alone, and holds their fingerprint. A process that is killed, or counts while
another one does, leaves either a right count or one that is recognised as stale or torn, and is then computed again.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from uuid import uuid4
from zlib import crc32

import msgspec
import polars as pl

from everfit.core.columns import ID, TIME
from everfit.core.errors import DataError, StoreError
from everfit.measures.sketch import Sketch
from everfit.monitoring.drift_windows import Counted, count, join, newest_windows
from everfit.monitoring.prediction_frame import MARK
from everfit.monitoring.reference import ReferenceProfile
from everfit.monitoring.windows import WINDOW, Window, placed

Read = Callable[[datetime, datetime], pl.DataFrame]
"""Gives at least the rows that were asked between two instants, both included, with their features, :data:`ID` and
:data:`MARK`."""

_MOST_ROWS = 100_000
"""Held in memory with their features at a time."""


_Kept = tuple[int, bytes, bytes]
"""A window's file, but for its checksum: mark, inputs, answers."""


class Counts:
    """Windows of one version where it responds, or as a shadow; the folder holds a file for each."""

    def __init__(self, folder: Path, reference: ReferenceProfile) -> None:
        self._folder = folder
        self._reference = reference
        self._held: dict[int, Counted] = {}

    def windows(
        self, rows: pl.DataFrame, read: Read, *, until: datetime, settled: pl.DataFrame | None = None
    ) -> tuple[Counted, ...]:
        """Return the newest complete windows, oldest first, thin ones joined; new ones are read and counted.

        All rows of the version are given, with :data:`MARK`, but for those that are ``settled``, of which
        :func:`~everfit.monitoring.windows.tallied` is given; features are not needed. A window of rows, not of time,
        that was not counted before some of them were settled is left out. Raises :class:`StoreError` if the folder
        cannot be read or written.
        """
        length = self._reference.window
        inside = placed(rows, length)
        groups = newest_windows(inside, length, until=until, settled=settled)
        present = [window for group in groups for window in group]
        known = {window.number: self._known(window) for window in present}
        missing = [window for window in present if known[window.number] is None]
        own = dict(inside.group_by(WINDOW).len().iter_rows())
        counted = self._count(inside, [window for window in missing if own.get(window.number) == window.rows], read)
        if not isinstance(length, int):
            parts = [window for window in missing if window.number not in counted]
            counted |= {window.number: self._count_between(window, read) for window in parts}
        found = {number: window or counted.get(number) for number, window in known.items()}
        self._held = {number: window for number, window in found.items() if window is not None}
        held = ([self._held[part.number] for part in group if part.number in self._held] for group in groups)
        return tuple(join(parts) for parts, group in zip(held, groups, strict=True) if len(parts) == len(group))

    def _count(self, rows: pl.DataFrame, missing: Sequence[Window], read: Read) -> dict[int, Counted]:
        """Count windows piece by piece, and keep them."""
        if not missing:
            return {}
        found = {window.number: count(window, rows.clear(), self._reference) for window in missing}
        seen = dict.fromkeys(found, 0)
        wanted = rows.filter(pl.col(WINDOW).is_in(list(found))).select(ID, MARK, WINDOW, TIME).sort(TIME)
        for piece in wanted.iter_slices(_MOST_ROWS):
            whole = read(piece[TIME][0], piece[TIME][-1])
            members = whole.join(piece.select(ID, MARK, WINDOW), on=[ID, MARK], how="inner")
            for (number,), part in members.partition_by(WINDOW, as_dict=True).items():
                found[number] = found[number].add(part, self._reference)
                seen[number] += part.height
        for window in missing:
            # What cannot be read now is not to be missed for ever.
            if seen[window.number] == window.rows:
                self._keep(found[window.number])
        return found

    def _count_between(self, window: Window, read: Read) -> Counted:
        """Count a window by its times, piece by piece, and keep it."""
        found, seen = count(window, read(window.start, window.start).clear(), self._reference), 0
        pieces = math.ceil(window.rows / _MOST_ROWS)
        ends = [window.start + (window.end - window.start) * piece / pieces for piece in range(pieces + 1)]
        for begin, end in pairwise(ends):
            part = read(begin, end).filter(pl.col(TIME) < end)
            found, seen = found.add(part, self._reference), seen + part.height
        if seen == window.rows:
            self._keep(found)
        return found

    def _known(self, window: Window) -> Counted | None:
        held = self._held.get(window.number)
        if held is not None and held.mark == window.mark:
            return held
        try:
            content = self._path(window).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"a window's counts could not be read: {error}", value=str(self._folder)) from error
        if crc32(content[4:]) != int.from_bytes(content[:4], "little"):
            return None
        try:
            mark, inputs, answers = msgspec.msgpack.decode(content[4:], type=_Kept)
            if mark != window.mark:
                return None
            return Counted(
                **vars(window),
                inputs=Sketch.from_bytes(inputs, self._reference.inputs.layout),
                answers=Sketch.from_bytes(answers, self._reference.answers.layout),
            )
        except (msgspec.DecodeError, DataError):  # of another reference, or another release
            return None

    def _keep(self, count: Counted) -> None:
        content = msgspec.msgpack.encode((count.mark, count.inputs.to_bytes(), count.answers.to_bytes()))
        path = self._path(count)
        own = path.with_name(f".{uuid4().hex}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            own.write_bytes(crc32(content).to_bytes(4, "little") + content)
            os.replace(own, path)
        except OSError as error:
            raise StoreError(f"a window's counts could not be written: {error}", value=str(self._folder)) from error

    def _path(self, window: Window) -> Path:
        return self._folder / f"{window.number}.counts"
