"""How a check notes what it finds."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from everfit.core.errors import EverfitError
from everfit.core.records import Problem


def error(place: str, rule: str, value: object = "", remedy: str = "") -> Problem:
    """Something that must be mended before anything runs."""
    return Problem(place=place, rule=rule, value=str(value), remedy=remedy)


def warning(place: str, rule: str, value: object = "", remedy: str = "") -> Problem:
    """Something that runs, but that the author should look at."""
    return Problem(place=place, rule=rule, value=str(value), remedy=remedy, severity="warning")


def from_exception(place: str, raised: EverfitError) -> Problem:
    """What a reader or a join refused."""
    value = "" if raised.value is None else str(raised.value)
    return error(raised.place or place, raised.rule, value, raised.remedy)


def missing_columns(place: str, wanted: Iterable[str], have: Iterable[str]) -> list[Problem]:
    """One problem for each column that is not there, with the nearest name that is."""
    columns = list(have)
    problems = []
    for name in dict.fromkeys(wanted):
        if name not in columns:
            close = get_close_matches(name, columns, n=1)
            remedy = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(columns[:20])}."
            problems.append(error(place, "the column must exist in the source", name, remedy))
    return problems
