"""Timeline of a model: incidents, training orders and rollouts of the ledger, in order of time; and the demo's page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from textwrap import wrap
from typing import Literal

from msgspec import Struct

from everfit.cli.output import Styled, Table, Terminal, bold, spoken
from everfit.core.finding import FindingKind, Incident
from everfit.core.order import OrderRecord
from everfit.core.rollout import Rollout, TransitionRecord
from everfit.definitions.rollout import RolloutPlan
from everfit.loop.training_record import JudgedCandidate
from everfit.replay.result import Figures

What = Literal[
    "truth", "finding", "over", "order", "training", "gates", "refused", "rollout", "champion", "kept", "taken back"
]

_SHOWN_BY_ORDERS: frozenset[FindingKind] = frozenset({"training_failed", "candidate_refused", "taken_back"})


class Event(Struct, frozen=True, kw_only=True):
    """One line of the timeline."""

    key: str
    """Unique among the events."""
    at: datetime
    """Time of the system's clock."""
    what: What
    sentence: str
    """The event and its reason, with numbers."""


def timeline(
    incidents: Sequence[Incident],
    orders: Sequence[OrderRecord],
    rollouts: Sequence[Rollout],
    *,
    made: Mapping[int, JudgedCandidate],
    plan: RolloutPlan,
) -> tuple[Event, ...]:
    """Return the events of a model, oldest first; ``made`` are results of trainings by the number of their order."""
    events = [event for incident in _shown(incidents) for event in _of_incident(incident)]
    events += [event for record in orders for event in _of_order(record, made.get(record.number))]
    events += [event for rollout in rollouts for event in _of_rollout(rollout, plan)]
    return tuple(sorted(events, key=lambda event: event.at))


def _shown(incidents: Sequence[Incident]) -> Iterator[Incident]:
    """Yield every performance drop, and the first of other incidents with the same key."""
    seen: set[str] = set()
    for incident in incidents:
        finding = incident.finding
        if finding.severity == "info" or finding.kind in _SHOWN_BY_ORDERS:
            continue
        if finding.kind == "performance_drop" or incident.key not in seen:
            yield incident
        seen.add(incident.key)


def _of_incident(incident: Incident) -> Iterator[Event]:
    finding, key = incident.finding, f"incident/{incident.number}"
    yield Event(key=key, at=incident.opened_at, what="finding", sentence=finding.sentence)
    if incident.resolved_at is not None and finding.kind == "performance_drop":
        sentence = f"Incident {incident.number} has ended: {_first(finding.sentence)}."
        yield Event(key=f"{key}/over", at=incident.resolved_at, what="over", sentence=sentence)


def _of_order(record: OrderRecord, made: JudgedCandidate | None) -> Iterator[Event]:
    key = f"order/{record.number}"
    why = f"Training order {record.number} by {record.order.actor}: {record.order.reason}"
    yield Event(key=key, at=record.order.asked_at, what="order", sentence=why)
    if record.state == "running" or record.started_at is None:
        return  # its result is not known yet
    if made is not None:
        yield Event(key=f"{key}/training", at=record.started_at, what="training", sentence=_trained(made))
        yield _judged(record, made, f"{key}/gates")
    elif record.state == "failed" and record.ended_at is not None:
        yield Event(key=f"{key}/failed", at=record.ended_at, what="refused", sentence=record.sentence)


def _trained(made: JudgedCandidate) -> str:
    score = made.scores[0]
    return (
        f"Trained on {made.manifest.labelled:,} labelled rows, {made.trials} trials; {spoken(score.metric)} on the "
        f"hold-out of {score.rows:,} rows: {score.value:.4f}, between {score.low:.4f} and {score.high:.4f}."
    )


def _judged(record: OrderRecord, made: JudgedCandidate, key: str) -> Event:
    verdicts = made.report.verdicts
    passed = sum(verdict.outcome == "passed" for verdict in verdicts)
    at = record.ended_at if record.state == "refused" and record.ended_at else record.started_at
    assert at is not None
    count = f"{passed} of {len(verdicts)} gates passed."
    if not made.report.passed:
        return Event(key=key, at=at, what="refused", sentence=f"{count} {record.sentence}")
    compared = [f"{_first(verdict.sentence)}." for verdict in verdicts if verdict.gate == "beats_champion"]
    version = [] if record.version is None else [f"It is version {record.version}."]
    return Event(key=key, at=at, what="gates", sentence=" ".join([count, *compared, *version]))


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
        "waiting_approval": f"{version} waits for approval.",
        "shadow": f"{version} runs as shadow: its predictions for a copy of each request are only recorded.",
        "canary": f"{version} serves {share:.0%} of the orders.",
        "watching": f"{version} is the champion, and {before} runs as shadow.",
        "kept": f"{version} stays the champion.",
        "refused": f"{version} is refused; {before} stays the champion.",
        "rolled_back": f"{before.capitalize()} is the champion again.",
        "paused": f"The rollout of {version} is paused.",
        "superseded": f"{version} is superseded by a newer one.",
    }[move.state]
    return led_to if move.action == "begin" else f"{move.sentence} {led_to}"


def _first(text: str) -> str:
    return text.partition(". ")[0].removesuffix(".")


_WIDEST = 120
_NARROWEST = 30
_INDENT = 26
"""Indentation of sentences, after date and kind."""
_COLOURS = {
    "truth": "magenta",
    "finding": "yellow",
    "order": "cyan",
    "refused": "red",
    "taken back": "red",
    "gates": "green",
    "champion": "bold green",
    "kept": "green",
    "over": "green",
}
_BARS = "▁▂▃▄▅▆▇█"


class Page(Terminal):
    """Standard output of the demo."""

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(quiet=quiet, widest=_WIDEST)

    def step(self, command: str, result: str) -> None:
        """Print a command that a user would type, and its result."""
        self.show([bold(f"$ {command}"), f"  {result}", ""])

    def event(self, event: Event) -> None:
        """Print a line of the timeline; a long sentence continues below its beginning."""
        # Not a table: that would end every line of a file with blanks.
        first, *more = wrap(event.sentence, max(self.width - _INDENT, _NARROWEST))
        kind = Styled(f"{event.what:<10}  ", _COLOURS.get(event.what, ""))
        self.line(Styled(f"{event.at:%b %d %H:%M}  ", "dim"), kind, first, sep="", wrap=False)
        for line in more:
            self.line(" " * _INDENT + line, wrap=False)

    def quote(self, mark: str, line: str) -> None:
        """Print a line of another program's output that begins with a mark, which continues below it, too."""
        first, *more = wrap(line.removeprefix(mark).removeprefix(" "), max(self.width - len(mark) - 1, _NARROWEST)) or [
            ""
        ]
        self.line(Styled(mark, "dim"), first, wrap=False)
        for rest in more:
            self.line(Styled(mark, "dim"), f"    {rest}", wrap=False)

    def figures(self, days: Sequence[Figures], *, against: int) -> None:
        """Print the figures of every day, of the live versions and of a version that is never replaced."""
        names = ("log loss", f"version {against}'s", "ROC AUC", f"version {against}'s")
        rows = []
        for day in days:
            other = day.against or {}
            pairs = [value for name in ("log_loss", "roc_auc") for value in (day.live[name], other.get(name, math.nan))]
            who = "version " + " and ".join(map(str, day.versions))
            rows.append((day.month, f"{day.rows:,}", who, *(f"{value:.3f}" for value in pairs)))
        self.table(Table(("day", "orders", "predicted by", *names), rows, numbers=(1, 3, 4, 5, 6)))
        live = [day.live["log_loss"] for day in days]
        alone = [(day.against or {}).get("log_loss", math.nan) for day in days]
        for name, line in zip(("live", f"version {against} alone"), sparklines(live, alone), strict=True):
            self.line(f"log loss, {name:<16} {line}")


def sparklines(*series: Sequence[float]) -> tuple[str, ...]:
    """Return each series as a line of bars, all on one scale; a blank for NaN.

    >>> sparklines([0.0, 1.0], [0.5, float("nan")])
    ('▁█', '▅ ')
    """
    numbers = [value for line in series for value in line if math.isfinite(value)]
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    span = high - low or 1.0

    def bar(value: float) -> str:
        return _BARS[round((value - low) / span * (len(_BARS) - 1))] if math.isfinite(value) else " "

    return tuple("".join(map(bar, line)) for line in series)
