"""The package's own source, parsed, for the tests beside this file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

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


def modules() -> list[Module]:
    """Every module, without the examples, which are projects of their own, and without templates of files."""
    return [
        Module(path)
        for path in sorted(PACKAGE.rglob("*.py"))
        if not {"examples", "template", "templates"} & set(path.relative_to(PACKAGE).parts)
    ]


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Every call in a tree."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))
