"""Sample of big sources that ``everfit check`` reads: their newest rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from everfit.store.time_range import TimeRange

if TYPE_CHECKING:
    from everfit.definitions.source import Source
    from everfit.store.reader import Reader

SAMPLE_ROWS = 100_000
"""Rows that show a leak or a wrong type, and are read within seconds; chosen."""


class SourceSample(NamedTuple):
    """The newest rows of a source by one of its time columns."""

    source: str
    by: str
    start: datetime

    @property
    def sentence(self) -> str:
        """Return what was sampled, in one line."""
        return f"source {self.source}: its newest rows, from {self.start:%Y-%m-%d %H:%M:%S} UTC on by {self.by}"


class Samples:
    """Start of the newest rows of each source; a source with fewer rows is checked whole.

    Args:
        reader: Reads the sources.
        as_of: Only rows until this instant count.
        rows: Size of a sample.
    """

    def __init__(self, reader: Reader, *, as_of: datetime, rows: int = SAMPLE_ROWS) -> None:
        self.rows = rows
        self._reader, self._as_of = reader, as_of
        self._found: dict[tuple[str, str], SourceSample | None] = {}

    @property
    def taken(self) -> tuple[SourceSample, ...]:
        """The samples so far, by source and column."""
        return tuple(found for _, found in sorted(self._found.items()) if found is not None)

    def start(self, source: Source, by: str | None = None) -> datetime | None:
        """Return the first instant of a source's sample by a time column; ``None`` if it is checked whole.

        Raises :class:`SourceError` if the source cannot be read or lacks the column.
        """
        by = by or source.timestamp
        if (source.name, by) not in self._found:
            before = self._as_of + timedelta(microseconds=1)
            start = self._reader.start_of_newest(source, self.rows, by=by, before=before)
            sample = None if start is None else SourceSample(source.name, by, start)
            self._found[source.name, by] = sample
        found = self._found[source.name, by]
        return None if found is None else found.start

    def range(self, source: Source, by: str | None = None) -> TimeRange | None:
        """Return the range of :meth:`start`; ``None`` if the source is checked whole. Raises its errors."""
        start = self.start(source, by)
        return None if start is None else TimeRange(start, None)
