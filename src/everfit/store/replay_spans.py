"""The replays that a project went through: the time of each, and by how much the online store lagged in it.

A replay sends what has become known in a slice of time at the end of that slice. A prediction inside it therefore saw
history as it was when the slice began, by design, and is compared with just that.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from everfit.core.errors import StoreError

SPANS_FILE = "replays.jsonl"
"""Its name in the folder that holds a project's state; one line for each replay, oldest first."""


class ReplaySpan(Struct, frozen=True, kw_only=True):
    """The time of one replay, in slices."""

    start: datetime
    end: datetime
    """Exclusive; a replay that was interrupted ended earlier."""
    slice_s: float
    """Length of a slice, in seconds."""


def keep_span(state: Path, span: ReplaySpan) -> None:
    """Append a replay that begins. Raises :class:`OSError` if the file cannot be written."""
    with (state / SPANS_FILE).open("ab") as file:
        file.write(msgspec.json.encode(span) + b"\n")


def read_spans(state: Path) -> tuple[ReplaySpan, ...]:
    """All replays of a project, oldest first. Raises :class:`StoreError` if the file cannot be understood."""
    path = state / SPANS_FILE
    try:
        lines = path.read_bytes().splitlines()
        return tuple(msgspec.json.decode(line, type=ReplaySpan) for line in lines)
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        raise StoreError(f"the list of replays cannot be read: {error}", value=str(path)) from error
