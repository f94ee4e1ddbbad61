"""The arguments that a trainer may have: ``everfit check`` and the training hold it to the same rules, here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from difflib import SequenceMatcher
from typing import Any

from everfit.core.errors import DefinitionError

OFFERED = ("X", "y", "weight", "X_valid", "y_valid", "categorical", "names", "seed", "trial")
"""Names of the arguments that a trainer can have; the table is in :mod:`everfit.training.trainer`."""
_CLOSE = 0.5
"""The ratio of :class:`difflib.SequenceMatcher` that a name must have to be suggested."""


def argument_errors(function: Callable[..., Any], tuned: Collection[str], *, place: str) -> tuple[DefinitionError, ...]:
    """Every reason why a trainer cannot be called; none if it can.

    Args:
        function: The trainer.
        tuned: The names of the search space's parameters.
        place: Where the trainer is, for the errors.
    """
    parameters = inspect.signature(function).parameters
    known = {*OFFERED, *tuned}
    remedies = {name: _refusal(parameter, known) for name, parameter in parameters.items()}
    errors = [
        DefinitionError(
            "a trainer's arguments must be tuned parameters or on offer",
            value=name,
            remedy=f"{remedy}On offer are: {', '.join(OFFERED)}; tuned are: {', '.join(tuned) or 'none'}.",
            place=place,
        )
        for name, remedy in remedies.items()
        if remedy is not None
    ]
    kinds = {parameter.kind for parameter in parameters.values()}
    missing = [] if inspect.Parameter.VAR_KEYWORD in kinds else [name for name in tuned if name not in parameters]
    errors += [
        DefinitionError(
            "a tuned parameter must be an argument of the trainer",
            value=name,
            remedy=f"{_did_you_mean(name, parameters)}Add the argument, or drop it from the search space.",
            place=place,
        )
        for name in missing
    ]
    return tuple(errors)


def chosen_arguments(
    function: Callable[..., Any], offered: Mapping[str, Any], tuned: Mapping[str, Any], *, place: str
) -> dict[str, Any]:
    """The arguments to call a trainer with.

    Raises:
        DefinitionError: The first of :func:`argument_errors`.
    """
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
    """Remedy for an argument that cannot be passed; ``None`` if it can."""
    if parameter.kind in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        return None
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        return "It is given by name: drop the '/' behind it. "
    if parameter.name in known or parameter.default is not inspect.Parameter.empty:
        return None
    return _did_you_mean(parameter.name, known)


def _did_you_mean(name: str, known: Collection[str]) -> str:
    ratios = {offered: SequenceMatcher(None, name.lower(), offered.lower()).ratio() for offered in sorted(known)}
    closest = max(ratios, key=lambda offered: ratios[offered], default="")
    return f"Did you mean {closest}? " if closest and ratios[closest] >= _CLOSE else ""
