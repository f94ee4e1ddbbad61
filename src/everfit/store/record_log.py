"""Records of one kind in an append-only log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from everfit.core.errors import StoreError
from everfit.store.journal_records import PredictionLayout, Predictions
from everfit.store.segments import Segment, SegmentWriter, frames_of

Record = TypeVar("Record")

encode_record = msgspec.msgpack.Encoder().encode


class RecordLog(SegmentWriter, Generic[Record]):
    """Writer of records. Thread-safe."""

    def append(self, record: Record) -> None:
        """Hand a record to the operating system; as :meth:`SegmentWriter.write`."""
        self.write((encode_record(record),))


class PredictionLog(RecordLog[Predictions]):
    """Log of predictions: written by the prediction service before the response is sent, read by the journal."""

    def describe(self, layout: PredictionLayout) -> int:
        """Write a version's layout before the first of its predictions, and return its number.

        Raises :class:`StoreError` if it cannot be written.
        """
        with self._lock:
            number = len(self.preamble)
            payload = encode_record(msgspec.structs.replace(layout, number=number))
            # Before it is written: another thread may begin a new segment at any moment, and that must have it too.
            self.preamble.append(payload)
        self.write((payload,))
        return number


def records_of(segment: Segment, kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield the records of one type, or a union of types, of a segment with its name, in order.

    Raises :class:`StoreError` if one cannot be decoded.
    """
    return _decoded(((segment.name, payload) for payload in segment.frames), kind)


def recent_records(folder: Path, kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield every record of a log that was not shipped yet, open segments included; as :func:`records_of`."""
    return _decoded(frames_of(folder), kind)


def _decoded(frames: Iterable[tuple[str, bytes]], kind: Any) -> Iterator[tuple[str, Any]]:
    decode = msgspec.msgpack.Decoder(kind).decode
    for segment, payload in frames:
        try:
            yield segment, decode(payload)
        except msgspec.DecodeError as error:
            raise StoreError(f"a record could not be decoded: {error}", value=segment) from error


def with_layouts(
    records: Iterable[tuple[str, PredictionLayout | Predictions]],
) -> Iterator[tuple[str, PredictionLayout, Predictions]]:
    """Yield the predictions of whole segments, in order, with their segment's name and their layout.

    Raises :class:`StoreError` if a prediction's layout does not stand before it.
    """
    layouts: dict[tuple[str, int], PredictionLayout] = {}
    for segment, record in records:
        if isinstance(record, PredictionLayout):
            layouts[segment, record.number] = record
        elif (segment, record.layout) in layouts:
            yield segment, layouts[segment, record.layout], record
        else:
            raise StoreError("a prediction's layout must stand before it", value=segment)
