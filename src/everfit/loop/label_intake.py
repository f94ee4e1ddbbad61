"""Intake of labels: what is new in the source of a model's events is recorded in the journal, once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from everfit.core.clock import to_us
from everfit.core.columns import ID, RECORDED_AT
from everfit.core.instants import END
from everfit.definitions.label_digest import label_digest
from everfit.definitions.model import Model
from everfit.features.labels import scan_labels
from everfit.journal.journal_feed import EARLIER
from everfit.journal.live_predictions import LivePredictions
from everfit.journal.logs import LABEL
from everfit.journal.prediction_history import PredictionHistory
from everfit.store.journal_records import LABELS, SourceLabels
from everfit.store.label_mark import first_mark, label_lock, read_label_mark, write_label_mark
from everfit.store.lake import PLACE, SEGMENT
from everfit.store.ledger import is_writable
from everfit.store.record_log import RecordLog
from everfit.store.sqlite_file import file_lock
from everfit.store.timestamps import instant_literal
from everfit.system import System

_RECORD_ROWS = 50_000


class LabelIntake:
    """Intake of one model's labels. Labels of another definition are others: they are taken anew."""

    def __init__(self, system: System, definition: Model) -> None:
        self._system, self._definition = system, definition
        self._digest = label_digest(definition)
        self._log: RecordLog[SourceLabels] | None = None

    def history(
        self, columns: Sequence[str] | None = (), *, as_of: datetime = END, most_rows: int | None = None
    ) -> PredictionHistory:
        """Return the model's history, empty as yet, with the labels that are taken here.

        Args:
            columns: Features or request fields to keep; all of them if ``None``.
            as_of: Predictions that were recorded later are left out.
            most_rows: Number of predictions to hold, the newest; two million by default.
        """
        system, name = self._system, self._definition.name
        return PredictionHistory(
            system.lake,
            system.journal,
            name,
            labels=self._digest,
            columns=columns,
            include_unshipped=True,
            as_of=as_of,
            most_rows=most_rows,
        )

    def take(self, history: PredictionHistory | LivePredictions, now: datetime) -> None:
        """Catch up with the log, and record what has become known since by the events' source.

        The source is read from the last mark on, with an overlap for rows that are loaded late: ten minutes, two days
        every hour, sixty days every day. Where the project's folder cannot be written, labels are held in memory only.
        Raises :class:`StoreError` if log or lake cannot be read or written, and the errors of
        :func:`~everfit.features.labels.scan_labels`.
        """
        state, name = self._system.state, self._definition.name
        if not is_writable(self._system.ledger):
            history.catch_up()
            if (since := _wanted_since(history)) is not None:
                history.hold(self._new(history, since, now))
            return
        with file_lock(label_lock(state, name), wait=True):
            history.catch_up()
            if history.is_behind or (since := _wanted_since(history)) is None:
                return
            mark = read_label_mark(state, name, self._digest)
            begin = since if mark is None else mark.begin(since, now)
            new = self._new(history, begin, now)
            if new.height:
                self._record(new, now)
                history.catch_up_labels()
            moved = first_mark(begin, now) if mark is None else mark.moved(begin, now)
            write_label_mark(state, name, self._digest, moved)
        if self._log is not None:
            self._log.seal_if_old()

    def close(self) -> None:
        """Seal what was recorded, so that it is shipped."""
        if self._log is not None:
            self._log.close()

    def _new(self, history: PredictionHistory | LivePredictions, begin: datetime, now: datetime) -> pl.DataFrame:
        """Return the labels in the source that are not in the journal yet, with the columns of a label."""
        source = self._definition.events.source
        with self._system.reader.naming_damage(source):
            found = scan_labels(self._definition, self._system.reader, since=begin, until=now)
            rows = found.with_columns(pl.col("value").cast(pl.String)).collect()
        new = rows.join(history.labels_since(begin), on=[ID, "value", "known_at"], how="anti")
        nowhere = (pl.lit(None, dtype=LABEL[name]).alias(name) for name in (SEGMENT, PLACE))
        return new.with_columns(instant_literal(now).alias(RECORDED_AT), *nowhere).select(*LABEL)

    def _record(self, new: pl.DataFrame, now: datetime) -> None:
        """Write labels to the log; they are on the disk when this returns, before the mark moves."""
        self._log = self._log or RecordLog[SourceLabels](self._system.journal / LABELS)
        for part in new.iter_slices(_RECORD_ROWS):
            record = SourceLabels(
                model=self._definition.name,
                definition=self._digest,
                recorded_us=to_us(now),
                ids=part[ID].to_list(),
                values=part["value"].to_list(),
                known_us=part["known_at"].dt.epoch("us").to_list(),
            )
            self._log.append(record)
        self._log.sync()


def _wanted_since(history: PredictionHistory | LivePredictions) -> datetime | None:
    """Return the known time from which on labels can be those of predictions; ``None`` without predictions in time."""
    first = history.feed.first_event
    return None if first is None else first - EARLIER
