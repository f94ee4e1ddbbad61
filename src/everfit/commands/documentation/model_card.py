"""Model card of a version: Hugging Face's format, YAML with ``model-index`` and Markdown, from what is recorded. Pure.

Fields of the front matter: https://github.com/huggingface/hub-docs/blob/main/modelcard.md.
"""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import Struct

from everfit.commands.documentation import design_blocks, version_blocks
from everfit.commands.documentation.blocks import Block, Code, Heading, Paragraph, or_missing
from everfit.commands.documentation.declared_design import DeclaredDesign
from everfit.commands.documentation.markdown import to_markdown
from everfit.commands.documentation.version_facts import VersionFacts
from everfit.core.evidence import Task
from everfit.core.printable import printable

_TASKS: dict[Task, str] = {
    "binary": "tabular-classification",
    "multiclass": "tabular-classification",
    "regression": "tabular-regression",
}
"""Names of tasks at Hugging Face."""


class ModelCard(Struct, frozen=True, kw_only=True):
    """A model card."""

    model: str
    version: int
    metadata: dict[str, Any]
    """The front matter."""
    markdown: str
    """The whole file."""


def model_card(facts: VersionFacts, design: DeclaredDesign) -> ModelCard:
    """Return the card of a version."""
    metadata = card_metadata(facts)
    # One line for each text: printable() leaves no line break, and PyYAML folds none.
    matter = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=sys.maxsize)
    body = to_markdown(card_blocks(facts, design))
    return ModelCard(
        model=facts.version.model,
        version=facts.version.version,
        metadata=metadata,
        markdown=f"---\n{matter}---\n\n{body}",
    )


def card_metadata(facts: VersionFacts) -> dict[str, Any]:
    """Return the front matter; ``model-index`` is left out if nothing was measured."""
    manifest, lineage = facts.manifest, facts.manifest.lineage
    task = _TASKS[manifest.task]
    # "unknown" and "other" are Hugging Face's words for a licence that is not given, or not in its list.
    found: dict[str, Any] = {"license": printable(facts.license).lower() or "unknown"}
    found |= {"library_name": "everfit", "pipeline_tag": task}
    found["tags"] = ["tabular", manifest.task, manifest.native, "everfit"]
    metrics = [
        {"type": score.metric, "value": score.value, "name": f"{score.metric} (hold-out)"}
        for score in lineage.scores
        if math.isfinite(score.value)
    ]
    if metrics:
        source = lineage.frame.sources[0].name if lineage.frame.sources else facts.version.model
        dataset = {
            "type": printable(source),
            "name": f"{printable(source)}, events until {lineage.frame.end:%Y-%m-%d}",
            "split": "hold-out",
            "revision": lineage.frame.digest,
        }
        result = {"task": {"type": task, "name": manifest.task}, "dataset": dataset, "metrics": metrics}
        found["model-index"] = [{"name": f"{facts.version.model} version {facts.version.version}", "results": [result]}]
    return found


def card_blocks(facts: VersionFacts, design: DeclaredDesign) -> Iterator[Block]:
    """Yield the body of the card."""
    version = facts.version
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    yield Heading(f"{version.model} version {version.version}{aliases}", 1)
    yield Heading("Purpose and limits")
    yield from design_blocks.purpose_blocks(design)
    yield Heading("Training data")
    yield from version_blocks.data_blocks(facts)
    yield from or_missing(design_blocks.data_blocks(design))
    yield Heading("Parameters")
    yield from version_blocks.parameter_blocks(facts)
    yield Heading("Evaluation")
    yield from or_missing(version_blocks.evaluation_blocks(facts))
    yield Heading("Gate report")
    yield from or_missing(version_blocks.gate_blocks(facts))
    yield Heading("Lineage")
    yield from version_blocks.lineage_blocks(facts)
    yield Heading("How to use")
    yield from usage_blocks(facts)
    yield Heading("Monitoring")
    serves = f"It is deployed as {facts.serves}." if facts.serves else "It is not deployed."
    yield Paragraph(serves)
    if facts.serves or facts.live is not None:
        yield from or_missing(version_blocks.monitoring_blocks(facts))


def usage_blocks(facts: VersionFacts) -> Iterator[Block]:
    """Yield a request, and the meaning of its response."""
    schema, model = facts.schema, facts.version.model
    body = json.dumps({field.name: field.example for field in schema.request}, ensure_ascii=True)
    yield Paragraph("Request a prediction by the champion from the running service:")
    yield Code(f"everfit predict {model} {shlex.quote(body)}", "sh")
    yield from version_blocks.request_blocks(facts)
    meaning = "The prediction is a number."
    if schema.task == "binary":
        meaning = f"The prediction is the probability of {schema.positive!r}."
    elif schema.task == "multiclass":
        meaning = "The prediction is the probability of each class."
    yield Paragraph(f"{meaning} Show one with its features, data and outcome: everfit explain ID.")
