"""Asking a version that may fail: on which rows, when it fails on some of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from everfit.core.errors import StoreError

if TYPE_CHECKING:
    from everfit.serving.inference.served_model import Predicted, Seen, ServedModel
    from everfit.serving.protocols.json import Row


class Attempt(NamedTuple):
    """What came of it; together every row once."""

    answered: list[tuple[list[int], Predicted]]
    """Places of rows, and the answers to them."""
    failed: dict[int, Exception]
    """What was raised, by the place of the row."""


def attempt(model: ServedModel, rows: Sequence[Row], *, now_us: int, seen: Sequence[Seen] | None = None) -> Attempt:
    """Ask a version about rows, all at once if it can; halves are asked apart until those that it fails on are alone.

    Args:
        model: The version.
        rows: At least one.
        now_us: The moment of asking.
        seen: What another version was given for each row then.
    """
    answered: list[tuple[list[int], Predicted]] = []
    failed: dict[int, Exception] = {}
    waiting = [list(range(len(rows)))]
    while waiting:
        places = waiting.pop()
        try:
            given = None if seen is None else [seen[place] for place in places]
            answered.append((places, model.predict([rows[place] for place in places], now_us=now_us, seen=given)))
        except Exception as error:  # noqa: BLE001 - whatever a model or a project's code raises: told to the caller
            half = len(places) // 2
            if isinstance(error, StoreError):  # no row is to blame, and the store is not asked again for each
                failed.update(dict.fromkeys(places, error))
            elif half:
                waiting += [places[half:], places[:half]]
            else:
                failed[places[0]] = error
    return Attempt(answered, failed)
