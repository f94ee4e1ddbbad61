"""Evaluation of triggers by the facts of a model. Pure.

A trigger that fires names its *cause*. The cause stays the same as long as the condition lasts, so that it is ordered
once; if that order was in vain and the condition still lasts, it may be ordered ``again`` after the back-off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product

from msgspec import Struct

from everfit.core.duration import format_roughly
from everfit.core.errors import DefinitionError
from everfit.core.finding import EstimatedDrop, Incident
from everfit.core.order import IN_VAIN, OrderRecord, OrderState
from everfit.definitions.trigger import AllOf, AnyOf, Cron, Every, NewData, NewRelease, StaleModel, Trigger
from everfit.definitions.watch import Drift, PerformanceDrop

LABELS_SINCE_CHANGE = "labels_since_change"
"""In an order's numbers: :attr:`Facts.labels_since_change` when it was given."""
_SETTLING = timedelta(days=30)
"""Time after a change in which a model is retrained as its labels double; chosen: later, schedules suffice."""
AGAIN = "/again-"
"""Between a cause and the number of its repetition."""
_AND = " & "
"""Between the causes of a combination."""
_OF_RELEASE = "new_release/"
_ONCE: tuple[OrderState, ...] = ("failed",)
"""A candidate that was judged settles it; one that could not be made does not."""


class Champion(Struct, frozen=True, kw_only=True):
    """The version in production."""

    version: int
    as_of: datetime
    """Of its training frame: nothing that became known later was used."""
    trained_until: datetime
    """It was trained on events before this."""
    code: str
    """Digest of the code that trained it."""


class Facts(Struct, frozen=True, kw_only=True):
    """State of a model when its policy is evaluated."""

    model: str
    champion: Champion | None
    code: str
    """Digest of the code that the definitions come from: the active release's, or the folder's as it is now."""
    release: str = ""
    """Name of the active release; empty while the project's own folder is what runs."""
    released_at: datetime | None = None
    """When that release became active; ``None`` without one."""
    incidents: tuple[Incident, ...] = ()
    """Those that are open after the latest evaluation."""
    estimated_drop: EstimatedDrop | None = None
    labels_since: int = 0
    """Known labels, in the events' source, of events from the champion's ``trained_until`` on."""
    rows_since: int = 0
    """Labels in the events' source that became known after the champion's ``as_of``, whatever their events' times."""
    changed_at: datetime | None = None
    """Event time since which a version had become worse, by the latest incident; ``None`` if none is recent."""
    labels_since_change: int = 0
    """Known labels, in the events' source, of events from ``changed_at`` on."""
    labels: int | None = None
    """All labels that the events' source has; counted only while no version is deployed, ``None`` if it cannot be."""


class Signal(Struct, frozen=True, kw_only=True):
    """Result of one trigger."""

    sentence: str
    """Why it fires, or what it waits for."""
    cause: str = ""
    """Empty while it does not fire."""
    again: tuple[OrderState, ...] = _ONCE
    """States of an ended order after which the same cause may be ordered again."""
    needs_labels: bool = True
    """False if retraining makes sense without new labels."""
    released_at: datetime | None = None
    """Set if a release of the code is the only reason: orders from before it became active have not settled it."""
    findings: tuple[str, ...] = ()
    numbers: dict[str, float] = {}
    incident: int | None = None
    due_at: datetime | None = None
    """The scheduled time."""
    zone: str = "UTC"
    """The time zone of the schedule."""


@dataclass(frozen=True)
class Signals:
    """Evaluation of the triggers of one model."""

    facts: Facts
    champion: Champion
    """That of the facts."""
    history: Sequence[OrderRecord]
    """The model's orders, oldest first."""
    now: datetime

    def of(self, trigger: Trigger) -> tuple[Signal, ...]:
        """Evaluate a trigger or a combination; each signal with a cause is reason enough to retrain.

        Raises :class:`DefinitionError` if a trigger is of no known kind.
        """
        match trigger:
            case AnyOf(parts=parts):
                return tuple(signal for part in parts for signal in self.of(part))
            case AllOf(parts=parts):
                return tuple(_together(signals) for signals in product(*map(self.of, parts)))
            case PerformanceDrop():
                found = self._performance_drop()
            case Drift():
                found = self._drift(trigger)
            case Every():
                found = self._every(trigger)
            case Cron():
                found = self._cron(trigger)
            case NewData():
                found = self._new_data(trigger)
            case NewRelease():
                found = self._new_release()
            case StaleModel():
                found = self._stale_model(trigger)
            case _:
                raise DefinitionError("a trigger must be one that everfit knows", value=trigger)
        return (found,)

    @property
    def _dropped(self) -> Incident | None:
        """The champion's drop; that of an earlier version is no longer news."""
        number = self.champion.version
        return next((incident for incident in self.facts.incidents if incident.is_drop_of(number)), None)

    @property
    def _settled_at(self) -> datetime:
        """When the champion or a later order was last decided on: schedules count from here."""
        last = next((record for record in reversed(self.history) if record.state != "failed"), None)
        return self.champion.as_of if last is None else max(self.champion.as_of, last.order.asked_at)

    def _performance_drop(self) -> Signal:
        incident = self._dropped
        return self._after_drop() if incident is None else self._of_incident(incident, _first_sentence(incident))

    def _after_drop(self) -> Signal:
        """Fire once the labels of the changed world have doubled since the last training, which learnt from few."""
        calm = f"version {self.champion.version} is not known to have become worse"
        since, known = self.facts.changed_at, self.facts.labels_since_change
        given = [record for record in self.history if LABELS_SINCE_CHANGE in record.order.numbers]
        if since is None or self.now - since > _SETTLING or not given or given[-1].order.asked_at < since:
            return Signal(sentence=calm)
        last = given[-1]
        wanted = 2 * int(last.order.numbers[LABELS_SINCE_CHANGE])
        if known < max(wanted, 1):
            return Signal(sentence=f"{calm}, and {known:,} of {wanted:,} labels are known since the world changed")
        return Signal(
            cause=f"after_drop/v{self.champion.version}/{wanted}",
            sentence=f"{known:,} labels are known since the world changed on {since:%Y-%m-%d}, twice as many as "
            f"for order {last.number}",
            numbers={LABELS_SINCE_CHANGE: float(known)},
        )

    def _drift(self, trigger: Drift) -> Signal:
        drifts = [found for found in self.facts.incidents if found.finding.kind in {"drift", "prediction_drift"}]
        if not drifts:
            return Signal(sentence="nothing has drifted")
        drifts.sort(key=lambda incident: (-_weight(incident), incident.number))
        if trigger.anyway:
            return self._of_incident(drifts[0], _first_sentence(drifts[0]))
        # Monitoring warns of a shift that is large enough, in a column that the model uses enough, to be noticed.
        felt = [incident for incident in drifts if incident.finding.severity != "info"]
        if not felt:
            return Signal(sentence="what has drifted is hardly used by the model")
        moved, dropped, estimated = _first_sentence(felt[0]), self._dropped, self.facts.estimated_drop
        if dropped is not None:
            # The drop's cause, so that one problem is not ordered once as drift and once as a drop.
            return self._of_incident(dropped, f"{moved}. {_first_sentence(dropped)}", felt)
        if estimated is not None and estimated.at_least > 0:
            expected = f"its {estimated.metric} is expected to be worse by {estimated.worse_by:.4f}"
            sentence = f"{moved}, and {expected}, at least {estimated.at_least:.4f}"
            numbers = {"expected_worse_by": estimated.worse_by, "expected_worse_by_at_least": estimated.at_least}
            return self._of_incident(felt[0], sentence, felt[1:], numbers)
        return Signal(sentence=f"{felt[0].finding.subject} has drifted, but that was not shown to matter")

    def _every(self, trigger: Every) -> Signal:
        due = self._settled_at + trigger.length
        if self.now < due:
            return Signal(sentence=f"the next of every {trigger.period} is due on {due:%Y-%m-%d %H:%M} UTC")
        sentence = f"{trigger.period} have passed since {self._settled_at:%Y-%m-%d %H:%M} UTC"
        return Signal(cause=f"every/{due:%Y-%m-%dT%H:%M:%S}", sentence=sentence)

    def _cron(self, trigger: Cron) -> Signal:
        tick = trigger.until(self.now)
        closed = trigger.window is not None and self.now >= tick + trigger.window
        if closed or tick <= self._settled_at:
            due = trigger.after(max(self.now, self._settled_at))
            return Signal(sentence=f"the schedule {trigger.text} is due on {due:%Y-%m-%d %H:%M} UTC")
        sentence = f"The schedule {trigger.text} was due on {tick:%Y-%m-%d %H:%M} UTC"
        cause = f"cron/{tick:%Y-%m-%dT%H:%M}"
        return Signal(cause=cause, sentence=sentence, due_at=tick, zone=trigger.zone)

    def _new_data(self, trigger: NewData) -> Signal:
        rows = self.facts.rows_since
        times = rows // trigger.rows
        if not times:
            return Signal(sentence=f"{rows:,} of {trigger.rows:,} new labelled rows are there")
        return Signal(
            cause=f"new_data/v{self.champion.version}/{times * trigger.rows}",
            sentence=f"{rows:,} labelled rows became known since version {self.champion.version} was trained",
            numbers={"rows_since": float(rows)},
        )

    def _new_release(self) -> Signal:
        if self.facts.code == self.champion.code:
            return Signal(sentence=f"the code is that of version {self.champion.version}")
        release, version = self.facts.release, self.champion.version
        code = f"The code of {release}" if release else "The code"
        return Signal(
            cause=f"{_OF_RELEASE}{self.facts.code}",
            sentence=f"{code} is not that of version {version}",
            needs_labels=False,
            released_at=self.facts.released_at,
        )

    def _stale_model(self, trigger: StaleModel) -> Signal:
        version, age = self.champion.version, self.now - self.champion.as_of
        if age < trigger.length:
            due = self.champion.as_of + trigger.length
            return Signal(sentence=f"version {version} becomes stale on {due:%Y-%m-%d %H:%M} UTC")
        return Signal(
            cause=f"stale_model/v{version}",
            sentence=f"Version {version} was trained {format_roughly(age)} ago, longer than {trigger.age}",
            again=IN_VAIN,
        )

    def _of_incident(
        self,
        incident: Incident,
        sentence: str,
        also: Sequence[Incident] = (),
        numbers: Mapping[str, float] | None = None,
    ) -> Signal:
        # An incident of no version, such as drift, may outlast its retraining: for another champion it is a new cause.
        of = "" if incident.finding.version is not None else f"/v{self.champion.version}"
        return Signal(
            cause=f"{incident.key.rstrip('/')}#{incident.number}{of}",
            sentence=sentence,
            again=IN_VAIN,
            findings=(incident.key, *(other.key for other in also)),
            numbers={**incident.finding.numbers, **(numbers or {})},
            incident=incident.number,
        )


def is_caused_by_release(cause: str, code: str) -> bool:
    """Return true for the cause of an order that the release of a code gave rise to; ``code`` is its digest."""
    return f"{_OF_RELEASE}{code}" in cause.partition(AGAIN)[0].split(_AND)


def _together(parts: Sequence[Signal]) -> Signal:
    """Combine signals; the combination fires if each does."""
    missing = [part.sentence for part in parts if not part.cause]
    if missing:
        return Signal(sentence=" and ".join(missing))
    scheduled = next((part for part in parts if part.due_at is not None), parts[0])
    return Signal(
        cause=_AND.join(part.cause for part in parts),
        sentence=". ".join(part.sentence for part in parts),
        again=tuple(state for state in IN_VAIN if all(state in part.again for part in parts)),
        needs_labels=any(part.needs_labels for part in parts),
        released_at=parts[0].released_at if all(part.released_at for part in parts) else None,
        findings=tuple(dict.fromkeys(key for part in parts for key in part.findings)),
        numbers={name: value for part in reversed(parts) for name, value in part.numbers.items()},
        incident=next((part.incident for part in parts if part.incident is not None), None),
        due_at=scheduled.due_at,
        zone=scheduled.zone,
    )


def _weight(incident: Incident) -> float:
    """Return the effect of a drift times the importance of its column."""
    numbers = incident.finding.numbers
    return numbers.get("effect", 0.0) * numbers.get("importance", 1.0)


def _first_sentence(incident: Incident) -> str:
    return incident.finding.sentence.partition(". ")[0].removesuffix(".")
