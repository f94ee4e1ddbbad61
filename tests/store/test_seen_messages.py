"""Messages are remembered once, by every process, and within bounds."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from everfit.store.seen_messages import KEPT, SeenMessages


def digest(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


def test_of_many_at_once_exactly_one_is_the_first(tmp_path: Path) -> None:
    for number in range(20):
        with ThreadPoolExecutor(8) as pool:
            found = [pool.submit(SeenMessages(tmp_path / "seen").add, digest(number)) for _ in range(16)]
        assert sum(future.result() for future in found) == 1


def test_a_message_that_was_discarded_may_come_again(tmp_path: Path) -> None:
    seen = SeenMessages(tmp_path)
    assert seen.add(digest(1))
    seen.discard(digest(1))
    assert seen.add(digest(1))
    assert not seen.add(digest(1))


def test_the_newest_are_remembered_and_the_folder_stays_small(tmp_path: Path) -> None:
    seen, most = SeenMessages(tmp_path), 0
    for number in range(2 * KEPT + 500):
        assert seen.add(digest(number))
        os.utime(tmp_path / digest(number), (number, number))  # a file system's clock may tick every few milliseconds
        most = max(most, number % 100 or len(os.listdir(tmp_path)))
    assert most <= 2 * KEPT + 1
    newest = range(number - KEPT + 1, number + 1)
    assert not any(seen.add(digest(one)) for one in newest)
    assert seen.add(digest(0))
