"""Design record of a model, read from its file with all faults: ``design.md``, or ``design/MODEL.md`` for several."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import yaml

from everfit.core.class_names import class_name
from everfit.core.design_record import (
    DESIGN_FILE,
    DESIGN_FOLDER,
    Contradiction,
    DesignRecord,
    SuccessCriteria,
    is_placeholder,
)
from everfit.core.front_matter import FENCE, split_front_matter
from everfit.core.records import Problem
from everfit.definitions.project import Project
from everfit.design.problems import error
from everfit.design.yaml_reader import Located, read_yaml

_MOST_BYTES = 256 * 1024
_WIDTH = 120
_BREAKS = frozenset("\x85\u2028\u2029")


@dataclass(frozen=True, kw_only=True)
class DesignDocument:
    """A model's design record as its file states it."""

    model: str
    place: str
    """Path of the file in the project's folder, such as ``design.md``."""
    record: DesignRecord | None = None
    """``None`` if it has a fault."""
    faults: tuple[Problem, ...] = ()
    """In the order of the file."""
    parts: Mapping[str, Any] = field(default_factory=dict)
    """The fields without a fault, by name."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Line of each field, by its path."""
    scalars: Mapping[str, str] = field(default_factory=dict)
    """The values as they are written, by path."""
    to_fill: tuple[str, ...] = ()
    """Paths of what is still to be filled in: placeholders, and numbers that are not set."""
    prose: str = ""
    """The Markdown after the front matter."""

    def where(self, path: str) -> str:
        """Return file, line and path of a field, or of the nearest one around it."""
        around = path
        while around and around not in self.lines:
            around = around[: max(around.rfind("."), around.rfind("["), 0)]
        return f"{self.place}:{self.lines.get(around, 1)}, {path}"

    def refuse(self, found: Iterable[Contradiction]) -> Iterator[Problem]:
        """Yield each contradiction with its place."""
        for one in found:
            yield error(self.where(one.field), one.rule, one.value, one.remedy)


def record_file(project: Project, model: str) -> Path:
    """Return the file of a model's record, whether or not it exists: ``design/MODEL.md`` where there are several."""
    several = project.code / DESIGN_FOLDER / f"{model}.md"
    return several if len(project.models) > 1 or several.is_file() else project.code / DESIGN_FILE


def read_design(project: Project, model: str) -> DesignDocument | None:
    """Read a model's design record; ``None`` if there is no file, or one without front matter."""
    return _read(project.code, record_file(project, model), model)


def read_kept_design(folder: Path, model: str) -> DesignDocument | None:
    """Read a model's design record from a copy of a project's code, whose definitions are not executed for that."""
    several = folder / DESIGN_FOLDER / f"{model}.md"
    return _read(folder, several if several.is_file() else folder / DESIGN_FILE, model)


def _read(folder: Path, path: Path, model: str) -> DesignDocument | None:
    place = path.relative_to(folder).as_posix()
    try:
        if path.stat().st_size > _MOST_BYTES:
            value = f"{path.stat().st_size:,} bytes"
            return _unreadable(model, place, f"the file must have at most {_MOST_BYTES:,} bytes", value)
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as problem:
        return _unreadable(model, place, f"the file must be readable text in UTF-8: {problem}")
    return parse_design(text, model=model, place=place)


def parse_design(text: str, *, model: str, place: str) -> DesignDocument | None:
    """Read a design record from the text of its file; ``None`` if it has no front matter.

    >>> parse_design("# Only prose", model="late", place="design.md") is None
    True
    """
    matter = split_front_matter(text)
    if matter.yaml is None:
        if not text.startswith(FENCE):
            return None
        return _unreadable(model, place, f"the front matter must end with a line {FENCE!r}")
    read: Located = read_yaml(matter.yaml, DesignRecord, place=place, first_line=2)
    return DesignDocument(
        model=model,
        place=place,
        record=read.record,
        faults=read.faults,
        parts=read.values,
        lines=read.lines,
        scalars=read.scalars,
        to_fill=(*(path for path, value in read.scalars.items() if is_placeholder(value)), *_unset(read.values)),
        prose=matter.prose,
    )


def _unset(parts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of numbers that are not set."""
    success: SuccessCriteria | None = parts.get("success")
    if success is not None and not success.model.is_set:
        yield "success.model"
    if success is not None and not any(success.economic.error_costs.values()):
        yield "success.economic.error_costs"


def _unreadable(model: str, place: str, rule: str, value: object = "") -> DesignDocument:
    return DesignDocument(model=model, place=place, faults=(error(f"{place}:1", rule, value),))


def dump_design(record: DesignRecord, prose: str = "") -> str:
    """Return the text of a file that is read as this record."""
    plain = msgspec.to_builtins(record, builtin_types=(date,))
    lines = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return f"{FENCE}\n{lines}{FENCE}\n{prose}"


def flatten(record: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of a record, each with its path such as ``data[0].owner``.

    >>> list(flatten({"a": [{"b": 1}], "c": True}))
    [('a[0].b', '1'), ('c', 'true')]
    """
    plain = msgspec.to_builtins(record, builtin_types=(date,))
    if isinstance(plain, Mapping):
        for name, value in plain.items():
            yield from flatten(value, f"{path}.{name}" if path else name)
    elif isinstance(plain, list | tuple):
        for place, value in enumerate(plain):
            yield from flatten(value, f"{path}[{place}]")
    else:
        yield path, class_name(plain)


class _Dumper(yaml.SafeDumper):
    """Emitter of YAML that escapes the line breaks of Unicode: PyYAML would lose them."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        """Return a text as YAML."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _BREAKS & set(text) else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def design_digest(record: DesignRecord) -> str:
    """Return ``sha256:…`` of a record's values; neither comments nor prose nor layout change it."""
    return f"sha256:{hashlib.sha256(msgspec.json.encode(record, order='sorted')).hexdigest()}"
