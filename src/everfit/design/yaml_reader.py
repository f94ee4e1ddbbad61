"""Reader of a record in YAML that finds all faults at once, each with line, rule, value and remedy.

Text from outside is read: anchors and aliases are refused, since a few lines of them can stand for gigabytes, and so is
deep nesting. Tags construct plain values only (``yaml.SafeLoader``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args, get_origin

import msgspec
import yaml
from msgspec import Struct
from msgspec.structs import FieldInfo

from everfit.core.design_record import TO_FILL
from everfit.core.errors import DefinitionError
from everfit.core.records import Problem
from everfit.core.suggestion import did_you_mean
from everfit.design.field_docs import field_docs

_DEEPEST = 12
_LONGEST_VALUE = 60
_ABSENT: Any = object()
"""A value that could not be read."""
_WORDS: Mapping[object, str] = {float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class Located:
    """Content of a YAML mapping.

    Args:
        values: The fields without faults, by name.
        record: The record; ``None`` if there is a fault.
        lines: Line of each field in the file, by its path such as ``data[0].owner``.
        scalars: The values as they are written, of known fields, by path.
        faults: In the order of the file.
    """

    record: Any = None
    values: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    scalars: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[Problem, ...] = ()


def read_yaml(text: str, kind: type[Struct], *, place: str, first_line: int = 1) -> Located:
    """Read a YAML mapping as a record of a class.

    Args:
        place: The file, for the faults.
        first_line: Line of the file at which the text begins.
    """
    reading = _Reading(place, first_line)
    try:
        reading.require_plain(text)
        node = None if reading.faults else yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        reading.refuse_syntax(error)
        node = None
    if reading.faults:
        return Located(faults=reading.in_order())
    values: dict[str, Any] = {}
    record = reading.struct(node or yaml.MappingNode("tag:yaml.org,2002:map", []), kind, "", into=values)
    faults = reading.in_order()
    found = None if faults else record
    return Located(record=found, values=values, lines=reading.lines, scalars=reading.scalars, faults=faults)


class _Reading:
    """State of one reading."""

    def __init__(self, place: str, first_line: int) -> None:
        self._place = place
        self._first_line = first_line
        self._constructor = yaml.SafeLoader("")
        self.faults: list[tuple[int, Problem]] = []
        self.lines: dict[str, int] = {}
        self.scalars: dict[str, str] = {}

    def in_order(self) -> tuple[Problem, ...]:
        """Return the faults in the order of the file."""
        return tuple(fault for _, fault in sorted(self.faults, key=lambda numbered: numbered[0]))

    def require_plain(self, text: str) -> None:
        """Refuse anchors, aliases and deep nesting, without building anything."""
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line if event.start_mark else 0
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                self._refuse("", line, "anchors and aliases must not be used", remedy="Write the value out.")
                return
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                self._refuse("", line, f"values must not be nested deeper than {_DEEPEST} levels")
                return

    def refuse_syntax(self, error: yaml.YAMLError) -> None:
        """Add the fault that the text is not YAML."""
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        remedy = "Put a text with ': ' or ' #', or one that begins with a sign, in quotes."
        self._refuse("", mark.line if mark else 0, f"the front matter must be YAML: {problem}", remedy=remedy)

    def struct(self, node: yaml.Node, kind: type[Struct], path: str, into: dict[str, Any] | None = None) -> Any:
        """Return a record of a class; ``into`` gets the fields without faults."""
        if not isinstance(node, yaml.MappingNode):
            return self._refuse_kind(path, node, "a mapping of fields")
        fields = {info.name: info for info in msgspec.structs.fields(kind)}
        entries = list(self._entries(node, path))
        found = {name: value for name, _, value in entries if name in fields}
        absent = [name for name, info in fields.items() if info.required and name not in found]
        for name, key, value in entries:
            if name not in fields:
                remedy = did_you_mean(name, set(fields) - set(found), otherwise=f"Known are: {', '.join(fields)}.")
                if node.flow_style and isinstance(value, yaml.ScalarNode) and not value.value:
                    remedy = "Put a text with a comma in quotes."
                self._refuse(_join(path, name), key, "the field must be one of those that exist", name, remedy)
                # That it is missing is the same fault.
                absent = [other for other in absent if repr(other) not in remedy]
        values = into if into is not None else {}
        for name, value in found.items():
            if (read := self.value(value, fields[name].type, _join(path, name))) is not _ABSENT:
                values[name] = read
        self._refuse_missing(node, kind, path, [fields[name] for name in absent])
        if any(name not in values for name, info in fields.items() if info.required or name in found):
            return _ABSENT
        try:
            return kind(**values)
        except DefinitionError as error:
            return self._refuse(path, node, error.rule, error.value, error.remedy)

    def value(self, node: yaml.Node, kind: Any, path: str) -> Any:
        """Return a value of a type, or :data:`_ABSENT`."""
        bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
        if isinstance(bare, type) and issubclass(bare, Struct):
            return self.struct(node, bare, path)
        if get_origin(bare) is tuple:
            return self._items(node, kind, get_args(bare)[0], path)
        if get_origin(bare) is dict:
            if not isinstance(node, yaml.MappingNode):
                return self._refuse_kind(path, node, "a mapping")
            entries = [(name, value) for name, _, value in self._entries(node, path)]
            named = {name: self.value(value, get_args(bare)[1], _join(path, name)) for name, value in entries}
            return self._whole(node, kind, path, named, named.values())
        return self._scalar(node, kind, path)

    def _items(self, node: yaml.Node, kind: Any, item: Any, path: str) -> Any:
        if not isinstance(node, yaml.SequenceNode):
            return self._refuse_kind(path, node, "a list", remedy="Write [one, another], or a line '- …' for each.")
        for place, value in enumerate(node.value):
            self._note(f"{path}[{place}]", value)
        values = tuple(self.value(value, item, f"{path}[{place}]") for place, value in enumerate(node.value))
        return self._whole(node, kind, path, values, values)

    def _whole(self, node: yaml.Node, kind: Any, path: str, found: Any, parts: Any) -> Any:
        """Return a list or mapping unless a part of it is absent or it must not be empty."""
        if any(part is _ABSENT for part in parts):
            return _ABSENT
        least = next((meta.min_length for meta in getattr(kind, "__metadata__", ()) if meta.min_length), 0)
        if len(found) < least:
            return self._refuse(path, node, "the value must not be empty")
        return found

    def _scalar(self, node: yaml.Node, kind: Any, path: str) -> Any:
        wanted = describe(kind)
        if not isinstance(node, yaml.ScalarNode):
            return self._refuse_kind(path, node, wanted)
        self.scalars[path] = node.value
        try:
            converted = msgspec.convert(self._constructor.construct_object(node, deep=True), kind)
        except (yaml.YAMLError, msgspec.ValidationError, ValueError, OverflowError):
            given = node.value.strip()
            remedy = _choices(given, kind)
            if "text" in wanted:
                remedy = "Put it in quotes." if given else f"Write {TO_FILL!r} as long as it is not known."
            return self._refuse(path, node, f"the value must be {wanted}", given or "nothing", remedy)
        if isinstance(converted, float) and not math.isfinite(converted):
            return self._refuse(path, node, "the number must be finite", node.value)
        return converted

    def _entries(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Yield names, keys and values, and refuse those that are no names or are given twice."""
        seen: set[str] = set()
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None:
                self._refuse(path, key, "the name of a field must be text")
            elif name in seen:
                self._refuse(_join(path, name), key, "the field must be given once")
            else:
                seen.add(name)
                self._note(_join(path, name), key)
                yield name, key, value

    def _refuse_missing(self, node: yaml.Node, kind: type[Struct], path: str, missing: list[FieldInfo]) -> None:
        docs = field_docs(kind) if missing else {}
        for info in missing:
            whole, example = _join(path, info.name), f"{info.name}: {_example(info.type)}"
            self._refuse(whole, node, "the field must be given", remedy=f"Add {example!r}. {docs.get(info.name, '')}")

    def _refuse_kind(self, path: str, node: yaml.Node, wanted: str, remedy: str = "") -> Any:
        given = "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
        given = (node.value or "nothing") if isinstance(node, yaml.ScalarNode) else given
        return self._refuse(
            path, node, f"{'the value' if path else 'the front matter'} must be {wanted}", given, remedy
        )

    def _note(self, path: str, node: yaml.Node) -> None:
        self.lines[path] = node.start_mark.line + self._first_line

    def _refuse(self, path: str, at: yaml.Node | int, rule: str, value: object = None, remedy: str = "") -> Any:
        mark = None if isinstance(at, int) else at.start_mark
        line = (at if isinstance(at, int) else mark.line if mark else 0) + self._first_line
        shown = "" if value is None else str(value)
        shown = shown if len(shown) <= _LONGEST_VALUE else f"{shown[: _LONGEST_VALUE - 1]}…"
        place = f"{self._place}:{line}" + (f", {path}" if path else "")
        self.faults.append((line, Problem(place=place, rule=rule, value=shown, remedy=remedy.strip())))
        return _ABSENT


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def describe(kind: Any) -> str:
    """Return the type of a value in words."""
    for meta in getattr(kind, "__metadata__", ()):
        if meta.description:
            return str(meta.description)
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        return describe(arguments[0])
    if arguments and all(isinstance(argument, str) for argument in arguments):
        return f"one of {', '.join(arguments)}" if len(arguments) > 1 else str(arguments[0])
    if arguments:
        return " or ".join(describe(argument) for argument in arguments if argument is not type(None))
    return _WORDS.get(kind, "a date such as 2027-03-31")


def _example(kind: Any) -> str:
    """Return a value of a type for a hint: a bare `…`, or the brackets that belong around it."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if isinstance(bare, type) and issubclass(bare, Struct):
        return "{…}"
    return "[…]" if get_origin(bare) is tuple else "{…}" if get_origin(bare) is dict else "…"


def _choices(text: str, kind: Any) -> str:
    """Return the remedy for a value that is none of a few names."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    names = [argument for argument in get_args(bare) if isinstance(argument, str)]
    return did_you_mean(text, names) if names else ""
