from __future__ import annotations

from everfit.core.errors import DefinitionError


def test_a_message_is_place_rule_value_remedy() -> None:
    error = DefinitionError("ttl must be positive", value="-1h", remedy="Write '1h'.", place="view weather")
    assert str(error) == "view weather: ttl must be positive, but got '-1h'. Write '1h'."


def test_what_is_not_given_is_not_said() -> None:
    assert str(DefinitionError("a model needs a trainer")) == "a model needs a trainer."
