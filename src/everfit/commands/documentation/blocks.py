"""Blocks that documents are made of. They hold plain text; :mod:`markdown` and :mod:`html` escape it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

MISSING = "not provided"
"""Stands for what is not recorded."""


class Link(NamedTuple):
    """Text that leads to another page."""

    text: str
    target: str


Inline = str | Link


class Heading(NamedTuple):
    """Title of what follows."""

    text: str
    level: int = 2


class Paragraph(NamedTuple):
    """Text without structure."""

    text: Inline


class Items(NamedTuple):
    """List of short texts."""

    items: Sequence[Inline]


class NamedValues(NamedTuple):
    """Names with their values; an empty value is :data:`MISSING`."""

    rows: Sequence[tuple[str, Inline]]


class TableBlock(NamedTuple):
    """Rows of cells."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Inline]]


class Code(NamedTuple):
    """Text that is shown as it is."""

    text: str
    language: str = ""


Block = Heading | Paragraph | Items | NamedValues | TableBlock | Code


def or_missing(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """Return blocks; without any, a paragraph that says so."""
    return tuple(blocks) or (Paragraph(MISSING.capitalize() + "."),)
