"""Habits of writing that a reader of the source may count on (docs/architecture.md, "How we write")."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from tests.architecture.sources import Module, every_module, modules

QUESTION = re.compile(r"(What|How|Whether|Who|Where|Which)\b")
PEOPLE = re.compile(r"\b(nobody|whoever|somebody|anybody)\b", re.IGNORECASE)
#: Class names that two files may share, since a reader never meets both. At most five.
SHARED_NAMES: frozenset[str] = frozenset()


def docstrings(tree: ast.Module) -> list[ast.Constant]:
    """Docstrings of modules, classes and functions, and the strings below attributes."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for place, statement in enumerate(node.body):
            is_first = place == 0
            follows_attribute = not is_first and isinstance(node.body[place - 1], ast.Assign | ast.AnnAssign)
            if (
                (is_first or follows_attribute)
                and isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
                and isinstance(statement.value.value, str)
            ):
                found.append(statement.value)
    return found


@every_module
def test_docstrings_say_what_a_thing_is_or_does(module: Module) -> None:
    wrong = [
        f"{module.place(text)}: {str(text.value).strip().splitlines()[0]}"
        for text in docstrings(module.tree)
        if QUESTION.match(str(text.value).strip())
    ]
    assert not wrong, "begin with a noun or an imperative"


@every_module
def test_processes_are_not_people(module: Module) -> None:
    lines = enumerate(module.text.splitlines(), 1)
    assert not [f"src/everfit/{module.name}:{number}: {line.strip()}" for number, line in lines if PEOPLE.search(line)]


@every_module
def test_a_loop_variable_is_a_noun(module: Module) -> None:
    wrong = [
        module.place(name)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension)
        for name in ast.walk(node.target)
        if isinstance(name, ast.Name) and name.id == "each"
    ]
    assert not wrong


@every_module
def test_is_formatted_by_the_formatter_alone(module: Module) -> None:
    assert not re.search(r"# fmt: (skip|off)", module.text)


def test_a_class_name_means_one_thing() -> None:
    places = defaultdict(list)
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module.place(node))
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert twice.keys() == SHARED_NAMES, twice
    assert len(SHARED_NAMES) <= 5


@every_module
def test_a_public_function_names_the_errors_that_it_raises(module: Module) -> None:
    wrong = []
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        raised = {name for statement in ast.walk(node) if (name := _raised(statement))}
        docstring = ast.get_docstring(node) or ""
        # In a section or in a sentence; a class names those that are derived from it.
        if raised and "Raises" not in docstring:
            wrong.append(f"{module.place(node)}: {node.name} raises {', '.join(sorted(raised))}")
    assert not wrong


def _raised(node: ast.AST) -> str:
    """Name of the error class that a statement constructs and raises; empty for any other statement."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
        return node.exc.func.id if node.exc.func.id.endswith("Error") else ""
    return ""
