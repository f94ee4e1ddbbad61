"""The tree drawn on top of core/errors.py is the tree of classes."""

from __future__ import annotations

import inspect
import re

from tests.architecture.sources import modules

from everfit.core import errors

LINE = re.compile(r"^    (?P<indent>[│ ]*)(?:[├└]── )?(?P<name>[A-Z]\w+Error)\b")


def drawn() -> dict[str, str]:
    """Class name to its parent's, as the picture has it."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = LINE.match("    " + line if line.startswith(("├", "└", "│", "EverfitError")) else line)
        if not found:
            continue
        is_root = "──" not in line
        depth = 0 if is_root else len(found["indent"]) // 4 + 1
        path[depth:] = [found["name"]]
        parents[found["name"]] = path[depth - 1] if depth else "Exception"
    return parents


def test_the_picture_is_the_truth() -> None:
    real = {
        name: kind.__bases__[0].__name__
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, Exception)
    }
    assert drawn() == real


def test_every_mistake_lives_in_the_tree() -> None:
    stray = [
        module.place(node)
        for module in modules()
        if module.name != "core/errors.py"
        for node in module.tree.body
        if node.__class__.__name__ == "ClassDef" and node.name.endswith(("Error", "Exception"))  # type: ignore[attr-defined]
    ]
    assert not stray


def test_a_message_states_rule_value_and_remedy() -> None:
    error = errors.SettingsError("ttl must be positive", value="-1h", remedy="Write '1h'.", place="view weather")
    assert str(error) == "view weather: ttl must be positive, but got '-1h'. Write '1h'."
