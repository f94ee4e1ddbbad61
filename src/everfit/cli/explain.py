"""``everfit explain``: a prediction with its version, run, code, data, gates and outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

import typer

from everfit.cli.options import AsJson, ProjectFolder
from everfit.cli.output import print_json, print_line, second
from everfit.commands import explain as command
from everfit.commands.explain import ExplainedAnswer, Origin
from everfit.journal.explain import FoundPrediction
from everfit.wiring import open_system


def explain(
    prediction: Annotated[str, typer.Argument(metavar="ID", help="The prediction's id, as the service returned it.")],
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show a prediction with its features, version, data and outcome."""
    explanation = command.explain(open_system(project), prediction)
    if as_json:
        print_json(explanation)
        return
    for answer in explanation.answers:
        for title, value in _lines(answer):
            print_line(f"{title:<12}", value)
        print_line()


def _lines(explained: ExplainedAnswer) -> Iterator[tuple[str, str]]:
    answer = explained.answer
    yield "prediction", f"{answer.id}, row {answer.row} of its request"
    yield "value", _answer(answer)
    yield "by", f"{answer.model} version {answer.version} as {answer.route}, in {answer.latency_us / 1000:.1f} ms"
    yield "recorded", second(answer.recorded_at)
    if answer.event_time is not None and answer.event_time != answer.recorded_at:
        yield "event time", second(answer.event_time)
    yield from _values("request", answer.request)
    yield from _values("features", answer.features)
    yield from _outcomes(answer)
    if explained.origin is None:
        yield "origin", f"unknown: {explained.problem}"
    else:
        yield from _origin(explained.origin)


def _answer(answer: FoundPrediction) -> str:
    if isinstance(answer.prediction, dict):
        best = sorted(answer.prediction.items(), key=lambda item: -item[1])
        return ", ".join(f"{name} {chance:.4f}" for name, chance in best)
    return "nothing" if answer.prediction is None else f"{answer.prediction:.6g}"


def _values(title: str, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    width = max(map(len, values), default=0)
    for name, value in values.items():
        shown = "missing" if value is None else str(value)
        yield title, f"{name:<{width}}  {shown}"
        title = ""


def _outcomes(answer: FoundPrediction) -> Iterator[tuple[str, str]]:
    if not answer.outcomes:
        yield "outcome", "not known yet"
    title = "outcome"
    for outcome in reversed(answer.outcomes):
        value = "withdrawn" if outcome.value is None else outcome.value
        yield title, f"{value}, known {second(outcome.known_at)}, recorded {second(outcome.recorded_at)}"
        title = "before that"


def _origin(origin: Origin) -> Iterator[tuple[str, str]]:
    yield "run", f"{origin.run_id}, registered {second(origin.registered_at)}"
    if origin.commit:
        changed = f" with changes, code {origin.code_digest[:19]}" if origin.dirty else ""
        yield "commit", f"{origin.commit}{changed}"
    else:
        yield "code", f"{origin.code_digest} (in no git repository)"
    yield "data", f"{origin.trained_rows:,} labelled rows as of {second(origin.as_of)}, {origin.data_digest[:19]}"
    for source in origin.sources:
        yield "", f"{source.name}: {source.location}, {source.version[:19]}"
    title = "hold-out"
    for score in origin.scores:
        yield title, f"{score.metric} {score.value:.4f} ({score.low:.4f} to {score.high:.4f}) on {score.rows:,} rows"
        title = ""
    title = "gates"
    for verdict in origin.verdicts:
        yield title, f"{verdict.outcome:<8} {verdict.gate}: {verdict.sentence}"
        title = ""
    if not origin.verdicts:
        yield "gates", f"no verdicts: {origin.gates_problem}"
    title = "history"
    for change in origin.changes:
        yield title, f"{change.alias} {second(change.changed_at)} by {change.actor}: {change.reason}"
        title = ""
