"""Design record of a model as plain values by path; what is absent, or still to be filled in, has none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from everfit.core.design_record import DesignRecord, is_placeholder
from everfit.definitions.project import Project
from everfit.design.record import DesignDocument, read_design, read_kept_design, record_file


@dataclass(frozen=True, kw_only=True)
class DeclaredDesign:
    """Values of a design record.

    Args:
        values: The front matter of the file; empty without one.
        record: ``None`` if there is none, or it has a fault.
        place: Path of the file in the project's folder.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    record: DesignRecord | None = None
    place: str = ""

    def text(self, path: str) -> str:
        """Return a value as text; empty if there is none.

        >>> DeclaredDesign(values={"oversight": {"who": "Ada"}}).text("oversight.who")
        'Ada'
        """
        value: Any = self.values
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return as_text(value)

    def texts(self, path: str) -> tuple[str, ...]:
        """Return the texts of a list."""
        value = self.values.get(path)
        return tuple(filter(None, map(as_text, value))) if isinstance(value, list | tuple) else ()

    def rows(self, path: str) -> Iterator[Mapping[str, Any]]:
        """Yield the mappings of a list."""
        value = self.values.get(path)
        yield from (row for row in (value if isinstance(value, list | tuple) else ()) if isinstance(row, Mapping))


def as_text(value: object) -> str:
    """Return a value of a record as text; empty for one that is still to be filled in."""
    if value is None or is_placeholder(value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        texts = ((str(name).replace("_", " "), as_text(one)) for name, one in value.items())
        return ", ".join(f"{name} {text}" for name, text in texts if text)
    if isinstance(value, list | tuple):
        return "; ".join(filter(None, map(as_text, value)))
    return f"{value:g}" if isinstance(value, float) else str(value).strip()


def declared_design(project: Project, model: str) -> DeclaredDesign:
    """Read a model's design record: its fields without a fault; no values if there is none."""
    document = read_design(project, model)
    if document is None:
        return DeclaredDesign(place=record_file(project, model).relative_to(project.code).as_posix())
    return _declared(document)


def kept_design(folder: Path, model: str) -> DeclaredDesign | None:
    """Read a model's design record from the copy of the code in a package; ``None`` if it has none."""
    document = read_kept_design(folder, model)
    return None if document is None else _declared(document)


def _declared(document: DesignDocument) -> DeclaredDesign:
    values = to_builtins(document.parts, builtin_types=(date,))
    return DeclaredDesign(values=values, record=document.record, place=document.place)
