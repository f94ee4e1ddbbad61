"""Checks of the project's Python files: their syntax, and names that nothing defines."""

from __future__ import annotations

import builtins
import dis
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType

from everfit.artifact.provenance import code_files
from everfit.core.records import Problem
from everfit.core.user_code import is_users
from everfit.design.problems import error


def check_syntax(folder: Path) -> list[Problem]:
    """Return one problem for each Python file below a folder that cannot be compiled, with file and line."""
    problems = []
    for relative in code_files(folder):
        if relative.suffix != ".py":
            continue
        try:
            _compile(folder / relative)
        except SyntaxError as raised:
            line = (raised.text or "").strip()
            problems.append(error(f"{relative}:{raised.lineno}", f"it must be valid Python: {raised.msg}", line))
        except (OSError, ValueError, RecursionError, MemoryError) as raised:
            problems.append(error(str(relative), f"it must be readable Python: {raised}"))
    return problems


def check_names(folder: Path) -> list[Problem]:
    """Return one problem for each name that a function of an imported module below a folder uses and nothing defines.

    Python itself finds it only when the function runs, which for a trainer or a gate is late.
    """
    problems = []
    for module in list(sys.modules.values()):
        # Not an attribute: some libraries' modules are imported when they are looked into.
        file = Path((vars(module) if isinstance(module, ModuleType) else {}).get("__file__") or "")
        if file.suffix != ".py" or not file.is_relative_to(folder) or not is_users(file):
            continue
        for name, line in _undefined(module, _compile(file)):
            place = f"{file.relative_to(folder)}:{line}"
            problems.append(error(place, "a name must be defined or imported before it is used", name))
    return problems


def _compile(file: Path) -> CodeType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compile(file.read_bytes(), str(file), "exec", dont_inherit=True)


def _undefined(module: ModuleType, code: CodeType) -> Iterator[tuple[str, int]]:
    parts = list(_functions(code))
    assigned = {step.argval for part in parts for step in dis.get_instructions(part) if step.opname == "STORE_GLOBAL"}
    known = {*vars(module), *vars(builtins), *assigned}
    for part in parts:
        # A function that catches the error looks whether the name exists.
        if "NameError" in part.co_names:
            continue
        lines: dict[str, int] = {}
        for step in dis.get_instructions(part):
            if step.opname == "LOAD_GLOBAL" and step.argval not in known:
                line = step.positions.lineno if step.positions else None
                lines.setdefault(step.argval, line or part.co_firstlineno)
        yield from lines.items()


def _functions(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of everything that runs later than the import, and of what is in it."""
    for part in code.co_consts:
        # Annotations of a later Python are code that does not run.
        if isinstance(part, CodeType) and part.co_name != "__annotate__":
            yield part
            yield from _functions(part)
