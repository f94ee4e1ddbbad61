"""Outcomes that callers report for predictions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from everfit.artifact.schema import InputSchema
from everfit.core.class_names import LONGEST_CLASS, class_name, quoted, read_class
from everfit.core.clock import to_us
from everfit.core.errors import InvalidRequestError
from everfit.core.instants import HAPPENED, broken_rule
from everfit.serving.inference.data_plane import DataPlane
from everfit.serving.inference.variants import Variants
from everfit.serving.prediction_logger import PredictionLogger
from everfit.serving.protocols.json import LONGEST_ID, decode_json, require_few
from everfit.store.journal_records import Outcome, Outcomes

PastInstant = Annotated[datetime, Meta(tz=True, description=HAPPENED)]
_Id = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]


class OutcomeReport(Struct, forbid_unknown_fields=True):
    """One reported outcome."""

    id: _Id
    value: bool | int | float | str | None
    known_at: PastInstant | None = None


class _ReportBody(Struct, forbid_unknown_fields=True):
    outcomes: Annotated[list[OutcomeReport], Meta(min_length=1)] | UnsetType = UNSET
    id: _Id | UnsetType = UNSET
    value: bool | int | float | str | UnsetType | None = UNSET
    known_at: Annotated[datetime, Meta(tz=True)] | UnsetType | None = UNSET


_BODY = msgspec.json.Decoder(_ReportBody)


class ReportedOutcomes(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Number of outcomes that were recorded."""

    outcomes: int
    new_class: int = 0
    """Number of outcomes of a class that the champion was not trained on; left out where there are none."""


@dataclass(frozen=True)
class Feedback:
    """Checks and records reported outcomes; at most ``max_rows`` in one request."""

    data_plane: DataPlane
    prediction_logger: PredictionLogger
    max_rows: int

    def report(self, variants: Variants, body: bytes) -> ReportedOutcomes:
        """Record outcomes: ``{"outcomes": [{"id": …, "value": …, "known_at"?: …}, …]}``, or one such object.

        A later report of an id corrects an earlier one; a null takes it back. A new class of a multiclass model is
        recorded, so that the next training includes it; a binary model has two classes only. The outcomes are on the
        disk once :meth:`everfit.serving.prediction_logger.PredictionLogger.on_disk` is done.

        Raises :class:`InvalidRequestError` if the body has another form, or a value is no label of this model,
        :class:`RequestTooLargeError` if there are too many outcomes, and :class:`StoreError` if writing them failed.
        """
        reports = _reports(decode_json(_BODY, body, "must be what the documentation says"))
        require_few(len(reports), self.max_rows, "outcomes")
        now_us = self.data_plane.now_us()
        champion = variants.champion
        names = {None, *champion.class_names}
        outcomes = []
        for number, report in enumerate(reports):
            place, known_us = f"outcomes[{number}]", now_us
            value = None if report.value is None else _label(report.value, champion.schema)
            if value is None and report.value is not None:
                rule = f"must be {_expected(champion.schema)}, or null"
                raise InvalidRequestError(rule, value=report.value, place=f"{place}.value")
            if report.known_at is not None:
                known_us = past_us(report.known_at, now_us, f"{place}.known_at")
            outcomes.append(Outcome(id=report.id, value=value, known_us=known_us))
        self.prediction_logger.log_outcomes(Outcomes(model=champion.name, recorded_us=now_us, outcomes=outcomes))
        new_class = sum(outcome.value not in names for outcome in outcomes) if champion.class_names else 0
        return ReportedOutcomes(outcomes=len(outcomes), new_class=new_class)


def past_us(instant: datetime, now_us: int, place: str) -> int:
    """Return an instant that lies in the past, in microseconds since 1970.

    Raises :class:`InvalidRequestError` if it lies too far in the past or in the future.
    """
    instant_us = to_us(instant)
    if rule := broken_rule(instant_us, now_us=now_us):
        raise InvalidRequestError(rule, value=instant.isoformat(), place=place)
    return instant_us


def _reports(body: _ReportBody) -> list[OutcomeReport]:
    if body.outcomes is not UNSET and body.id is UNSET and body.value is UNSET and body.known_at is UNSET:
        return body.outcomes
    if body.outcomes is not UNSET or body.id is UNSET or body.value is UNSET:
        rule = 'must be {"outcomes": [{"id": …, "value": …}, …]}, or one object with id and value'
        raise InvalidRequestError(rule, place="body")
    return [OutcomeReport(body.id, body.value, None if body.known_at is UNSET else body.known_at)]


def _label(value: object, schema: InputSchema) -> str | None:
    """Return an outcome as it is recorded; ``None`` if it is no label of the model's type."""
    if schema.task != "regression":
        return read_class(value, schema.classes, new=schema.task == "multiclass")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return repr(float(value))
    except OverflowError:  # an integer that no double can hold
        return None


def _expected(schema: InputSchema) -> str:
    """Return the rule for a model's outcomes."""
    if schema.task == "regression":
        return "a finite number"
    if schema.task == "binary":
        known = " or ".join(map(class_name, schema.classes))
        return f"{known}, of which {class_name(schema.classes[-1])} is the positive class"
    known = quoted([class_name(value) for value in schema.classes])
    if any(isinstance(value, bool) for value in schema.classes):
        return f"one of {known}"
    kind = f"text of 1 to {LONGEST_CLASS} characters" if isinstance(schema.classes[0], str) else "a whole number"
    return f"{kind}: one of {known}, or a class that training has not seen"
