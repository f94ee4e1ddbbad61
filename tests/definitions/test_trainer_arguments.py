from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from everfit.core.errors import DefinitionError
from everfit.definitions.trainer_arguments import OFFERED, argument_errors, chosen_arguments


def plain(X: Any, y: Any, rate: float) -> None: ...
def with_default(X: Any, y: Any, rate: float = 0.1, rounds: int = 5) -> None: ...
def takes_any(X: Any, y: Any, *args: Any, **params: Any) -> None: ...
def misspelt(X: Any, y: Any, feature_names: Any, rate: float) -> None: ...
def weighs(X: Any, y: Any, sample_weight: Any, rate: float) -> None: ...
def unknown(X: Any, y: Any, zzz: Any, rate: float) -> None: ...
def by_place(X: Any, y: Any, /, rate: float) -> None: ...
def without(X: Any, y: Any, raet: float = 0.1) -> None: ...


@pytest.mark.parametrize(
    ("function", "value", "words"),
    [
        (misspelt, "feature_names", "Did you mean 'names'?"),
        (weighs, "sample_weight", "Did you mean 'weight'?"),
        (unknown, "zzz", "Available are: X, y"),
        (by_place, "X", "remove the '/'"),
        (without, "rate", "Did you mean 'raet'?"),
    ],
)
def test_what_a_training_would_refuse_is_named(function: Callable[..., Any], value: str, words: str) -> None:
    errors = argument_errors(function, ["rate"], place="model late, trainer train")
    assert errors[0].value == value
    assert words in errors[0].remedy
    with pytest.raises(DefinitionError) as raised:
        chosen_arguments(function, dict.fromkeys(OFFERED), {"rate": 0.1}, place="model late, trainer train")
    assert str(raised.value) == str(errors[0])


@pytest.mark.parametrize("function", [plain, with_default, takes_any])
def test_what_is_not_refused_can_be_called(function: Callable[..., Any]) -> None:
    assert argument_errors(function, ["rate"], place="here") == ()
    function(**chosen_arguments(function, dict.fromkeys(OFFERED), {"rate": 0.1}, place="here"))
