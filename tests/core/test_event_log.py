"""Every log line of a transition is of a kind that is documented, with the fields that are documented."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import everfit
from everfit.core.event_log import EVENTS

SOURCE = Path(everfit.__file__).parent


def calls() -> Iterator[tuple[str, str, set[str]]]:
    """Place, kind and fields of every call; ``*`` stands for what is known at run time only."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "log_event":
                place = f"{path.relative_to(SOURCE)}:{node.lineno}"
                fields = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
                yield from ((place, kind, fields - {"level"}) for kind in kinds(node.args[1], place))


def kinds(argument: ast.expr, place: str) -> list[str]:
    if isinstance(argument, ast.Constant):
        return [str(argument.value)]
    if isinstance(argument, ast.IfExp):
        return kinds(argument.body, place) + kinds(argument.orelse, place)
    assert isinstance(argument, ast.JoinedStr), place
    first = argument.values[0]
    assert isinstance(first, ast.Constant), f"{place}: a kind begins with a constant, such as order_"
    return [name for name in EVENTS if name.startswith(str(first.value))]


def test_calls_and_documented_events_are_the_same() -> None:
    assert {kind for _, kind, _ in calls()} == set(EVENTS)


def test_every_call_has_the_documented_fields() -> None:
    for place, kind, fields in calls():
        assert fields == set(EVENTS[kind].fields), f"{place}: {kind}"
