"""What the ledger says of a model's life, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from everfit.core.finding import FindingKind

if TYPE_CHECKING:
    from everfit.core.finding import Incident
    from everfit.core.order import OrderRecord
    from everfit.core.rollout import Rollout, TransitionRecord
    from everfit.definitions.rollout import RolloutPlan
    from everfit.loop.training_record import JudgedCandidate

What = Literal[
    "truth", "finding", "over", "order", "training", "gates", "refused", "rollout", "champion", "kept", "taken back"
]

_TOLD_BY_ORDERS: frozenset[FindingKind] = frozenset({"training_failed", "candidate_refused", "taken_back"})


class Event(Struct, frozen=True, kw_only=True):
    """One line of the timeline."""

    key: str
    """No other event has it."""
    at: datetime
    """By the clock that the system lived by."""
    what: What
    sentence: str
    """What happened and why, with its numbers."""


def timeline(
    incidents: Sequence[Incident],
    orders: Sequence[OrderRecord],
    rollouts: Sequence[Rollout],
    *,
    made: Mapping[int, JudgedCandidate],
    plan: RolloutPlan,
) -> tuple[Event, ...]:
    """Everything that is worth a line, the oldest first.

    Args:
        incidents: The model's.
        orders: Likewise.
        rollouts: Likewise.
        made: What training came to, by the order's number, as far as it has.
        plan: The stages that rollouts go through.
    """
    events = [event for each in _worth_telling(incidents) for event in _of_incident(each)]
    events += [event for each in orders for event in _of_order(each, made.get(each.number))]
    events += [event for each in rollouts for event in _of_rollout(each, plan)]
    return tuple(sorted(events, key=lambda each: each.at))


def _worth_telling(incidents: Sequence[Incident]) -> Iterator[Incident]:
    """Drops of performance each time; of other troubles that come and go, the first time."""
    told: set[str] = set()
    for incident in incidents:
        finding = incident.finding
        if finding.severity == "info" or finding.kind in _TOLD_BY_ORDERS:
            continue
        if finding.kind == "performance_drop" or incident.key not in told:
            yield incident
        told.add(incident.key)


def _of_incident(incident: Incident) -> Iterator[Event]:
    finding, key = incident.finding, f"incident/{incident.number}"
    yield Event(key=key, at=incident.opened_at, what="finding", sentence=finding.sentence)
    if incident.resolved_at is not None and finding.kind == "performance_drop":
        sentence = f"Incident {incident.number} is over: {_first(finding.sentence)}."
        yield Event(key=f"{key}/over", at=incident.resolved_at, what="over", sentence=sentence)


def _of_order(record: OrderRecord, made: JudgedCandidate | None) -> Iterator[Event]:
    key = f"order/{record.number}"
    why = f"Order {record.number}, by the {record.order.actor}: retrain, because {_lowered(record.order.reason)}"
    yield Event(key=key, at=record.order.asked_at, what="order", sentence=why)
    if record.state == "running" or record.started_at is None:
        return  # what it came to is not settled yet
    if made is not None:
        yield Event(key=f"{key}/training", at=record.started_at, what="training", sentence=_trained(made))
        yield _judged(record, made, f"{key}/gates")
    elif record.state == "failed" and record.ended_at is not None:
        yield Event(key=f"{key}/failed", at=record.ended_at, what="refused", sentence=record.sentence)


def _trained(made: JudgedCandidate) -> str:
    score = made.scores[0]
    return (
        f"Learnt from {made.manifest.labelled:,} labelled rows in {made.trials} trials; on the newest {score.rows:,}, "
        f"held out, its {_words(score.metric)} is {score.value:.4f}, between {score.low:.4f} and {score.high:.4f}."
    )


def _judged(record: OrderRecord, made: JudgedCandidate, key: str) -> Event:
    verdicts = made.report.verdicts
    passed = sum(each.outcome == "passed" for each in verdicts)
    at = record.ended_at if record.state == "refused" and record.ended_at else record.started_at
    assert at is not None
    count = f"{passed} of {len(verdicts)} gates passed."
    if not made.report.passed:
        return Event(key=key, at=at, what="refused", sentence=f"{count} {record.sentence}")
    against = next((each.sentence for each in verdicts if each.gate == "beats_champion"), "")
    version = "" if record.version is None else f" It is version {record.version}."
    return Event(key=key, at=at, what="gates", sentence=f"{count} {_sentences(against, 1)}{version}")


def _of_rollout(rollout: Rollout, plan: RolloutPlan) -> Iterator[Event]:
    for place, move in enumerate(rollout.history):
        what: What = "rollout"
        if move.state in {"watching", "kept"}:
            what = "champion" if move.action == "promote" else "kept"
        elif move.state in {"refused", "rolled_back"}:
            what = "taken back"
        sentence = _moved(rollout, move, plan)
        yield Event(key=f"rollout/{rollout.number}/{place}", at=move.at, what=what, sentence=sentence)


def _moved(rollout: Rollout, move: TransitionRecord, plan: RolloutPlan) -> str:
    version, before = f"Version {rollout.version}", f"version {rollout.previous}"
    share = plan.stages[min(move.stage, len(plan.stages) - 1)].share
    led_to = {
        "waiting_approval": f"{version} waits until a person says yes.",
        "shadow": f"{version} goes into shadow: it is asked as well, and nobody hears it.",
        "canary": f"{version} answers {share:.0%} of the orders.",
        "watching": f"{version} answers everybody, and {before} is asked in shadow.",
        "kept": f"{version} stays.",
        "refused": f"{version} goes no further; {before} answers everybody.",
        "rolled_back": f"{before.capitalize()} answers everybody again.",
        "paused": f"{version} is halted.",
        "superseded": f"{version} makes way for a newer one.",
    }[move.state]
    return led_to if move.action == "begin" else f"{move.sentence} {led_to}"


def _first(text: str) -> str:
    return text.partition(". ")[0].removesuffix(".")


def _sentences(text: str, count: int) -> str:
    return ". ".join(text.split(". ")[:count]).rstrip(".") + "." if text else ""


def _words(metric: str) -> str:
    return metric.replace("_", " ")


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
