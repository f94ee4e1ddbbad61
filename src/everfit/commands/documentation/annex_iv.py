"""Technical documentation of a model by Annex IV of Regulation (EU) 2024/1689, from what is recorded. Pure.

Text of the Annex: https://eur-lex.europa.eu/eli/reg/2024/1689/oj. A point consists of parts; it counts as provided if
nothing in them is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from everfit.commands.documentation import definition_text, design_blocks, version_blocks
from everfit.commands.documentation.blocks import Block, Heading, Items, NamedValues, Paragraph, TableBlock, or_missing
from everfit.commands.documentation.declared_design import DeclaredDesign
from everfit.commands.documentation.model_card import usage_blocks
from everfit.commands.documentation.version_facts import VersionFacts
from everfit.core.release import STEPS, Release
from everfit.core.settings import Settings
from everfit.definitions.model import Model

SECTIONS = {
    1: "General description of the AI system",
    2: "Elements of the AI system and the process for its development",
    3: "Monitoring, functioning and control of the AI system",
    4: "Appropriateness of the performance metrics",
    5: "Risk management system (Article 9)",
    6: "Relevant changes through the lifecycle",
    7: "Harmonised standards and other specifications applied",
    8: "EU declaration of conformity (Article 47)",
    9: "Post-market monitoring (Article 72)",
}
Coverage = Literal["provided", "partly provided", "not provided"]


@dataclass(frozen=True)
class Part:
    """One thing that a point demands.

    Args:
        blocks: Empty if it is not provided.
    """

    title: str
    blocks: tuple[Block, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Return true if it is provided without a gap."""
        facts = (value for block in self.blocks if isinstance(block, NamedValues) for _, value in block.rows)
        cells = (cell for block in self.blocks if isinstance(block, TableBlock) for row in block.rows for cell in row)
        return bool(self.blocks) and all(facts) and all(cells)


@dataclass(frozen=True)
class Point:
    """A point of the Annex, such as ``2(f)``."""

    number: str
    title: str
    parts: tuple[Part, ...]

    @property
    def coverage(self) -> Coverage:
        """Return how much of it is provided."""
        if all(part.is_complete for part in self.parts):
            return "provided"
        return "partly provided" if any(part.blocks for part in self.parts) else "not provided"


@dataclass(frozen=True, kw_only=True)
class AnnexSubject:
    """A model with everything that its documentation is made from."""

    model: Model
    settings: Settings
    design: DeclaredDesign
    facts: VersionFacts | None
    """Of the champion, or else of the newest version; ``None`` if there is no version."""
    releases: tuple[Release, ...] = ()


def annex_points(subject: AnnexSubject) -> tuple[Point, ...]:
    """Return all points of sections 1 to 9, in order."""
    return tuple(Point(number, title, tuple(parts)) for number, title, parts in _points(subject))


def coverage_sentence(points: Iterable[Point]) -> str:
    """Return the number of points that are provided, as a sentence."""
    found = [point.coverage for point in points]
    partly = found.count("partly provided")
    more = f"; {partly} more are provided in part" if partly else ""
    return f"{found.count('provided')} of {len(found)} points are provided{more}."


def annex_blocks(subject: AnnexSubject) -> Iterator[Block]:
    """Yield the document."""
    points, section = annex_points(subject), 0
    yield Heading(f"Technical documentation of {subject.model.name} by Annex IV of Regulation (EU) 2024/1689", 1)
    yield Paragraph(coverage_sentence(points))
    yield Paragraph("It is made from what is recorded; it is no assessment of conformity, and a person must review it.")
    yield TableBlock(
        "Coverage", ("point", "title", "coverage"), [(one.number, one.title, one.coverage) for one in points]
    )
    for point in points:
        if int(point.number[0]) != section:
            section = int(point.number[0])
            yield Heading(f"{section}. {SECTIONS[section]}")
        if point.number != str(section):
            yield Heading(f"{point.number} {point.title}", 3)
        for part in point.parts:
            yield Heading(part.title, 4)
            yield from or_missing(part.blocks)


_Points = Iterator[tuple[str, str, list[Part]]]


def _points(subject: AnnexSubject) -> _Points:
    yield from _general(subject)
    yield from _development(subject)
    yield from _testing(subject)
    yield from _operation(subject)


def _general(subject: AnnexSubject) -> _Points:
    design, facts = subject.design, subject.facts
    yield (
        "1(a)",
        "Intended purpose, provider, version",
        [
            _part("Purpose", design_blocks.facts_of(design, "purpose", "decision", "action", "users", "affected")),
            _part("Provider", design_blocks.facts_of(design, "owner", "contact")),
            _part("Version and its relation to previous ones", _about(facts, version_blocks.lineage_blocks)),
        ],
    )
    views = [(view.name, view.source.name, ", ".join(view.keys)) for view in subject.model.views]
    interaction: list[Block] = [
        Paragraph(
            "Other software requests predictions and reports outcomes over HTTP, in JSON, Arrow, or the Open "
            f"Inference Protocol. The model reads the source {subject.model.events.source.name}."
        ),
        *([TableBlock("Feature views that it reads", ("view", "source", "keys"), views)] if views else []),
    ]
    yield "1(b)", "Interaction with other hardware and software", [_part("Interfaces", interaction)]
    steps = f"New code is released only after these steps have passed: {', '.join(STEPS)}."
    yield (
        "1(c)",
        "Versions of software, and requirements for updates",
        [
            _part("Software", _about(facts, _libraries)),
            _part("Updates", [Paragraph(steps)] if subject.settings.loop.level == "full" else ()),
        ],
    )
    forms = Paragraph("A prediction service with an HTTP interface, and a signed model package for batch use.")
    yield "1(d)", "Forms in which it is put into service", [_part("Forms", [forms])]
    yield "1(e)", "Hardware on which it is intended to run", [_part("Hardware")]
    yield "1(f)", "Photographs or illustrations of products that it is a component of", [_part("Illustrations")]
    interface = Paragraph(
        "An HTTP interface that describes itself by OpenAPI at /docs, and the command everfit, with status, incidents, "
        "explanations of single predictions, promotion and rollback."
    )
    yield "1(g)", "User interface of the deployer", [_part("Interface", [interface])]
    yield (
        "1(h)",
        "Instructions for use",
        [
            _part("Request and response", _about(facts, usage_blocks)),
            _part("Action that follows from a prediction", design_blocks.facts_of(design, "action")),
            _part("Excluded uses", design_blocks.list_of(design, "not_for")),
            _part("Limits", design_blocks.list_of(design, "limits")),
        ],
    )


def _development(subject: AnnexSubject) -> _Points:
    design, facts, model, settings = subject.design, subject.facts, subject.model, subject.settings
    yield (
        "2(a)",
        "Methods and steps of development",
        [
            _part("Training and tuning", _about(facts, version_blocks.parameter_blocks)),
            _part("Third-party tools", _about(facts, _libraries)),
        ],
    )
    yield (
        "2(b)",
        "Design specifications",
        [
            _part("What it optimises for, and why", design_blocks.success_blocks(design)),
            _part("Assumptions", design_blocks.list_of(design, "assumptions")),
            _part("Persons concerned", design_blocks.facts_of(design, "users", "affected")),
            _part("Classification", design_blocks.facts_of(design, "risk_class", "risk_reason")),
            _part("Inputs and output", _about(facts, version_blocks.request_blocks)),
        ],
    )
    flow = [
        f"Sources: {', '.join(dict.fromkeys([model.events.source.name, *(view.source.name for view in model.views)]))}",
        f"Feature views: {', '.join(view.name for view in model.views) or 'none'}, as known at the time of each event",
        f"On-demand features: {', '.join(one.name for one in model.on_demand) or 'none'}, computed from the request",
        f"Model {model.name}: trained, tested by gates, registered, rolled out in stages, served and monitored",
    ]
    limits = settings.loop
    resources = [("Longest training", f"{limits.train_seconds:g} s"), ("Memory", f"{limits.train_memory_mib:g} MiB")]
    yield (
        "2(c)",
        "Architecture and computational resources",
        [
            _part("Components, in the order of the flow of data", [Items(flow)]),
            _part("Limits of a training", [NamedValues(resources)]),
        ],
    )
    yield (
        "2(d)",
        "Data",
        [
            _part("Training data", _about(facts, version_blocks.data_blocks)),
            _part("Provenance and terms", design_blocks.data_blocks(design)),
            _part("Labelling", design_blocks.label_blocks(design)),
            _part("Tests of the data", [definition_text.gate_table(model, design.record)]),
        ],
    )
    explains = Paragraph("everfit explain shows a prediction with its features, version, data and outcome.")
    yield (
        "2(e)",
        "Human oversight (Article 14)",
        [
            _part("Persons and measures", design_blocks.oversight_blocks(design)),
            _part("Interpretation of outputs", [explains]),
        ],
    )
    changes = definition_text.predetermined_changes(model, settings, design.record, level=5)
    yield "2(f)", "Pre-determined changes", [_part("Policy, gates and rollout plan, from the code", changes)]


def _testing(subject: AnnexSubject) -> _Points:
    design, facts = subject.design, subject.facts
    yield (
        "2(g)",
        "Validation and testing",
        [
            _part("Metrics", _about(facts, version_blocks.evaluation_blocks)),
            _part("Test report", _about(facts, version_blocks.gate_blocks)),
            _part("Discriminatory impact", design_blocks.slice_blocks(design)),
            _part("Date and signature", _about(facts, _signature)),
        ],
    )
    security = [
        "Each model package is signed; a service loads only packages of trusted keys, and verifies every file.",
        "Files that execute code when they are loaded: "
        + (", ".join(facts.manifest.executes_code) or "none" if facts else "unknown, as there is no version")
        + ".",
        "Code that is not released yet runs confined: without credentials, and without a network by default.",
        "Who changed what, when and why is recorded in an append-only history.",
    ]
    yield "2(h)", "Cybersecurity", [_part("Measures", [Items(security)])]


def _operation(subject: AnnexSubject) -> _Points:
    design, facts, model = subject.design, subject.facts, subject.model
    yield (
        "3",
        SECTIONS[3],
        [
            _part("Accuracy, by group", _about(facts, version_blocks.evaluation_blocks)),
            _part("Limits", design_blocks.list_of(design, "limits")),
            _part("Unintended outcomes and risks", design_blocks.risk_blocks(design)),
            _part("Human oversight", design_blocks.oversight_blocks(design)),
            _part("Input data", _about(facts, version_blocks.request_blocks)),
        ],
    )
    yield "4", SECTIONS[4], [_part("Reason for the metric", design_blocks.facts_of(design, "metric_reason"))]
    yield "5", SECTIONS[5], [_part("Risks and mitigations", design_blocks.risk_blocks(design))]
    releases = [
        (str(one.number), one.commit[:12], one.state.replace("_", " "), one.subject, one.sentence)
        for one in reversed(subject.releases)
    ]
    code = [TableBlock("Releases of code, newest first", ("number", "commit", "state", "subject", "result"), releases)]
    yield (
        "6",
        SECTIONS[6],
        [
            _part("Versions", _about(facts, version_blocks.history_blocks)),
            _part("Code", code if releases else ()),
        ],
    )
    yield "7", SECTIONS[7], [_part("Standards")]
    yield "8", SECTIONS[8], [_part("Declaration")]
    monitors = list(definition_text.watch_rows(model))
    channels = len(subject.settings.alerts.urls)
    notified = Paragraph(f"{channels} channels, from severity {subject.settings.alerts.severity} on.")
    yield (
        "9",
        SECTIONS[9],
        [
            _part("Monitors, from the code", [NamedValues(monitors)] if monitors else ()),
            _part("Persons who are notified", [notified] if channels else ()),
            _part("Performance in use", _about(facts, version_blocks.monitoring_blocks)),
        ],
    )


def _part(title: str, blocks: Iterable[Block] = ()) -> Part:
    return Part(title, tuple(blocks))


def _about(facts: VersionFacts | None, blocks: Callable[[VersionFacts], Iterable[Block]]) -> Iterable[Block]:
    return () if facts is None else blocks(facts)


def _libraries(facts: VersionFacts) -> Iterator[Block]:
    found = {"everfit": facts.manifest.everfit, **facts.manifest.lineage.libraries}
    yield TableBlock("Software at the time of training", ("name", "version"), sorted(found.items()))


def _signature(facts: VersionFacts) -> Iterator[Block]:
    if facts.manifest.signature:
        at = version_blocks.instant(facts.version.created_at)
        yield NamedValues(
            [("Registered", at), ("Signed by key", facts.manifest.key), ("Package", facts.version.digest)]
        )
