"""Classes of a classification label, and their names in the journal, in columns and in requests."""

from __future__ import annotations

import re
from collections.abc import Sequence

ClassValue = str | int | bool

NEW_CLASSES = "(new classes)"
"""The name that stands for all classes that a version did not learn."""
LONGEST_CLASS = 256
"""Largest length of a class name in an outcome, in characters."""

_WHOLE = re.compile(r"[+-]?\d{1,19}(\.0*)?")
_INT64 = range(-(1 << 63), 1 << 63)


def class_name(value: object) -> str:
    """Return the name of a class: ``true`` and ``false`` for booleans, else the value as text.

    >>> class_name(True), class_name(3), class_name("late")
    ('true', '3', 'late')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def quoted(classes: Sequence[object], *, most: int = 10) -> str:
    """Return classes as text for a sentence, the first few of many.

    >>> quoted(["no", "yes"]), quoted([1, 2, 3], most=2)
    ("'no' and 'yes'", '1, 2 and 1 more')
    """
    shown = [repr(value) for value in classes[:most]]
    rest = len(classes) - len(shown)
    if rest:
        shown.append(f"{rest:,} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]])) or "none"


def places_by_name(classes: Sequence[ClassValue]) -> dict[str, int]:
    """Return the index of each class by its name.

    Two classes that are the truth values, as booleans or as 0 and 1, have both spellings, so that a label whose type
    was changed from one to the other keeps its classes.

    >>> places_by_name(["b", "a"]), places_by_name([False, True])
    ({'b': 0, 'a': 1}, {'false': 0, 'true': 1, '0': 0, '1': 1})
    """
    places = {class_name(value): place for place, value in enumerate(classes)}
    if set(classes) == {0, 1}:
        for place, value in enumerate(classes):
            places |= {class_name(bool(value)): place, str(int(value)): place}
    return places


def read_class(value: object, classes: Sequence[ClassValue], *, new: bool) -> str | None:
    """Return the name of the class in an outcome; ``None`` if the value cannot be a class of this label.

    A known class may be given by its value or by its name; a number may be written as float or as text (``1.0``), and
    a truth value as ``True``, ``true``, ``1`` or ``"True"``.

    Args:
        classes: The classes that the model knows, all of one type.
        value: As it was reported, not ``None``.
        new: Accept also a class that the model does not know, if it is of the same type: text of 1 to
            :data:`LONGEST_CLASS` characters, or a whole number of 64 bits.

    >>> read_class("True", [False, True], new=False), read_class(1.0, [0, 1], new=False)
    ('true', '1')
    >>> read_class("d", ["a", "b"], new=True), read_class(4, ["a", "b"], new=True), read_class("7", [1, 2], new=True)
    ('d', None, '7')
    """
    if any(isinstance(label, str) for label in classes):
        if not isinstance(value, str):
            return None
        return value if value in classes or (new and 0 < len(value) <= LONGEST_CLASS) else None
    places = places_by_name(classes)
    text = value.lower() if isinstance(value, str) else class_name(value)
    number = _whole(value)
    for name in (text, str(number)):
        if name in places:
            return class_name(classes[places[name]])
    is_truth = any(isinstance(label, bool) for label in classes)
    # None is looked for in a range one number after another.
    return str(number) if new and not is_truth and number is not None and number in _INT64 else None


def _whole(value: object) -> int | None:
    """Return the whole number that a value states; ``None`` if it states none, or is a boolean."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value.partition(".")[0]) if _WHOLE.fullmatch(value) else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) else None
