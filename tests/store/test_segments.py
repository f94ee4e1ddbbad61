"""What was written is read again whole, whatever cut it off."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.core.errors import StoreError
from everfit.store.segments import (
    SegmentWriter,
    read_segment,
    seal_abandoned,
    sealed_segments,
    segments_of,
)

WRITER = """
import sys
from pathlib import Path
from everfit.store.segments import SegmentWriter
writer = SegmentWriter(Path(sys.argv[1]), seal_bytes=20_000)
for number in range(10_000_000):
    writer.write([f"{sys.argv[2]}-{number}".encode() * 5])
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def payloads(folder: Path) -> list[bytes]:
    return [payload for segment in segments_of(folder) for payload in segment.frames]


def written(folder: Path, *content: bytes) -> Path:
    writer = SegmentWriter(folder)
    writer.write(content)
    writer.close()
    return sealed_segments(folder)[-1]


def test_frames_come_back_in_order_over_many_segments(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, seal_bytes=100)
    writer.preamble.append(b"first")
    for number in range(30):
        writer.write([b"%03d" % number])
    assert len(sealed_segments(tmp_path)) > 1
    found = payloads(tmp_path)
    assert [each for each in found if each != b"first"] == [b"%03d" % number for number in range(30)]
    assert found.count(b"first") == len(list(tmp_path.iterdir()))
    for path in tmp_path.iterdir():
        assert read_segment(path).frames[0] == b"first"


@given(cut=st.integers(0, 200))
def test_any_cut_leaves_the_whole_frames_before_it(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("log")
    path = written(folder, *(b"payload %d" % number for number in range(8)))
    content = path.read_bytes()
    path.with_suffix(".open").write_bytes(content[:cut])
    path.unlink()
    found = payloads(folder)
    assert found == [b"payload %d" % number for number in range(len(found))]
    (abandoned,) = seal_abandoned(folder)
    assert payloads(folder) == found
    assert read_segment(abandoned).torn_bytes == 0
    whole = len(b"everfit segment 1\n") + sum(8 + len(each) for each in found)
    assert abandoned.stat().st_size == whole


def test_zeros_at_the_end_are_no_frames(tmp_path: Path) -> None:
    """As a file system leaves them that had lengthened the file and not yet written into it."""
    path = written(tmp_path, b"one")
    torn = path.rename(path.with_suffix(".open"))
    with torn.open("ab") as file:
        file.write(bytes(4096))
    assert read_segment(torn).frames == [b"one"]
    assert list(seal_abandoned(tmp_path).values()) == [4096]


def test_a_changed_byte_ends_what_can_be_read(tmp_path: Path) -> None:
    path = written(tmp_path, b"one", b"two", b"three")
    content = bytearray(path.read_bytes())
    content[content.index(b"two")] ^= 1
    path.write_bytes(content)
    segment = read_segment(path)
    assert segment.frames == [b"one"]
    assert segment.torn_bytes == 8 + 3 + 8 + 5


def test_the_living_are_left_alone(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    writer.write([b"one"])
    assert seal_abandoned(tmp_path) == {}
    writer.write([b"two"])
    writer.close()
    assert payloads(tmp_path) == [b"one", b"two"]


def test_what_is_no_segment_is_said_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "0001.open").write_bytes(b"something else altogether")
    (path,) = seal_abandoned(tmp_path)
    assert path.read_bytes() == b"something else altogether"
    with pytest.raises(StoreError, match="header"):
        read_segment(path)


def test_nothing_is_written_to_a_segment_that_is_sealed_at_its_birth(tmp_path: Path) -> None:
    """Between its making and its locking a segment looks abandoned."""
    stop = threading.Event()

    def seal() -> None:
        while not stop.is_set():
            seal_abandoned(tmp_path)

    sealer = threading.Thread(target=seal)
    sealer.start()
    try:
        for number in range(300):
            writer = SegmentWriter(tmp_path)
            writer.write([b"%d" % number])
            writer.close()
    finally:
        stop.set()
        sealer.join()
    assert sorted(map(int, payloads(tmp_path))) == list(range(300))


def test_a_write_that_fails_and_cannot_be_undone_ends_the_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SegmentWriter(tmp_path)
    writer.write([b"before"])
    write = os.write

    def half(number: int, content: bytes) -> int:
        write(number, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    def refuse(number: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(StoreError, match="No space left"):
            writer.write([b"torn"])
    writer.write([b"after"])
    writer.close()
    assert payloads(tmp_path) == [b"before", b"after"]
    assert [torn_bytes > 0 for torn_bytes in seal_abandoned(tmp_path).values()] == [True]
    assert payloads(tmp_path) == [b"before", b"after"]


def test_a_failed_write_leaves_nothing_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = SegmentWriter(tmp_path)
    writer.write([b"before"])
    write = os.write

    def half(number: int, content: bytes) -> int:
        write(number, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(StoreError, match="No space left"):
            writer.write([b"torn"])
    writer.write([b"after"])
    writer.close()
    assert payloads(tmp_path) == [b"before", b"after"]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("seed", range(4))
def test_whoever_is_killed_has_written_what_it_acknowledged(tmp_path: Path, seed: int) -> None:
    """kill -9 at a random moment, several times over the same log."""
    acknowledged: dict[str, int] = {}
    for turn in range(3):
        name = f"{seed}{turn}"
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), name], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(random.Random(f"{seed} {turn}").randint(1, 2000)):
            acknowledged[name] = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].split("\n")[:-1]
        acknowledged[name] = int(rest[-1]) if rest else acknowledged[name]
        seal_abandoned(tmp_path)
    for name, last in acknowledged.items():
        found = [payload for payload in payloads(tmp_path) if payload.startswith(f"{name}-".encode())]
        assert found == [f"{name}-{number}".encode() * 5 for number in range(len(found))]
        assert len(found) > last
