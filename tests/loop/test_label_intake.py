"""Labels of a source come into the journal once, whatever is loaded late, corrected, shipped, lost or begun again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import polars as pl
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.journal.records import START, Service, hour
from tests.store.recent_predictions import recent_records

import everfit as ef
from everfit.features.labels import scan_labels
from everfit.journal.label_join import known_labels
from everfit.journal.logs import LABEL
from everfit.journal.prediction_history import PredictionHistory
from everfit.journal.ship import ship
from everfit.loop.label_intake import LabelIntake
from everfit.store.journal_records import LABELS, SourceLabels
from everfit.store.lake import Schema
from everfit.store.reader import Reader
from everfit.store.timestamps import INSTANT

Row = tuple[str, float, str]
"""An id, the hour at which its label became known, and the label."""


_EVENTS: Schema = {"id": pl.String, "at": INSTANT, "known": INSTANT, "label": pl.String, "x": pl.Float64}


class Place:
    """A folder with events, a journal and a lake."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rows, self.now = folder, list[Row](), 0.0
        self.lake, self.journal, self.state = folder / "lake", folder / "journal", folder / "state"
        self.service = Service(self.journal)
        self.service.predict("a", "b", "c", row=(1, START, START.date(), ""))
        source = ef.Source("events", path="events.parquet", timestamp="at")
        self.model = ef.Model(
            "late",
            task="binary",
            events=ef.Events(source, id="id"),
            request=["x"],
            features=["x"],
            label=ef.Label("label", known_at="known", positive="1"),
        )
        self.system: Any = SimpleNamespace(
            lake=self.lake,
            journal=self.journal,
            state=self.state,
            reader=Reader(folder, {}),
            ledger=sa.create_engine("sqlite://"),
        )
        self.load()
        self.restart()

    def restart(self) -> None:
        self.intake = LabelIntake(self.system, self.model)
        self.history = self.intake.history()

    def load(self, *rows: Row) -> None:
        """Add rows to the source."""
        self.rows += rows
        events = [(name, START, hour(known), label, 1.0) for name, known, label in self.rows]
        frame = pl.DataFrame(events, schema=_EVENTS, orient="row")
        frame.write_parquet(self.folder / "events.parquet")

    def take(self, hours: float = 0.0) -> PredictionHistory:
        self.now += hours
        self.intake.take(self.history, hour(self.now))
        return self.history

    def written(self) -> int:
        """Number of labels in the log that were not shipped."""
        return sum(len(record.ids) for _, record in recent_records(self.journal / LABELS, SourceLabels))

    def from_scratch(self) -> list[tuple[Any, ...]]:
        """What one reading of the whole source gives now."""
        rows = scan_labels(self.model, self.system.reader, until=hour(self.now)).collect()
        missing = {name: dtype for name, dtype in LABEL.items() if name not in rows.columns}
        whole = rows.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in missing.items())
        return sorted(known_labels(self.history.outcomes, whole, hour(self.now)).rows())

    def from_journal(self) -> list[tuple[Any, ...]]:
        return sorted(known_labels(self.history.outcomes, self.history.labels, hour(self.now)).rows())


@contextmanager
def place() -> Iterator[Place]:
    with TemporaryDirectory() as folder:
        found = Place(Path(folder))
        yield found
        found.intake.close()


def test_a_label_is_written_once_and_a_correction_besides() -> None:
    with place() as here:
        here.load(("a", 1, "1"), ("b", 5, "0"))
        assert here.take(2).labels["id"].to_list() == ["a"]
        here.take(0.1)
        here.restart()
        here.take(0.1)
        assert here.written() == 1
        here.take(4)
        here.load(("a", 6, "0"))
        here.take(1)
        assert here.written() == 3
        assert here.from_journal() == here.from_scratch() == [("a", "0", hour(6)), ("b", "0", hour(5))]


def test_what_is_loaded_later_than_it_says_is_found_within_a_day() -> None:
    with place() as here:
        here.take(24 * 50)
        for late, within in ((0.1, 0.0), (24, 1), (24 * 40, 24)):
            here.load((f"late {late}", here.now - late, "1"))
            here.take(within)
            assert here.from_journal() == here.from_scratch(), late


def test_labels_from_long_before_the_first_prediction_stay_in_the_source() -> None:
    with place() as here:
        here.load(("old", -24 * 31, "1"), ("a", 1, "1"))
        assert here.take(2).labels["id"].to_list() == ["a"]
        # A prediction of an earlier event, such as of a replay, makes them needed.
        here.service.predict("old", row=(1, hour(-24 * 20), START.date(), ""))
        assert sorted(here.take(1).labels["id"].to_list()) == ["a", "old"]
        assert here.written() == 2


def test_another_definition_has_labels_of_its_own() -> None:
    with place() as here:
        here.load(("a", 1, "1"))
        here.take(2)
        label = ef.Label(pl.when(pl.col("label") == "1").then(pl.lit("0")).otherwise(pl.lit("1")), known_at="known")
        here.model = ef.Model(
            "late", task="binary", events=here.model.events, request=["x"], features=["x"], label=label
        )
        here.restart()
        assert here.take().labels["value"].to_list() == ["0"]


IDS = st.sampled_from(["a", "b", "c"])
STEPS = st.one_of(
    st.tuples(st.just("load"), IDS, st.integers(0, 50), st.sampled_from(["0", "1"])),
    st.tuples(st.just("take"), st.sampled_from([0.05, 1.0, 30.0])),
    st.tuples(st.just("outcome"), IDS, st.sampled_from(["0", "1"])),
    st.sampled_from([("ship",), ("restart",), ("seal",), ("lose the mark",)]),
)


@settings(max_examples=30)  # each writes files a dozen times
@given(steps=st.lists(STEPS, max_size=14))
def test_any_order_of_loads_corrections_restarts_and_losses_ends_as_one_reading(steps: list[tuple[Any, ...]]) -> None:
    with place() as here:
        for number, (step, *values) in enumerate(steps):
            if step == "load":
                name, late, value = values
                # Known times are unlike each other: of two labels at the same instant, order would count.
                here.load((name, here.now - late + number / 1e4, value))
            elif step == "take":
                here.take(*values)
            elif step == "outcome":
                here.service.report({values[0]: values[1]}, at=here.now)
            elif step == "ship":
                here.intake.close()
                ship(here.journal, here.lake)
            elif step == "restart":
                here.intake.close()
                here.restart()
            elif step == "seal":
                here.intake.close()
            else:
                for mark in here.state.glob("labels/*.json"):
                    mark.unlink()
        here.take(24.0)
        assert here.from_journal() == here.from_scratch()
        assert here.history.labels.select("id", "value", "known_at").is_unique().all()
