"""Records of one kind in an append-only log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from everfit.core.errors import StoreError
from everfit.store.segments import Segment, SegmentWriter, frames_of

Record = TypeVar("Record")

encode_record = msgspec.msgpack.Encoder().encode


class RecordLog(Generic[Record]):
    """Writer of records. Thread-safe.

    Args:
        folder: The log's folder.
        seal_bytes: See :class:`everfit.store.segments.SegmentWriter`.
        seal_after_s: See there, in seconds.
        preamble: See there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seal_bytes: int = 64 << 20,
        seal_after_s: float = 60.0,
        preamble: Callable[[], Iterable[bytes]] = tuple,
    ) -> None:
        writer = SegmentWriter(folder, seal_bytes=seal_bytes, seal_after_s=seal_after_s, preamble=preamble)
        self._append = writer.append
        self.write = writer.write
        self.sync = writer.sync
        self.seal_if_old = writer.seal_if_old
        self.close = writer.close

    def append(self, record: Record) -> None:
        """Hand a record to the operating system; ``sync`` hands it to the disk.

        Raises :class:`StoreError` if it could not be written; nothing of it is kept then.
        """
        self._append(encode_record(record))


def records_of(segment: Segment, kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield the records of one segment with its name, in order. Raises :class:`StoreError` if one cannot be decoded.

    Args:
        segment: Its frames.
        kind: The records' type, or a union of types.
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
