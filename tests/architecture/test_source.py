"""Habits that a reader of the source may count on."""

from __future__ import annotations

import ast

from tests.architecture.sources import Module, calls, every_module, modules

LONGEST_LINES = 900
NAMELESS = {"utils", "util", "helpers", "helper", "common", "base", "misc", "tools"}
MUTABLE = {"dict", "list", "set", "defaultdict", "OrderedDict", "Counter", "deque", "bytearray"}
READ_ONLY = {"Mapping", "Sequence", "Final", "frozenset", "tuple", "ClassVar"}


def test_there_is_something_to_read() -> None:
    names = {module.name for module in modules()}
    assert {"__init__.py", "loop/__init__.py", "wiring.py", "core/clock.py", "core/errors.py"} <= names


@every_module
def test_is_short(module: Module) -> None:
    assert len(module.text.splitlines()) <= LONGEST_LINES


@every_module
def test_is_named_after_a_noun(module: Module) -> None:
    assert not NAMELESS & set(module.name.removesuffix(".py").split("/"))


@every_module
def test_takes_time_from_a_clock(module: Module) -> None:
    if module.name == "core/clock.py":
        return
    wrong = [
        module.place(call)
        for call in calls(module.tree)
        if isinstance(call.func, ast.Attribute)
        and (
            call.func.attr in {"utcnow", "today"}
            or (call.func.attr == "now" and _last_name(call.func.value) in {"datetime", "date", "dt"})
            or (call.func.attr in {"time", "time_ns"} and _last_name(call.func.value) == "time")
        )
    ]
    assert not wrong, "hand in a Clock instead (core/clock.py)"


@every_module
def test_keeps_no_state(module: Module) -> None:
    wrong = []
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and _is_mutable(node.value):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            # A name in capitals is a constant by convention; nobody may write to it, which is checked below.
            wrong += [module.place(node) for name in names if not _is_constant(name) and name != "__all__"]
        if isinstance(node, ast.AnnAssign) and node.value is not None and _is_mutable(node.value):
            promised = {name.id for name in ast.walk(node.annotation) if isinstance(name, ast.Name)}
            if not promised & READ_ONLY and not _is_constant(getattr(node.target, "id", "")):
                wrong.append(module.place(node))
    assert not wrong, "a module must hold no mutable state; annotate constants as Mapping, Sequence or Final"


@every_module
def test_never_writes_to_a_constant(module: Module) -> None:
    constants = {
        target.id
        for node in module.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and _is_constant(target.id)
    }
    writes = [
        module.place(node)
        for node in ast.walk(module.tree)
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.ctx, ast.Store | ast.Del)
            and isinstance(node.value, ast.Name)
            and node.value.id in constants
        )
    ]
    writes += [
        module.place(call)
        for call in calls(module.tree)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in {"append", "add", "update", "setdefault", "pop", "clear", "extend", "insert", "remove"}
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id in constants
    ]
    writes += [f"src/everfit/{module.name}:{n.lineno}" for n in ast.walk(module.tree) if isinstance(n, ast.Global)]
    assert not writes


@every_module
def test_everything_public_is_explained(module: Module) -> None:
    wrong = [] if ast.get_docstring(module.tree) else [module.name]
    for node in module.tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            wrong.append(module.place(node))
        if isinstance(node, ast.ClassDef):
            wrong += [
                module.place(method)
                for method in node.body
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
                and not method.name.startswith("_")
                and "overload" not in map(_last_name, method.decorator_list)  # the method itself explains them all
                and not ast.get_docstring(method)
            ]
    assert not wrong


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_constant(name: str) -> bool:
    return name.strip("_").isupper()


def _is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp):
        return True
    return isinstance(value, ast.Call) and _last_name(value.func) in MUTABLE
