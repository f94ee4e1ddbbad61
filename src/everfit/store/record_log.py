"""Records of one kind in an append-only log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec

from everfit.core.errors import StoreError
from everfit.store.journal_records import PredictionLayout, Predictions
from everfit.store.segments import Segment, SegmentWriter

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


def records_of(segment: Segment, kind: Any) -> Iterator[Any]:
    """Yield the records of one type, or a union of types, of a segment, in order.

    Raises :class:`StoreError` if one cannot be decoded.
    """
    try:
        yield from map(msgspec.msgpack.Decoder(kind).decode, segment.frames)
    except msgspec.DecodeError as error:
        raise StoreError(f"a record could not be decoded: {error}", value=segment.name) from error
