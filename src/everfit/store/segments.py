"""Write-ahead log in segment files: acknowledged records survive the death of the process that wrote them.

A segment is a header and frames; a frame is its payload's length and CRC-32, then the payload, written with one
``write()``. A file ends in ``.open`` while its writer, which holds a lock on it, may append to it, and in ``.sealed``
afterwards. A torn last frame, as a power failure leaves it, is recognised and cut.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BufferedRandom
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4
from zlib import crc32

from msgspec import Struct

from everfit.core.clock import SystemClock
from everfit.core.errors import StoreError
from everfit.store.atomic_file import sync_to_disk

OPEN, SEALED = ".open", ".sealed"

_HEADER = b"everfit segment 1\n"
_FRAME = struct.Struct("<II")


class Segment(Struct, frozen=True, kw_only=True):
    """Content of a segment."""

    name: str
    frames: list[bytes]
    torn_bytes: int
    """Bytes at the end that are no whole frame: left by a crash, or by a writer at work."""
    end: int = 0
    """Bytes of the file up to the end of the last whole frame."""


def read_segment(path: Path, begin: int = 0) -> Segment:
    """Return every whole frame of a segment, up to the first one that is torn.

    Raises :class:`StoreError` if it cannot be read, or is no segment.

    Args:
        begin: Leave out the frames before this :attr:`Segment.end` of an earlier reading.
    """
    try:
        with path.open("rb") as file:
            file.seek(begin)
            content = file.read()
    except OSError as error:
        raise StoreError(f"a segment could not be read: {error}", value=str(path)) from error
    if not begin and not content.startswith(_HEADER):
        if _HEADER.startswith(content):  # killed while it was created
            return Segment(name=path.stem, frames=[], torn_bytes=len(content))
        raise StoreError("a segment must begin with its header", value=str(path))
    unpack, head, end = _FRAME.unpack_from, _FRAME.size, len(content)
    frames, start = [], (0 if begin else len(_HEADER)) + head
    while start <= end:
        size, crc = unpack(content, start - head)
        payload = content[start : start + size]
        # A run of zeros, as a power failure leaves it, would pass for empty frames.
        if not size or len(payload) < size or crc32(payload) != crc:
            break
        frames.append(payload)
        start += size + head
    whole = start - head
    return Segment(name=path.stem, frames=frames, torn_bytes=end - whole, end=begin + whole)


def sealed_segments(folder: Path) -> tuple[Path, ...]:
    """Return the segments that are complete, oldest first."""
    return tuple(sorted(folder.glob(f"*{SEALED}")))


def seal_abandoned(folder: Path) -> dict[Path, int]:
    """Seal the segments whose writers are dead; return their paths, and the bytes cut off the end of each.

    Such bytes are an unfinished write, which was not acknowledged. A file that is no segment is only renamed: reading
    it raises. Raises :class:`StoreError` if one cannot be read or sealed.
    """
    sealed = {}
    with _explained(folder):
        for path in sorted(folder.glob(f"*{OPEN}")):
            # Sealed since it was listed, or its writer lives.
            with suppress(FileNotFoundError, BlockingIOError), path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(file.fileno(), path):
                    torn_bytes = _cut_torn(file, path)
                    sealed[path.rename(path.with_suffix(SEALED))] = torn_bytes
    return sealed


def _cut_torn(file: BufferedRandom, path: Path) -> int:
    """Cut what is no whole frame off a segment's end, and return its size in bytes."""
    if not _HEADER.startswith(file.read(len(_HEADER))):
        return 0
    torn_bytes = read_segment(path).torn_bytes
    file.truncate(file.seek(0, os.SEEK_END) - torn_bytes)
    if not file.seek(0, os.SEEK_END):
        file.write(_HEADER)
    file.flush()
    os.fsync(file.fileno())
    return torn_bytes


def _is_at(number: int, path: Path) -> bool:
    """Return true if an open file still has that name: it may have been sealed, and even shipped, since."""
    try:
        return os.path.samestat(os.fstat(number), path.stat())
    except FileNotFoundError:
        return False


class SegmentWriter:
    """Writer of one log's segments. Thread-safe. Raises :class:`StoreError` if the folder cannot be made.

    Args:
        folder: The log's folder; made if it is missing. Several writers, of several processes, may share it.
        seal_bytes: A segment is sealed once it is larger.
        seal_after_s: A segment is sealed once it is older, in seconds; see :meth:`seal_if_old`.
    """

    def __init__(self, folder: Path, *, seal_bytes: int = 64 << 20, seal_after_s: float = 60.0) -> None:
        self.preamble: list[bytes] = []
        """Payloads that every new segment begins with."""
        self._folder = folder
        self._seal_bytes = seal_bytes
        self._seal_after_s = seal_after_s
        self._lock = threading.Lock()
        self._file: _OpenSegment | None = None
        with _explained(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def write(self, payloads: Sequence[bytes]) -> None:
        """Hand frames to the operating system, all in one call; :meth:`sync` hands them to the disk.

        Raises :class:`StoreError` if they could not be written, for example because the disk is full; nothing of them
        is left then.
        """
        frames = _framed(payloads)
        with self._lock:
            file = self._file or self._begin()
            try:
                file.write(frames)
            except OSError as error:
                if file.torn:
                    # Left to seal_abandoned: frames after its torn end could not be read again.
                    self._file = None
                    _unlock(file.number)
                raise _unwritable(self._folder, error) from error
            if file.size >= self._seal_bytes:
                self._seal()

    def sync(self) -> None:
        """Return once everything that was appended before is on the disk.

        Raises :class:`StoreError` if the disk refuses; a new segment is begun then, since the state of this one is
        unknown.
        """
        with self._lock:
            file = self._file
            if file is None or file.synced == file.size:
                return
            size, number = file.size, os.dup(file.number)
        # Without the lock, so that other threads can go on appending.
        try:
            os.fdatasync(number)
        except OSError as error:
            with self._lock:
                if self._file is file:
                    self._seal()
            raise _unwritable(self._folder, error) from error
        finally:
            os.close(number)
        file.synced = max(file.synced, size)

    def seal_if_old(self) -> None:
        """Seal the segment if it is old enough, so that it can be shipped though little is written."""
        with self._lock:
            if self._file is not None and time.monotonic() - self._file.began_s >= self._seal_after_s:
                self._seal()

    def close(self) -> None:
        """Seal the last segment. The next append begins another one."""
        with self._lock:
            self._seal()

    def _begin(self) -> _OpenSegment:
        with _explained(self._folder):
            self._file = _OpenSegment(self._folder, _HEADER + _framed(self.preamble))
        return self._file

    def _seal(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with _explained(self._folder):
                file.seal()


class _OpenSegment:
    """A segment's file while it is written."""

    def __init__(self, folder: Path, content: bytes) -> None:
        self.began_s = time.monotonic()
        self.size = self.synced = 0
        self.torn = False
        self.path, self.number = _create(folder)
        try:
            self.write(content)
            # Its name, too, so that it is found after a power failure.
            sync_to_disk(folder)
        except OSError:
            os.close(self.number)
            raise

    def write(self, content: bytes) -> None:
        try:
            written = os.write(self.number, content)
            while written < len(content):  # a nearly full disk takes a part
                written += os.write(self.number, content[written:])
        except OSError:
            # Frames after a torn one could never be read again.
            try:
                os.ftruncate(self.number, self.size)
            except OSError:
                self.torn = True
            raise
        self.size += len(content)

    def seal(self) -> None:
        try:
            os.fdatasync(self.number)
            self.path.rename(self.path.with_suffix(SEALED))
        finally:
            _unlock(self.number)


def _unlock(number: int) -> None:
    """Give up the lock, too: a child that was forked a moment ago has the file open until it executes its program."""
    fcntl.flock(number, fcntl.LOCK_UN)
    os.close(number)


def _create(folder: Path) -> tuple[Path, int]:
    while True:
        # Listed in the order of time; unique though many processes begin one at once.
        path = folder / f"{SystemClock().now_us():016d}-{uuid4().hex[:12]}{OPEN}"
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        fcntl.flock(number, fcntl.LOCK_EX)
        if _is_at(number, path):
            return path, number
        os.close(number)  # taken for abandoned before it was locked


def _framed(payloads: Iterable[bytes]) -> bytes:
    return b"".join([_FRAME.pack(len(payload), crc32(payload)) + payload for payload in payloads])


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Raise errors of the operating system as :class:`StoreError`."""
    try:
        yield
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"the log could not be written: {error.strerror or error}",
        value=str(folder),
        remedy="Free space on its disk, or let the service write there.",
    )


def segments_of(folder: Path, begins: Mapping[str, int] = MappingProxyType({})) -> Iterator[Segment]:
    """Yield every segment of a log, oldest first, open ones included.

    A segment that is shipped between the listing and the reading is left out: to read all rows, read the log first and
    the lake afterwards.

    Args:
        begins: Ends of earlier readings, by the segment's name; see :func:`read_segment`.
    """
    # Open ones first: one that is sealed between the two listings is in both then, not in neither.
    found = {path.stem: path for suffix in (OPEN, SEALED) for path in folder.glob(f"*{suffix}")}
    for _, path in sorted(found.items()):
        begin = begins.get(path.stem, 0)
        segment = _read_if_there(path, begin) or _read_if_there(path.with_suffix(SEALED), begin)
        if segment is not None:
            yield segment


def _read_if_there(path: Path, begin: int) -> Segment | None:
    try:
        return read_segment(path, begin)
    except StoreError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
