"""``everfit explain``: a prediction with its version, run, code, data, gates and outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

import typer

from everfit.cli.output import Item, Output, second
from everfit.cli.printing import printed
from everfit.commands import explain as command
from everfit.commands.explain import ExplainedAnswer, Explanation, Origin
from everfit.journal.explain import FoundPrediction
from everfit.system import System


@printed
def explain(
    system: System,
    prediction: Annotated[str, typer.Argument(metavar="ID", help="The prediction's id, as the service returned it.")],
) -> Output:
    """Show a prediction with its features, version, data and outcome."""
    explanation = command.explain(system, prediction)
    return Output(explanation, _text(explanation))


def _text(explanation: Explanation) -> Iterator[Item]:
    for answer in explanation.answers:
        for title, value in _lines(answer):
            yield f"{title:<12}", value
        yield ""


def _lines(explained: ExplainedAnswer) -> Iterator[tuple[str, str]]:
    answer = explained.answer
    yield "prediction", f"{answer.id}, row {answer.row} of its request"
    yield "value", _value(answer)
    yield "by", f"{answer.model} version {answer.version} as {answer.route}, in {answer.latency_us / 1000:.1f} ms"
    yield "recorded", second(answer.recorded_at)
    if answer.event_time is not None and answer.event_time != answer.recorded_at:
        yield "event time", second(answer.event_time)
    yield from _below("request", _values(answer.request))
    yield from _below("features", _values(answer.features))
    yield from _outcomes(answer)
    if explained.origin is None:
        yield "origin", f"unknown: {explained.problem}"
    else:
        yield from _origin(explained.origin)


def _below(title: str, values: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield values one below the other, the first beside the title."""
    return ((title if place == 0 else "", value) for place, value in enumerate(values))


def _value(answer: FoundPrediction) -> str:
    if isinstance(answer.prediction, dict):
        best = sorted(answer.prediction.items(), key=lambda item: -item[1])
        return ", ".join(f"{name} {chance:.4f}" for name, chance in best)
    return "nothing" if answer.prediction is None else f"{answer.prediction:.6g}"


def _values(values: Mapping[str, object]) -> Iterator[str]:
    width = max(map(len, values), default=0)
    return (f"{name:<{width}}  {'missing' if value is None else value}" for name, value in values.items())


def _outcomes(answer: FoundPrediction) -> Iterator[tuple[str, str]]:
    if not answer.outcomes:
        yield "outcome", "not known yet"
    for place, outcome in enumerate(reversed(answer.outcomes)):
        value = "withdrawn" if outcome.value is None else outcome.value
        sentence = f"{value}, known {second(outcome.known_at)}, recorded {second(outcome.recorded_at)}"
        yield "before that" if place else "outcome", sentence


def _origin(origin: Origin) -> Iterator[tuple[str, str]]:
    yield "run", f"{origin.run_id}, registered {second(origin.registered_at)}"
    if origin.release:
        yield "release", f"{origin.release}, see 'everfit releases show {origin.release}'"
    if origin.commit:
        changed = f" with changes, code {origin.code_digest[:19]}" if origin.dirty else ""
        yield "commit", f"{origin.commit}{changed}"
    else:
        yield "code", f"{origin.code_digest} (in no git repository)"
    if origin.design:
        yield "design", origin.design[:19]
    yield "data", f"{origin.trained_rows:,} labelled rows as of {second(origin.as_of)}, {origin.data_digest[:19]}"
    for source in origin.sources:
        yield "", f"{source.name}: {source.location}, {source.version[:19]}"
    yield from _below(
        "hold-out",
        (
            f"{one.metric} {one.value:.4f} ({one.low:.4f} to {one.high:.4f}) on {one.rows:,} rows"
            for one in origin.scores
        ),
    )
    verdicts = [f"{verdict.outcome:<8} {verdict.gate}: {verdict.sentence}" for verdict in origin.verdicts]
    yield from _below("gates", verdicts or [f"no verdicts: {origin.gates_problem}"])
    yield from _below(
        "history", (f"{one.alias} {second(one.changed_at)} by {one.actor}: {one.reason}" for one in origin.changes)
    )
