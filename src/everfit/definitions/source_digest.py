"""All of a source, and of a function, that what is computed from it depends on: plain values, for a digest."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
from pathlib import Path
from types import CodeType
from typing import Any

from everfit.core.settings import SETTINGS_FILE
from everfit.definitions.source import Source


def source_content(source: Source) -> list[Any]:
    """Return where a source's rows come from and when they are known; its description is not among it."""
    place = [source.name, relative_path(source.path), source.query, source.url, source.timestamp, source.created]
    types = sorted((name, str(dtype)) for name, dtype in source.column_types.items())
    code = [] if source.function is None else [code_of(source.function)]
    return [place, code, sorted(source.known_at.items()), types]


def relative_path(path: str | None) -> str | None:
    """Return an absolute path into a project's folder as a relative one: each release has a folder of its own."""
    for parent in Path(path).parents if path and Path(path).is_absolute() else ():
        if (parent / SETTINGS_FILE).is_file():
            return str(Path(path or "").relative_to(parent))
    return path


def code_of(function: object) -> str:
    """Return a function's text, or else its bytecode, or else the name of its class; without addresses."""
    if isinstance(function, functools.partial):
        parts = (code_of(function.func), *(_without_address(value) for value in (function.args, function.keywords)))
        return " ".join(parts)
    try:
        return _text(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return _bytecode(code) if code is not None else _without_address(function)


def _text(function: object) -> str:
    """Return a function's text without its decorators, which are part of the definition, and its description."""
    text = textwrap.dedent(inspect.getsource(function))  # type: ignore[arg-type]
    try:
        (node,) = ast.parse(text).body
    except (SyntaxError, ValueError):  # a lambda is part of an expression
        return text
    if not isinstance(node, ast.FunctionDef):
        return text
    lines, first = text.split("\n"), node.body[0]
    if ast.get_docstring(node) is not None and first.lineno > node.lineno:
        del lines[first.lineno - 1 : first.end_lineno]
    return "\n".join(lines[node.lineno - 1 :])


def _bytecode(code: CodeType) -> str:
    constants = [_bytecode(value) if isinstance(value, CodeType) else repr(value) for value in code.co_consts]
    return f"{code.co_code!r} {constants} {code.co_names!r}"


def _without_address(value: object) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
