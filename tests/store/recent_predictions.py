"""Records in a log's folder that were not shipped yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from everfit.store.journal_records import PREDICTIONS, PredictionLayout, Predictions
from everfit.store.record_log import records_of
from everfit.store.segments import segments_of


def recent_records(folder: Path, kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield every record with its segment's name, in order."""
    for segment in segments_of(folder):
        for record in records_of(segment, kind):
            yield segment.name, record


def recent_predictions(journal: Path) -> Iterator[tuple[PredictionLayout, Predictions]]:
    """Yield every prediction with its layout, in order."""
    layouts: dict[tuple[str, int], PredictionLayout] = {}
    for segment, record in recent_records(journal / PREDICTIONS, PredictionLayout | Predictions):
        if isinstance(record, PredictionLayout):
            layouts[segment, record.number] = record
        else:
            yield layouts[segment, record.layout], record
