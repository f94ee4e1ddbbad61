"""Documentation of a project as a folder of plain files; the same records give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from everfit.commands.documentation import annex_iv, catalogue, definition_text, design_blocks
from everfit.commands.documentation.blocks import Block, Heading, Link, NamedValues, Paragraph, TableBlock
from everfit.commands.documentation.declared_design import declared_design
from everfit.commands.documentation.documents import annex_subject, card_of
from everfit.commands.documentation.html import MARK, STYLE, STYLESHEET, to_page
from everfit.core.errors import EverfitError
from everfit.core.records import ModelVersion
from everfit.definitions.model import Model
from everfit.registry.aliases import CHALLENGER, CHAMPION, PREVIOUS
from everfit.store.atomic_file import replace_file
from everfit.system import System

_INDEX, _FEATURES, _DATA = "index.html", "features.html", "data.html"
_CARDS = frozenset({CHAMPION, CHALLENGER, PREVIOUS})
"""Aliases of the versions whose cards are in the site."""


class Site(Struct, frozen=True, kw_only=True):
    """A site that was written."""

    folder: str
    pages: tuple[str, ...]


class _SitePage(Struct, frozen=True, kw_only=True):
    """A page before it is rendered."""

    name: str
    title: str
    under: str
    """Page of the navigation that it belongs to."""
    blocks: tuple[Block, ...]


def write_site(system: System, folder: Path) -> Site:
    """Write the site; pages of an earlier one that are not part of it any more are removed, other files are kept."""
    pages = tuple(_pages(system))
    links = [Link(system.project.name, _INDEX), *(Link(f"Model {name}", _of(name)) for name in system.project.models)]
    links += [Link("Features", _FEATURES), Link("Data", _DATA)]
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / STYLESHEET, STYLE.encode())
    for page in pages:
        title = f"{page.title} – {system.project.name}"
        replace_file(folder / page.name, to_page(title, page.blocks, links=links, current=page.under).encode())
    names = {page.name for page in pages}
    for file in folder.glob("*.html"):
        if file.name not in names and MARK in file.read_text(encoding="utf-8", errors="replace"):
            file.unlink()
    return Site(folder=str(folder), pages=tuple(sorted(names)))


def _pages(system: System) -> Iterator[_SitePage]:
    project = system.project
    designs = {name: declared_design(project, name) for name in project.models}
    yield _page(_INDEX, project.name, _INDEX, _index(system))
    yield _page(_FEATURES, "Features", _FEATURES, catalogue.feature_blocks(project, system.reader))
    yield _page(_DATA, "Data", _DATA, catalogue.source_blocks(project, system.reader, designs))
    for name, model in project.models.items():
        versions = system.registry.versions(name)
        yield _page(_of(name), f"Model {name}", _of(name), _model(system, model, versions))
        annex = annex_iv.annex_blocks(annex_subject(system, name))
        yield _page(_annex(name), f"Annex IV of {name}", _of(name), annex)
        for version in filter(_has_card, versions):
            title = f"{name} version {version.version}"
            yield _page(_card(version), title, _of(name), _card_blocks(system, version, title))


def _page(name: str, title: str, under: str, blocks: Iterable[Block]) -> _SitePage:
    return _SitePage(name=name, title=title, under=under, blocks=tuple(blocks))


def _index(system: System) -> Iterator[Block]:
    project = system.project
    yield Heading(project.name, 1)
    yield NamedValues(
        [("Level of automation", project.settings.loop.level), ("Release", str(project.release or "none"))]
    )
    yield Heading("Models")
    rows = []
    for name, model in project.models.items():
        champion = system.registry.champion(name)
        serves = Link(f"version {champion.version}", _card(champion)) if champion else "none"
        purpose = declared_design(project, name).text("purpose") or model.description
        rows.append((Link(name, _of(name)), model.task, serves, purpose, Link("Annex IV", _annex(name))))
    yield TableBlock("", ("model", "task", "champion", "purpose", "technical documentation"), rows)
    yield Heading("Catalogues")
    yield TableBlock(
        "",
        ("catalogue", "content"),
        [
            (Link("Features", _FEATURES), f"{len(project.views)} feature views"),
            (Link("Data", _DATA), f"{len(project.sources)} sources"),
        ],
    )


def _model(system: System, model: Model, versions: Sequence[ModelVersion]) -> Iterator[Block]:
    yield Heading(f"Model {model.name}", 1)
    if model.description:
        yield Paragraph(model.description)
    yield Paragraph(Link("Technical documentation by Annex IV", _annex(model.name)))
    yield Heading("Versions")
    rows = [
        (
            Link(f"version {one.version}", _card(one)) if _has_card(one) else f"version {one.version}",
            ", ".join(one.aliases),
            f"{one.created_at:%Y-%m-%d %H:%M} UTC",
            one.digest[7:19],
        )
        for one in reversed(versions)
    ]
    if rows:
        yield TableBlock("Newest first", ("version", "aliases", "registered", "package"), rows)
    else:
        yield Paragraph("None is registered yet.")
    design = declared_design(system.project, model.name)
    yield from design_blocks.record_blocks(design)
    yield Heading("Pre-determined changes")
    yield from definition_text.predetermined_changes(model, system.project.settings, design.record)
    yield Heading("Monitors")
    yield NamedValues(list(definition_text.watch_rows(model)))


def _card_blocks(system: System, version: ModelVersion, title: str) -> Iterable[Block]:
    try:
        return tuple(card_of(system, version))
    except EverfitError as error:  # a package that is gone must not hide the other pages
        return (Heading(title, 1), Paragraph(f"Its card cannot be made: {error}"))


def _has_card(version: ModelVersion) -> bool:
    return bool(_CARDS.intersection(version.aliases))


def _of(model: str) -> str:
    return f"model-{model}.html"


def _annex(model: str) -> str:
    return f"model-{model}-annex-iv.html"


def _card(version: ModelVersion) -> str:
    return f"model-{version.model}-version-{version.version}.html"
