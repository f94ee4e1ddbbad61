"""Suggestion of a known name in place of a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LEAST_RATIO = 0.5
"""Ratio of :class:`difflib.SequenceMatcher` that a name must have to be suggested; chosen: ``feature_names`` and
``names`` have 0.56."""


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """Return a question with the known name that is most like another, or a sentence if none is like it.

    >>> did_you_mean("Prot", ["host", "port"]), did_you_mean("rows", ["port"], otherwise="Known are: port.")
    ("Did you mean 'port'?", 'Known are: port.')
    """
    by_lower = {offered.lower(): offered for offered in sorted(known)}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=_LEAST_RATIO)
    return f"Did you mean {by_lower[close[0]]!r}?" if close else otherwise
