"""Feature catalogue and data dictionary of a project, with types as measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from polars.exceptions import PolarsError

from everfit.commands.documentation.blocks import MISSING, Block, Heading, NamedValues, Paragraph, TableBlock
from everfit.commands.documentation.declared_design import DeclaredDesign, as_text
from everfit.core.duration import format_duration
from everfit.core.errors import EverfitError
from everfit.definitions.project import Project
from everfit.definitions.source import Source
from everfit.definitions.view import FeatureView
from everfit.features.compute import feature_names, view_rows
from everfit.store.reader import Reader

_TERMS = ("owner", "provenance", "licence", "personal", "refresh", "retention")


def feature_blocks(project: Project, reader: Reader) -> Iterator[Block]:
    """Yield the feature catalogue."""
    yield Heading("Features", 1)
    if not project.views:
        yield Paragraph("The project has no feature view.")
    for view in project.views.values():
        yield Heading(view.name)
        yield from _view_blocks(view, project, reader)
    on_demand = {part.name: part for model in project.models.values() for part in model.on_demand}
    if on_demand:
        yield Heading("On-demand features")
        cells = [(part.name, part.description, _users(project, name)) for name, part in on_demand.items()]
        yield TableBlock("Computed from the request", ("name", "description", "used by"), cells)


def _view_blocks(view: FeatureView, project: Project, reader: Reader) -> Iterator[Block]:
    if view.description:
        yield Paragraph(view.description)
    keys = ", ".join(f"{entity.name} (column {entity.key}, {entity.dtype})" for entity in view.entities)
    lookback = format_duration(view.look_back) if view.lookback else "none is declared"
    yield NamedValues(
        [
            ("Entities", keys),
            ("Source", view.source.name),
            ("Time to live", format_duration(view.time_to_live)),
            ("History that a row needs", lookback if view.transform else "none: it is read as it is"),
            ("Used by", _users(project, view.name)),
        ]
    )
    try:
        rows = view_rows(view, reader)
        types = rows.collect_schema()
        cells = [(f"{view.name}.{name}", str(types[name])) for name in feature_names(view, rows)]
    except (EverfitError, PolarsError, OSError) as error:
        yield Paragraph(f"Types are {MISSING}: {error}")
        return
    yield TableBlock("Features", ("feature", "type"), cells)


def source_blocks(project: Project, reader: Reader, designs: Mapping[str, DeclaredDesign]) -> Iterator[Block]:
    """Yield the data dictionary.

    Args:
        designs: Design record of each model.
    """
    yield Heading("Data", 1)
    terms = {str(row.get("source")): row for design in designs.values() for row in design.rows("data")}
    for source in project.sources.values():
        yield Heading(source.name)
        yield from _source_blocks(source, reader, terms.get(source.name, {}))
    labels = [(model.name, ", ".join(model.label.columns), model.label.known_at) for model in project.models.values()]
    if labels:
        yield Heading("Labels")
        yield TableBlock("Predicted values", ("model", "computed from", "known at"), labels)


def _source_blocks(source: Source, reader: Reader, terms: Mapping[str, Any]) -> Iterator[Block]:
    if source.description:
        yield Paragraph(source.description)
    known_later = ", ".join(f"{column} at {at}" for column, at in source.known_at.items())
    yield NamedValues(
        [
            ("Kind", source.kind),
            # A query or a URL may hold what is not for readers.
            ("Location", source.path or f"a {source.kind}"),
            ("Event time", source.timestamp),
            ("Known at", source.created or source.timestamp),
            ("Values known later", known_later or "none"),
            *((name.capitalize(), as_text(terms.get(name))) for name in _TERMS),
        ]
    )
    try:
        cells = [(name, str(dtype)) for name, dtype in reader.scan(source).collect_schema().items()]
    except (EverfitError, PolarsError, OSError) as error:
        yield Paragraph(f"Columns are {MISSING}: {error}")
        return
    yield TableBlock("Columns", ("column", "type"), cells)


def _users(project: Project, feature: str) -> str:
    users = [
        model.name
        for model in project.models.values()
        if feature in [*(view.name for view in model.views), *(part.name for part in model.on_demand)]
    ]
    return ", ".join(users) or "no model"
