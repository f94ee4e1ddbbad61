"""Log of predictions: written by the prediction service before the response is sent, read by the journal."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from everfit.core.errors import StoreError
from everfit.store.journal_records import PREDICTIONS, PredictionLayout, Predictions
from everfit.store.record_log import RecordLog, encode_record, recent_records


class PredictionLog(RecordLog[Predictions]):
    """Writes predictions. Any thread may call any method.

    Args:
        seal_bytes: See :class:`everfit.store.segments.SegmentWriter`.
        seal_after_s: See there, in seconds.
    """

    def __init__(self, folder: Path, *, seal_bytes: int = 64 << 20, seal_after_s: float = 60.0) -> None:
        self._layouts: list[bytes] = []
        self._describing = threading.Lock()
        super().__init__(
            folder / PREDICTIONS, seal_bytes=seal_bytes, seal_after_s=seal_after_s, preamble=lambda: self._layouts
        )

    def describe(self, layout: PredictionLayout) -> int:
        """Write a version's layout before the first of its predictions, and return its number.

        Raises :class:`StoreError` if it cannot be written.
        """
        with self._describing:
            number = len(self._layouts)
            payload = encode_record(msgspec.structs.replace(layout, number=number))
            # Before it is written: another thread may begin a new segment at any moment, and that must have it too.
            self._layouts.append(payload)
        self._append(payload)
        return number


def recent_predictions(journal: Path) -> Iterator[tuple[PredictionLayout, Predictions]]:
    """Yield every prediction in the journal's folder that was not shipped yet, in order.

    Raises :class:`StoreError` if a segment cannot be read or understood.
    """
    for _, layout, predictions in with_layouts(recent_records(journal / PREDICTIONS, PredictionLayout | Predictions)):
        yield layout, predictions


def with_layouts(
    records: Iterable[tuple[str, PredictionLayout | Predictions]],
) -> Iterator[tuple[str, PredictionLayout, Predictions]]:
    """Yield predictions with their segment's name and their layout.

    Raises :class:`StoreError` if a prediction's layout does not stand before it.

    Args:
        records: All records of whole segments, in order, with their segments' names.
    """
    layouts: dict[tuple[str, int], PredictionLayout] = {}
    for segment, record in records:
        if isinstance(record, PredictionLayout):
            layouts[segment, record.number] = record
            continue
        layout = layouts.get((segment, record.layout))
        if layout is None:
            raise StoreError("a prediction's layout must stand before it", value=segment)
        yield segment, layout, record
