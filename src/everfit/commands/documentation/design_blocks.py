"""Blocks of a model's design record. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from everfit.commands.documentation.blocks import (
    MISSING,
    Block,
    Heading,
    Items,
    NamedValues,
    Paragraph,
    TableBlock,
    or_missing,
)
from everfit.commands.documentation.declared_design import DeclaredDesign, as_text

_PURPOSE = ("purpose", "decision", "action", "users", "affected", "owner", "approvers", "contact")
_SUCCESS = (
    ("Business", "success.business"),
    ("Model", "success.model"),
    ("Economic", "success.economic"),
    ("Reason for the metric", "metric_reason"),
    ("Baseline", "baseline.what"),
)


def facts_of(design: DeclaredDesign, *paths: str) -> Iterator[Block]:
    """Yield the values of some fields; nothing if none has a value."""
    if any(design.text(path) for path in paths):
        yield NamedValues(
            [(path.rpartition(".")[2].replace("_", " ").capitalize(), design.text(path)) for path in paths]
        )


def list_of(design: DeclaredDesign, path: str) -> Iterator[Block]:
    """Yield a list of texts; nothing if it is empty."""
    if texts := design.texts(path):
        yield Items(texts)


def purpose_blocks(design: DeclaredDesign, *, level: int = 3) -> Iterator[Block]:
    """Yield purpose and limits."""
    yield from or_missing(facts_of(design, *_PURPOSE, "risk_class", "risk_reason"))
    for title, path in (("Not for", "not_for"), ("Limits", "limits"), ("Assumptions", "assumptions")):
        yield Heading(title, level)
        yield from or_missing(list_of(design, path))


def success_blocks(design: DeclaredDesign) -> Iterator[Block]:
    """Yield success at three levels, with the baseline."""
    if any(design.text(path) for _, path in _SUCCESS):
        yield NamedValues([(name, design.text(path)) for name, path in _SUCCESS])


def data_blocks(design: DeclaredDesign) -> Iterator[Block]:
    """Yield owners and terms of the data."""
    columns = ("source", "owner", "provenance", "licence", "personal", "refresh", "retention")
    if cells := [_cells(row, columns) for row in design.rows("data")]:
        yield TableBlock("Owners and terms", columns, cells)


def label_blocks(design: DeclaredDesign) -> Iterator[Block]:
    """Yield meaning and origin of the label."""
    return facts_of(design, "label.meaning", "label.assigned_by", "label.expected_delay", "label.known_errors")


def risk_blocks(design: DeclaredDesign) -> Iterator[Block]:
    """Yield the known risks with their mitigations."""
    columns = ("what", "likelihood", "harm", "mitigation", "residual", "owner")
    if cells := [_cells(row, columns) for row in design.rows("risks")]:
        yield TableBlock("Risks, with their mitigation and what remains", columns, cells)


def slice_blocks(design: DeclaredDesign) -> Iterator[Block]:
    """Yield the groups that must not be served worse."""
    columns = ("column", "max_gap", "reason")
    if cells := [_cells(row, columns) for row in design.rows("slices")]:
        yield TableBlock("Groups that must not be served worse", columns, cells)


def oversight_blocks(design: DeclaredDesign) -> Iterator[Block]:
    """Yield human control over the model."""
    return facts_of(design, "oversight.who", "oversight.how", "oversight.fallback")


def record_blocks(design: DeclaredDesign) -> Iterator[Block]:
    """Yield a whole record."""
    yield Heading("Design record")
    if not design.values:
        yield Paragraph(f"{MISSING.capitalize()}: {design.place} has no front matter that can be read.")
        return
    yield Paragraph(f"From {design.place}; review by {design.text('review_by') or MISSING}.")
    yield from purpose_blocks(design)
    parts = (
        ("Success", success_blocks),
        ("Data", data_blocks),
        ("Label", label_blocks),
        ("Slices", slice_blocks),
        ("Risks", risk_blocks),
        ("Oversight", oversight_blocks),
    )
    for title, blocks in parts:
        yield Heading(title, 3)
        yield from or_missing(blocks(design))
    yield Heading("Service", 3)
    yield from or_missing(facts_of(design, "service.p99_ms", "service.availability", "service.volume"))


def _cells(row: Mapping[str, Any], columns: tuple[str, ...]) -> list[str]:
    return [as_text(row.get(column)) for column in columns]
