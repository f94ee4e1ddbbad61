"""Predictions in a journal's folder that were not shipped yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from everfit.store.journal_records import PREDICTIONS, PredictionLayout, Predictions
from everfit.store.record_log import recent_records, with_layouts


def recent_predictions(journal: Path) -> Iterator[tuple[PredictionLayout, Predictions]]:
    """Yield every one, in order."""
    for _, layout, predictions in with_layouts(recent_records(journal / PREDICTIONS, PredictionLayout | Predictions)):
        yield layout, predictions
