"""All errors are classes of one tree, in core/errors.py."""

from __future__ import annotations

from tests.architecture.sources import modules

from everfit.core import errors


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
