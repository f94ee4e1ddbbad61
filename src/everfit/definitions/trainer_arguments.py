"""Arguments of a trainer: the rules that ``everfit check`` and the training share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from everfit.core.errors import DefinitionError
from everfit.core.suggestion import did_you_mean

OFFERED = ("X", "y", "weight", "X_valid", "y_valid", "categorical", "names", "seed", "trial")
"""Names of the arguments that a trainer can have; the table is in :mod:`everfit.training.trainer`."""


def argument_errors(function: Callable[..., Any], tuned: Collection[str], *, place: str) -> tuple[DefinitionError, ...]:
    """Return every reason why a trainer cannot be called with tuned parameters of some names; none if it can."""
    parameters = inspect.signature(function).parameters
    known = {*OFFERED, *tuned}
    listed = f"Available are: {', '.join(OFFERED)}; tuned are: {', '.join(tuned) or 'none'}."
    rule = "a trainer's arguments must be tuned parameters or available ones"
    errors = [
        DefinitionError(rule, value=name, remedy=f"{remedy} {listed}".lstrip(), place=place)
        for name, parameter in parameters.items()
        if (remedy := _refusal(parameter, known)) is not None
    ]
    takes_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    for name in () if takes_all else [name for name in tuned if name not in parameters]:
        remedy = f"{did_you_mean(name, parameters)} Add the argument, or remove the parameter.".lstrip()
        rule = "a tuned parameter must be an argument of the trainer"
        errors.append(DefinitionError(rule, value=name, remedy=remedy, place=place))
    return tuple(errors)


def chosen_arguments(
    function: Callable[..., Any], offered: Mapping[str, Any], tuned: Mapping[str, Any], *, place: str
) -> dict[str, Any]:
    """Return the arguments to call a trainer with. Raises the first of :func:`argument_errors`."""
    for error in argument_errors(function, tuned, place=place):
        raise error
    given = {**offered, **tuned}
    chosen: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            chosen |= tuned
        elif name in given and parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            chosen[name] = given[name]
    return chosen


def _refusal(parameter: inspect.Parameter, known: Collection[str]) -> str | None:
    """Return the remedy for an argument that cannot be passed, maybe empty; ``None`` if it can be passed."""
    if parameter.kind in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        return None
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        return "It is passed by name: remove the '/' after it."
    if parameter.name in known or parameter.default is not inspect.Parameter.empty:
        return None
    return did_you_mean(parameter.name, known)
