"""Records as the prediction service would write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from everfit.store.journal_records import (
    OUTCOMES,
    PREDICTIONS,
    PUSHES,
    Outcome,
    Outcomes,
    PredictionLayout,
    Predictions,
    PushedRows,
    Route,
)
from everfit.store.record_log import PredictionLog, RecordLog

START = datetime(2024, 1, 1, tzinfo=UTC)
LAYOUT = PredictionLayout(
    number=0,
    model="late",
    version=3,
    digest="sha256:1",
    task="binary",
    request=(("shop", "integer"), ("at", "instant"), ("day", "date"), ("note", "string")),
    features=("shop.load", "distance", "kind"),
    classes=(False, True),
    event_time="at",
)


def hour(number: float) -> datetime:
    return START + timedelta(hours=number)


def us(number: float) -> int:
    """Hours after the start, in microseconds since 1970."""
    return (hour(number) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


class Service:
    """Writes what the prediction service would."""

    def __init__(self, journal: Path, *, seal_bytes: int = 64 << 20) -> None:
        self.log = PredictionLog(journal / PREDICTIONS, seal_bytes=seal_bytes)
        self.outcome_log = RecordLog[Outcomes](journal / OUTCOMES)
        self.push_log = RecordLog[PushedRows](journal / PUSHES)
        self._numbers: dict[PredictionLayout, int] = {}

    def predict(
        self,
        *ids: str,
        at: float = 0,
        layout: PredictionLayout = LAYOUT,
        row: Sequence[Any] = (7, START, START.date(), "ok"),
        features: Sequence[Any] = (0.5, 12, "new"),
        value: Any = 0.25,
        route: Route = "champion",
    ) -> None:
        if layout not in self._numbers:
            self._numbers[layout] = self.log.describe(layout)
        self.log.append(
            Predictions(
                layout=self._numbers[layout],
                route=route,
                recorded_us=us(at),
                latency_us=150,
                ids=ids,
                rows=[row] * len(ids),
                features=[features] * len(ids),
                values=[value] * len(ids),
            )
        )

    def report(self, outcomes: Mapping[str, str | None], *, at: float, known: float | None = None) -> None:
        told = [
            Outcome(id=key, value=value, known_us=us(at if known is None else known)) for key, value in outcomes.items()
        ]
        self.outcome_log.append(Outcomes(model="late", recorded_us=us(at), outcomes=told))

    def push(self, *rows: tuple[int, float, float, float | None], at: float = 0) -> None:
        """Rows of shop, event hour, hour it was known, value."""
        self.push_log.append(
            PushedRows(
                view="load",
                recorded_us=us(at),
                keys={"shop": [row[0] for row in rows]},
                event_us=[us(row[1]) for row in rows],
                created_us=[us(row[2]) for row in rows],
                features={"value": [row[3] for row in rows]},
            )
        )

    def stop(self) -> None:
        """Seal everything."""
        self.log.close()
        self.outcome_log.close()
        self.push_log.close()


def variant(**changes: Any) -> PredictionLayout:
    return msgspec.structs.replace(LAYOUT, **changes)
