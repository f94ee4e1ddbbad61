"""Problems that a check found, with place, rule, value and remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from everfit.core.errors import EverfitError
from everfit.core.records import Problem
from everfit.core.suggestion import did_you_mean


def error(place: str, rule: str, value: object = "", remedy: str = "") -> Problem:
    """Return a problem that must be solved before anything runs."""
    return Problem(place=place, rule=rule, value=str(value), remedy=remedy)


def warning(place: str, rule: str, value: object = "", remedy: str = "") -> Problem:
    """Return a problem that stops nothing, but that the author should know."""
    return Problem(place=place, rule=rule, value=str(value), remedy=remedy, severity="warning")


def from_exception(place: str, raised: EverfitError) -> Problem:
    """Return the problem that an error states."""
    value = "" if raised.value is None else str(raised.value)
    return error(raised.place or place, raised.rule, value, raised.remedy)


def sentence_of(problem: Problem) -> str:
    """Return a problem on one line: place, rule, value and remedy."""
    value = f", but got {problem.value}" if problem.value else ""
    return f"{problem.place}: {problem.rule}{value}. {problem.remedy}".rstrip()


@contextmanager
def caught(problems: list[Problem], place: str) -> Iterator[None]:
    """Add the error that the block raises to the problems."""
    try:
        yield
    except EverfitError as raised:
        problems.append(from_exception(place, raised))


def missing_columns(place: str, wanted: Iterable[str], have: Iterable[str]) -> list[Problem]:
    """Return one problem for each wanted column that does not exist."""
    columns = list(have)
    there_are = f"There are: {', '.join(columns[:20])}."
    return [
        error(place, "the column must exist in the source", name, did_you_mean(name, columns, otherwise=there_are))
        for name in dict.fromkeys(wanted)
        if name not in columns
    ]
