"""Types of Polars expressions as the compiler knows them, and their rules: common types, literals and casts.

Types are ``bool``, ``i8``, ``i16``, ``i32``, ``i64``, ``u32``, ``f64``, ``str``, ``instant``, ``date`` and
``duration``. One that ends in ``?`` is a bare literal's, which takes the type of the other operand: ``int?``,
``float?``, ``null?``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from everfit.artifact.schema import FieldType

Row = Mapping[str, Any]
Compute = Callable[[Row], Any]
Typed = tuple[Compute, str]

FIELD_TYPES: Mapping[FieldType, str] = {
    "string": "str",
    "integer": "i64",
    "number": "f64",
    "boolean": "bool",
    "instant": "instant",
    "date": "date",
}
INTEGERS = {"i8": 8, "i16": 16, "i32": 32, "i64": 64, "u32": 32}
"""Bits by type."""
NUMBERS = frozenset({*INTEGERS, "f64"})
POLARS_TYPES = {
    "Boolean": "bool",
    "Float64": "f64",
    "Int8": "i8",
    "Int16": "i16",
    "Int32": "i32",
    "Int64": "i64",
    "UInt32": "u32",
    "String": "str",
    "Date": "date",
}
SIGNED = ("i8", "i16", "i32", "i64")


class Untranslatable(Exception):  # noqa: N818 - a signal between functions, not an error
    """This expression is left to Polars."""


def common_type(one: str, literal: Compute | None, other: str, other_literal: Compute | None) -> str:
    """Return the type that Polars brings two operands to; a bare integer's type depends on its value.

    Raises :class:`Untranslatable` if there is none.
    """
    if one == other:
        return one
    if "null?" in {one, other}:
        return other if one == "null?" else one
    if not {one, other} <= NUMBERS | {"int?", "float?"}:
        raise Untranslatable(f"{one} with {other}")
    if {"f64", "float?"} & {one, other}:
        return "f64"
    if "int?" in {one, other}:
        compute, kind = (literal, other) if one == "int?" else (other_literal, one)
        if compute is None:
            raise Untranslatable("a literal among more than two")
        return _fitting_integer(compute({}), kind)
    if "u32" in {one, other}:
        return "i64"
    return max(one, other, key=SIGNED.index)


def sign_offset(kind: str) -> int:
    """Return what moves the values of an integer type to those from zero on."""
    return 2 ** (INTEGERS[kind] - 1) if kind in SIGNED else 0


def _fitting_integer(value: int, kind: str) -> str:
    """Return the type of a column with a bare integer: the column's if it fits, else the smallest that holds it."""
    for name in SIGNED[SIGNED.index(kind) :] if kind in SIGNED else (kind,):
        if 0 <= value + sign_offset(name) < 2 ** INTEGERS[name]:
            return name
    raise Untranslatable(f"the literal {value} with a column of type {kind}")


def conversion(source: str, target: str) -> Callable[[Any], Any] | None:
    """Return the function of a cast that cannot fail; ``None`` for the others."""
    widens = source in SIGNED and target in SIGNED and SIGNED.index(source) < SIGNED.index(target)
    if source == target or widens or (source, target) == ("u32", "i64"):
        return lambda value: value
    if target == "f64" and (source == "bool" or source in INTEGERS):
        return float
    if target in INTEGERS and source == "bool":
        return int
    if target == "str" and source in INTEGERS:
        return str
    return (lambda value: value.date()) if (source, target) == ("instant", "date") else None
