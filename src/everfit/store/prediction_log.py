"""What was answered: written by the prediction service before the answer is sent, read by the journal."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from everfit.core.errors import StoreError
from everfit.store.record_log import RecordLog, encode_record, recent_records

Route = Literal["champion", "canary", "shadow", "named", "stand_in"]
"""Why a version answered; ``named``: the caller asked for this version; ``stand_in``: another one failed."""

PREDICTIONS = "predictions"
"""The log's folder within the journal's."""


class Layout(Struct, frozen=True, kw_only=True, array_like=True, tag=0):
    """What the values of a version's predictions are; the first thing in a segment that has such."""

    number: int
    """By which the predictions of the same segment name it."""
    model: str
    version: int
    digest: str
    task: str
    request: tuple[tuple[str, str], ...]
    """Name and :data:`everfit.artifact.schema.FieldType` of every request field."""
    features: tuple[str, ...]
    """Looked-up columns, then computed ones."""
    classes: tuple[str | int | bool, ...]
    event_time: str
    """The request field that is the event time; empty where it is the moment of asking."""


class Predictions(Struct, frozen=True, kw_only=True, array_like=True, tag=1):
    """The answers to one request by one version."""

    layout: int
    route: Route
    recorded_us: int
    """The moment of asking, in microseconds since 1970."""
    latency_us: int
    """From the request's arrival to this record."""
    ids: Sequence[str]
    rows: Sequence[Sequence[Any]]
    """The request's values in the order of the layout; dates are ISO text once they were written."""
    features: Sequence[Sequence[Any]]
    """As used, before they were encoded, in the order of the layout."""
    values: Sequence[float | Sequence[float]]
    """The chance of the positive class or the number; for multiclass each class's chance in the layout's order."""


class PredictionLog(RecordLog[Predictions]):
    """Writes predictions. Any thread may call any method.

    Args:
        folder: The journal's folder.
        seal_bytes: See :class:`everfit.store.segments.SegmentWriter`.
        seal_after_s: See there, in seconds.
    """

    def __init__(self, folder: Path, *, seal_bytes: int = 64 << 20, seal_after_s: float = 60.0) -> None:
        self._layouts: list[bytes] = []
        self._describing = threading.Lock()
        super().__init__(
            folder / PREDICTIONS, seal_bytes=seal_bytes, seal_after_s=seal_after_s, preamble=lambda: self._layouts
        )

    def describe(self, layout: Layout) -> int:
        """Say what a version's values are, before the first of its predictions; the number to name it by.

        Raises:
            StoreError: If it could not be written.
        """
        with self._describing:
            number = len(self._layouts)
            payload = encode_record(msgspec.structs.replace(layout, number=number))
            # Before it is written: another thread may begin a new segment at any moment, and that must have it too.
            self._layouts.append(payload)
        self._append(payload)
        return number


def recent_predictions(journal: Path) -> Iterator[tuple[Layout, Predictions]]:
    """Every prediction in the journal's folder that was not shipped yet, in order.

    Raises:
        StoreError: If a segment cannot be read or understood.
    """
    for _, layout, predictions in with_layouts(recent_records(journal / PREDICTIONS, Layout | Predictions)):
        yield layout, predictions


def with_layouts(
    records: Iterable[tuple[str, Layout | Predictions]],
) -> Iterator[tuple[str, Layout, Predictions]]:
    """Predictions with their segment's name and their layout.

    Args:
        records: All records of whole segments, in order, with their segments' names.

    Raises:
        StoreError: If a prediction's layout does not stand before it.
    """
    layouts: dict[tuple[str, int], Layout] = {}
    for segment, record in records:
        if isinstance(record, Layout):
            layouts[segment, record.number] = record
            continue
        layout = layouts.get((segment, record.layout))
        if layout is None:
            raise StoreError("a prediction's layout must stand before it", value=segment)
        yield segment, layout, record
