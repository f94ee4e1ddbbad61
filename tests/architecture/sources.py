"""The package's own source, parsed, for the tests beside this file."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "everfit"


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    path: Path

    @property
    def name(self) -> str:
        """Its path inside the package: ``core/clock.py``."""
        return self.path.relative_to(PACKAGE).as_posix()

    @cached_property
    def text(self) -> str:
        """What it says."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """What it says, parsed."""
        return ast.parse(self.text, filename=str(self.path))

    def place(self, node: ast.stmt | ast.expr) -> str:
        """Where a node is, as editors like it."""
        return f"src/everfit/{self.name}:{node.lineno}"


@cache
def modules() -> tuple[Module, ...]:
    """Every module, parsed once; without the examples, which are projects of their own, and templates of files."""
    return tuple(
        Module(path)
        for path in sorted(PACKAGE.rglob("*.py"))
        if not {"examples", "template", "templates"} & set(path.relative_to(PACKAGE).parts)
    )


def every_module(check: Callable[[Module], None]) -> Callable[[str], None]:
    """Make tests of a check of one module, one for each room: thousands of tests take a minute to begin and end."""
    rooms: dict[str, list[Module]] = {}
    for module in modules():
        rooms.setdefault(module.name.rpartition("/")[0] or "everfit", []).append(module)

    def check_room(room: str) -> None:
        for module in rooms[room]:
            check(module)

    check_room.__name__, check_room.__doc__ = check.__name__, check.__doc__
    return pytest.mark.parametrize("room", rooms)(check_room)


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Every call in a tree."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))
