"""Blocks about one version: data, parameters, evaluation, gates, lineage, live performance. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from everfit.artifact.schema import request_meaning
from everfit.commands.documentation.blocks import MISSING, Block, NamedValues, Paragraph, TableBlock
from everfit.commands.documentation.version_facts import VersionFacts
from everfit.core.class_names import quoted
from everfit.core.records import Score

_MOST_ROWS = 50
"""Most slices or incidents of a table; the worst or newest ones."""


def instant(value: datetime) -> str:
    """Return an instant as text, to the second."""
    return f"{value:%Y-%m-%d %H:%M:%S} UTC"


def data_blocks(facts: VersionFacts) -> Iterator[Block]:
    """Yield the training data."""
    frame, split = facts.manifest.lineage.frame, facts.manifest.lineage.split
    window = "" if frame.history_choice else frame.history
    rows = [
        ("Events", f"from {instant(frame.start)} to {instant(frame.end)}{window and f', {window}'}"),
        *([("Choice of the history", frame.history_choice)] if frame.history_choice else []),
        ("Known as of", instant(frame.as_of)),
        ("Rows", f"{frame.rows:,}, of which {frame.labelled:,} had a label"),
        ("Labels used", facts.manifest.lineage.labels),
        ("Weight of a row", _weight_by_age(facts)),
        ("Digest of the data", frame.digest),
    ]
    if split is not None:
        rows += [
            ("Trained on", f"{split.train_rows:,} rows before {instant(split.validation_from)}"),
            ("Validated on", f"{split.validation_rows:,} rows before {instant(split.holdout_from)}"),
            ("Hold-out", f"{split.holdout_rows:,} rows from {instant(split.holdout_from)} to {instant(split.end)}"),
            ("Size of the hold-out", split.holdout_rule),
        ]
    again = "yes, on all rows with a label, after the gates" if facts.manifest.lineage.refitted else "no"
    yield NamedValues([*rows, ("Refitted", again)])
    yield TableBlock(
        "Sources as they were read",
        ("source", "kind", "location", "version"),
        [(source.name, source.kind, source.location, source.version) for source in frame.sources],
    )


def _weight_by_age(facts: VersionFacts) -> str:
    half_life = facts.manifest.lineage.half_life
    return f"halved for every {half_life} of its age" if half_life else "does not depend on its age"


def parameter_blocks(facts: VersionFacts) -> Iterator[Block]:
    """Yield the parameters and the way in which they were found."""
    lineage = facts.manifest.lineage
    params = ", ".join(f"{name} = {value}" for name, value in lineage.params.items())
    seconds = sum(trial.duration_s for trial in lineage.trials)
    tuning = f"{len(lineage.trials)} trials by {lineage.metric}, {seconds:.0f} s of computation"
    yield NamedValues(
        [
            ("Parameters", params or "those of the trainer's code"),
            ("Tuning", tuning if lineage.trials else "none"),
            ("Seed", str(lineage.seed)),
            ("Task", facts.manifest.task),
            ("Inputs of the estimator", ", ".join(facts.manifest.features)),
            ("Classes", quoted(facts.schema.classes) if facts.schema.classes else "none: it predicts a number"),
        ]
    )


def evaluation_blocks(facts: VersionFacts) -> Iterator[Block]:
    """Yield the metrics on the hold-out, as a whole and by slice."""
    lineage = facts.manifest.lineage
    if not lineage.scores:
        return
    yield TableBlock(
        "On the hold-out, before any refit",
        ("metric", "value", "95 % interval", "better", "rows"),
        [(score.metric, *_score_cells(score)) for score in lineage.scores],
    )
    if not lineage.slices:
        return
    worst = sorted(lineage.slices, key=lambda part: _rank(part.score), reverse=True)[:_MOST_ROWS]
    left_out = f", the worst {_MOST_ROWS} of {len(lineage.slices):,}" if len(worst) < len(lineage.slices) else ""
    yield TableBlock(
        f"By slice, the worst first{left_out}",
        ("slice", "metric", "value", "95 % interval", "better", "rows"),
        [(f"{part.column} = {part.value}", part.score.metric, *_score_cells(part.score)) for part in worst],
    )


def gate_blocks(facts: VersionFacts) -> Iterator[Block]:
    """Yield the gate report."""
    report = facts.report
    if report is None:
        return
    passed = sum(verdict.outcome == "passed" for verdict in report.verdicts)
    word = "None refused it" if report.passed else "It was refused"
    yield Paragraph(f"{word}: {passed} of {len(report.verdicts)} verdicts passed.")
    cells = [(verdict.gate, verdict.outcome, verdict.sentence) for verdict in report.verdicts]
    yield TableBlock("Verdicts", ("gate", "outcome", "sentence"), cells)


def lineage_blocks(facts: VersionFacts) -> Iterator[Block]:
    """Yield where the version comes from and what became of it."""
    version, manifest, lineage = facts.version, facts.manifest, facts.manifest.lineage
    order, release = facts.order, facts.release
    changed = ", with changes that were not committed" if lineage.code.dirty else ""
    from_release = release.name if release is not None else "none: the project's own folder"
    cause = "" if order is None else f"{order.number}, by {order.order.actor}: {order.order.reason}"
    yield NamedValues(
        [
            ("Version", f"{version.version} of {version.model}"),
            ("Registered", instant(version.created_at)),
            ("Aliases", ", ".join(version.aliases) or "none"),
            ("Package", version.digest),
            ("Run", version.run_id),
            ("Commit", f"{lineage.code.commit}{changed}" if lineage.code.commit else ""),
            ("Release", from_release),
            ("Digest of the code", lineage.code.digest),
            ("Digest of the data", lineage.frame.digest),
            ("Order", cause),
            ("Signed by key", manifest.key),
            ("Runtime", f"{manifest.runtime}, compared with {manifest.native}"),
            ("Everfit", manifest.everfit),
            ("Libraries", ", ".join(f"{name} {number}" for name, number in sorted(lineage.libraries.items()))),
        ]
    )
    yield from history_blocks(facts)


def history_blocks(facts: VersionFacts) -> Iterator[Block]:
    """Yield the changes of aliases and the transitions of rollouts."""
    events = [
        *((one.changed_at, f"{one.alias} is version {one.version}", one.actor, one.reason) for one in facts.changes),
        *(
            (line.at, f"rollout {rollout.number}: {line.state.replace('_', ' ')}", line.actor, line.sentence)
            for rollout in facts.rollouts
            for line in rollout.history
        ),
    ]
    cells = [(instant(at), what, actor, reason) for at, what, actor, reason in sorted(events)]
    if cells:
        yield TableBlock("History", ("when", "event", "by", "reason"), cells)


def request_blocks(facts: VersionFacts) -> Iterator[Block]:
    """Yield the fields of a request."""
    meaning = request_meaning(facts.schema)
    cells = [(field.name, meaning[field.name], str(field.example)) for field in facts.schema.request]
    yield TableBlock("Fields of a request; each may be null", ("field", "meaning", "example"), cells)


def monitoring_blocks(facts: VersionFacts) -> Iterator[Block]:
    """Yield the measured performance of a deployed version, and its incidents."""
    live = facts.live
    if live is not None:
        interval = MISSING if live.low is None or live.high is None else f"{live.low:.4f} … {live.high:.4f}"
        yield NamedValues(
            [
                ("Performance", f"{live.metric} {live.value:.4f}, 95 % interval {interval}"),
                ("Predictions", f"{live.rows:,}, of which {live.labelled:,} have a known outcome"),
                ("Time", f"from {instant(live.start)} to {instant(live.end)}"),
            ]
        )
    if facts.serves:
        yield from incident_blocks(facts)


def incident_blocks(facts: VersionFacts) -> Iterator[Block]:
    """Yield the newest incidents."""
    newest = facts.incidents[: -_MOST_ROWS - 1 : -1]
    if not newest:
        yield Paragraph("No incident is on record.")
        return
    cells = [
        (
            str(one.number),
            one.finding.severity,
            one.finding.kind.replace("_", " "),
            instant(one.opened_at),
            instant(one.resolved_at) if one.resolved_at else "open",
            one.finding.sentence,
        )
        for one in newest
    ]
    yield TableBlock("Incidents, newest first", ("number", "severity", "kind", "opened", "ended", "sentence"), cells)


def _score_cells(score: Score) -> tuple[str, ...]:
    interval = f"{score.low:.4f} … {score.high:.4f}"
    return f"{score.value:.4f}", interval, "more" if score.greater_is_better else "less", f"{score.rows:,}"


def _rank(score: Score) -> float:
    return -score.value if score.greater_is_better else score.value
