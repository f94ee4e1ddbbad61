"""Polars expressions as plain Python functions of one row.

A ``select`` on a frame of one row costs half a millisecond, a compiled expression a microsecond. The compiled form
follows Polars' types, since they show in the results (an hour is an Int8, so that ``hour * 60`` overflows), and is
used only where it is proved equal on held-back rows. What is not known here is left to Polars.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from everfit.artifact.expressions import functions
from everfit.artifact.expressions.expression_types import (
    FIELD_TYPES,
    INTEGERS,
    POLARS_TYPES,
    SIGNED,
    Compute,
    Row,
    Typed,
    Untranslatable,
    common_type,
    conversion,
)
from everfit.artifact.expressions.stored import list_key
from everfit.artifact.schema import FieldType

_ARITHMETIC = {"Plus": operator.add, "Minus": operator.sub, "Multiply": operator.mul}
_COMPARISONS = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtEq": operator.le,
    "Gt": operator.gt,
    "GtEq": operator.ge,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOSED = {"Both": ("GtEq", "LtEq"), "Left": ("GtEq", "Lt"), "Right": ("Gt", "LtEq"), "None": ("Gt", "Lt")}


def compile_expression(tree: Any, fields: Mapping[str, FieldType], lists: Mapping[str, Sequence[Any]]) -> Compute:
    """Compile an expression.

    Args:
        tree: Polars expression JSON, decoded.
        fields: The request's fields.
        lists: The values of its list literals by :func:`everfit.artifact.expressions.stored.list_key`.

    Returns:
        From field name to Python value, to the expression's value; an absent field is null.

    Raises:
        Untranslatable: If a part of it is not known here.
    """
    return _Compiler(fields, lists).settled(tree)[0]


def typed_parts(
    tree: Any, fields: Mapping[str, FieldType], lists: Mapping[str, Sequence[Any]]
) -> list[tuple[Any, str]]:
    """Return every part of an expression that is not a literal, with the type that the compiler gives it.

    Types are those of :mod:`everfit.artifact.expressions.expression_types`; arguments and errors are those of
    :func:`compile_expression`.
    """
    compiler = _Compiler(fields, lists)
    compiler.settled(tree)
    return compiler.parts


class _Compiler:
    """Compilation of one expression."""

    def __init__(self, fields: Mapping[str, FieldType], lists: Mapping[str, Sequence[Any]]) -> None:
        self._fields = fields
        self._lists = lists
        self.parts: list[tuple[Any, str]] = []

    def settled(self, tree: Any) -> Typed:
        """Compile a whole expression; a bare literal takes its default type."""
        compute, kind = self.compile(tree)
        if kind == "int?":
            return compute, "i32" if -(2**31) <= compute({}) < 2**31 else "i64"
        return compute, "f64" if kind == "float?" else kind

    def compile(self, tree: Any) -> Typed:
        """Compile a part."""
        ((node, body),) = tree.items()
        visit = getattr(self, f"_{node.lower()}", None)
        if visit is None:
            raise Untranslatable(node)
        typed: Typed = visit(body)
        if not typed[1].endswith("?"):
            self.parts.append((tree, typed[1]))
        return typed

    def _alias(self, body: Any) -> Typed:
        return self.compile(body[0])

    def _column(self, name: str) -> Typed:
        if name not in self._fields:
            raise Untranslatable(name)
        return (lambda row: row.get(name)), FIELD_TYPES[self._fields[name]]

    def _literal(self, body: Any) -> Typed:
        ((group, content),) = body.items()
        if group not in {"Dyn", "Scalar"} or not isinstance(content, dict):
            raise Untranslatable(str(body)[:80])
        ((kind, value),) = content.items()
        made = self._constant(group, kind, value)
        if made is None:
            raise Untranslatable(f"a literal {kind}")
        constant, name = made
        return (lambda _: constant), name

    def _constant(self, group: str, kind: str, value: Any) -> tuple[Any, str] | None:
        if group == "Dyn":
            return {"Int": (value, "int?"), "Float": (value, "float?"), "Str": (value, "str")}.get(kind)
        if kind == "Null":
            return None, "null?"
        if kind == "Date":
            return date(1970, 1, 1) + timedelta(days=value), "date"
        if kind == "Datetime" and value[1] == "Microseconds" and _is_utc(value[2]):
            return _EPOCH + timedelta(microseconds=value[0]), "instant"
        if kind == "Duration" and value[1] == "Microseconds":
            return timedelta(microseconds=value[0]), "duration"
        name = POLARS_TYPES.get(kind)
        return None if name is None or name == "date" else (value, name)

    def _cast(self, body: Any) -> Typed:
        compute, source = self.settled(body["expr"])
        literal = body["dtype"].get("Literal") if isinstance(body["dtype"], dict) else None
        target = POLARS_TYPES.get(literal) if isinstance(literal, str) else None
        convert = None if target is None else conversion(source, target)
        if convert is None or target is None:
            raise Untranslatable(f"a cast of {source} to {literal}")
        return _strict(compute, convert), target

    def _ternary(self, body: Any) -> Typed:
        condition, kind = self.compile(body["predicate"])
        if kind != "bool":
            raise Untranslatable(f"a condition of type {kind}")
        (then, otherwise), result = self._alike([self.compile(body["truthy"]), self.compile(body["falsy"])])
        return (lambda row: then(row) if condition(row) else otherwise(row)), result

    def _binaryexpr(self, body: Any) -> Typed:
        name = body["op"]
        left, right = self.compile(body["left"]), self.compile(body["right"])
        if name in {"And", "LogicalAnd", "Or", "LogicalOr"}:
            return _logic(name, left, right)
        if name in _COMPARISONS:
            return self._comparison(name, left, right)
        times = {left[1], right[1]} & {"instant", "date", "duration"}
        if times:
            return _time_arithmetic(name, left, right)
        if {left[1], right[1]} == {"str"} and name == "Plus":
            return _both(left[0], right[0], operator.add), "str"
        return self._arithmetic(name, left, right)

    def _comparison(self, name: str, left: Typed, right: Typed) -> Typed:
        (one, other), kind = self._alike([left, right])
        if kind == "null?":
            raise Untranslatable("a comparison of nulls")
        compare = functions.float_order(name) if kind == "f64" else _COMPARISONS[name]
        return _both(one, other, compare), "bool"

    def _arithmetic(self, name: str, left: Typed, right: Typed) -> Typed:
        (one, other), kind = self._alike([left, right])
        if kind not in INTEGERS and kind != "f64":
            raise Untranslatable(f"{name} of {kind}")
        if name == "TrueDivide":
            return _both(one, other, functions.divide), "f64"
        if name in _ARITHMETIC:
            operate = _ARITHMETIC[name]
            if kind == "f64":
                return _both(one, other, operate), kind
            bits, signed = INTEGERS[kind]
            wrapped = functions.wrap(bits, signed=signed)
            return _both(one, other, lambda a, b: wrapped(operate(a, b))), kind
        if name in {"FloorDivide", "Modulus"} and kind in INTEGERS:
            bits, signed = INTEGERS[kind]
            wrapped = functions.wrap(bits, signed=signed)
            whole = operator.floordiv if name == "FloorDivide" else operator.mod
            return _both(one, other, lambda a, b: wrapped(whole(a, b)) if b else None), kind
        if name == "FloorDivide":
            return _both(one, other, lambda a, b: functions.round_down(functions.divide(a, b))), kind
        raise Untranslatable(f"{name} of {kind}")

    def _function(self, body: Any) -> Typed:
        function = body["function"]
        if isinstance(function, str):
            group, detail = function, None
        else:
            ((group, detail),) = function.items()
        visit = {
            "Boolean": self._boolean,
            "TemporalExpr": self._temporal,
            "StringExpr": self._text,
            "Pow": self._power,
            "Trigonometry": self._real,
            "Log1p": self._real,
            "Exp": self._real,
            "Log": self._log,
            "Abs": self._sign,
            "Negate": self._sign,
            "Floor": self._rounding,
            "Ceil": self._rounding,
            "FillNull": self._first_known,
            "Coalesce": self._first_known,
            "Clip": self._clip,
        }.get(group)
        if visit is None:
            raise Untranslatable(group)
        return visit(detail if detail is not None else group, body["input"])

    def _boolean(self, detail: Any, inputs: Sequence[Any]) -> Typed:
        if isinstance(detail, dict):
            ((name, options),) = detail.items()
            if name == "IsIn":
                return self._is_in(inputs, options)
            if name == "IsBetween":
                low, high = _CLOSED[options["closed"]]
                value, bottom, top = (self.compile(part) for part in inputs)
                return _logic("And", self._comparison(low, value, bottom), self._comparison(high, value, top))
            raise Untranslatable(name)
        compute, kind = self.compile(inputs[0])
        if detail == "IsNull":
            return (lambda row: compute(row) is None), "bool"
        if detail == "IsNotNull":
            return (lambda row: compute(row) is not None), "bool"
        if detail == "Not" and kind == "bool":
            return _strict(compute, operator.not_), "bool"
        if detail in {"IsNan", "IsNotNan"} and kind == "f64":
            return _strict(compute, math.isnan if detail == "IsNan" else lambda value: not math.isnan(value)), "bool"
        raise Untranslatable(f"{detail} of {kind}")

    def _is_in(self, inputs: Sequence[Any], options: Any) -> Typed:
        compute, kind = self.compile(inputs[0])
        content = inputs[1].get("Literal", {}).get("Scalar", {}).get("List")
        values = self._lists.get(list_key(content), ()) if isinstance(content, list) else ()
        wanted = str if kind == "str" else int if kind in INTEGERS else None
        simple = wanted is not None and values and all(type(value) is wanted for value in values)
        if not simple or (options or {}).get("nulls_equal"):
            raise Untranslatable(f"is_in of {kind}")
        known = frozenset(values)
        return _strict(compute, known.__contains__), "bool"

    def _temporal(self, detail: Any, inputs: Sequence[Any]) -> Typed:
        compute, kind = self.compile(inputs[0])
        if isinstance(detail, dict):
            ((name, options),) = detail.items()
            if name == "ConvertTimeZone" and kind == "instant":
                return _strict(compute, _to_zone(options["inner"])), "instant"
            count = functions.total(name, fractional=options["fractional"]) if kind == "duration" else None
            if count is None:
                raise Untranslatable(name)
            return _strict(compute, count), "f64" if options["fractional"] else "i64"
        if detail == "Date" and kind == "instant":
            return _strict(compute, lambda value: value.date()), "date"
        if detail not in functions.TEMPORAL or kind not in {"instant", "date"}:
            raise Untranslatable(f"{detail} of {kind}")
        if kind == "date" and detail in {"Hour", "Minute", "Second"}:
            raise Untranslatable(f"{detail} of {kind}")
        result, take = functions.TEMPORAL[detail]
        return _strict(compute, take), result

    def _text(self, detail: Any, inputs: Sequence[Any]) -> Typed:
        parts = [self.compile(part) for part in inputs]
        if any(kind != "str" for _, kind in parts):
            raise Untranslatable(f"{detail} of {[kind for _, kind in parts]}")
        computes = [compute for compute, _ in parts]
        if isinstance(detail, dict):
            ((name, options),) = detail.items()
            if name == "Contains" and options["literal"]:
                return _both(computes[0], computes[1], lambda text, piece: piece in text), "bool"
            if name == "ConcatHorizontal" and not options["ignore_nulls"]:
                return _joined(computes, options["delimiter"]), "str"
            raise Untranslatable(name)
        if detail in functions.TEXT:
            result, take = functions.TEXT[detail]
            return _strict(computes[0], take), result
        if detail in functions.TEXT_PAIRS:
            return _both(computes[0], computes[1], functions.TEXT_PAIRS[detail]), "bool"
        raise Untranslatable(str(detail))

    def _power(self, detail: Any, inputs: Sequence[Any]) -> Typed:
        if detail == "Sqrt":
            return self._real(detail, inputs)
        (base, kind), (exponent, other) = (self.compile(part) for part in inputs)
        if detail != "Generic" or kind != "f64" or other not in {"int?", "float?", "f64", *INTEGERS}:
            raise Untranslatable(f"{detail} of {kind} and {other}")
        return _both(base, exponent, functions.power), "f64"

    def _real(self, detail: Any, inputs: Sequence[Any]) -> Typed:
        compute, kind = self.settled(inputs[0])
        if detail not in functions.REAL or (kind != "f64" and kind not in INTEGERS):
            raise Untranslatable(f"{detail} of {kind}")
        return _strict(compute, functions.REAL[detail]), "f64"

    def _log(self, _: Any, inputs: Sequence[Any]) -> Typed:
        (compute, kind), (base, other) = (self.settled(part) for part in inputs)
        if any(part != "f64" and part not in INTEGERS for part in (kind, other)):
            raise Untranslatable(f"a logarithm of {kind}")
        return _both(compute, base, functions.log), "f64"

    def _sign(self, detail: Any, inputs: Sequence[Any]) -> Typed:
        compute, kind = self.settled(inputs[0])
        operate: Callable[[Any], Any] = operator.abs if detail == "Abs" else operator.neg
        if kind == "f64":
            return _strict(compute, operate), kind
        if kind not in SIGNED:
            raise Untranslatable(f"{detail} of {kind}")
        wrapped = functions.wrap(INTEGERS[kind][0], signed=True)
        return _strict(compute, lambda value: wrapped(operate(value))), kind

    def _rounding(self, detail: Any, inputs: Sequence[Any]) -> Typed:
        compute, kind = self.settled(inputs[0])
        if kind in INTEGERS:
            return compute, kind
        if kind != "f64":
            raise Untranslatable(f"{detail} of {kind}")
        return _strict(compute, functions.round_down if detail == "Floor" else functions.round_up), kind

    def _first_known(self, _: Any, inputs: Sequence[Any]) -> Typed:
        computes, kind = self._alike([self.compile(part) for part in inputs])

        def first(row: Row) -> Any:
            for compute in computes:
                value = compute(row)
                if value is not None:
                    return value
            return None

        return first, kind

    def _clip(self, options: Any, inputs: Sequence[Any]) -> Typed:
        parts = [self.compile(part) for part in inputs]
        kind = parts[0][1]
        if kind not in {"f64", "i64"} or any(other not in {kind, "int?", "float?"} for _, other in parts[1:]):
            raise Untranslatable("clip")
        if kind == "i64" and any(other == "float?" for _, other in parts[1:]):
            raise Untranslatable("clip of integers at a float")
        number = float if kind == "f64" else int
        bounds = iter(compute for compute, _ in parts[1:])
        low = next(bounds) if options["has_min"] else None
        high = next(bounds) if options["has_max"] else None
        compute = parts[0][0]

        def clip(row: Row) -> Any:
            value = compute(row)
            if value is None or value != value:  # noqa: PLR0124 - NaN
                return value
            bottom, top = low(row) if low else None, high(row) if high else None
            if bottom is not None and value < bottom:
                value = number(bottom)
            return number(top) if top is not None and value > top else value

        return clip, kind

    def _alike(self, parts: Sequence[Typed]) -> tuple[list[Compute], str]:
        """Bring parts to the one type that Polars brings them to."""
        kind = parts[0][1]
        for place, (_, other) in enumerate(parts[1:], start=1):
            kind = common_type(kind, parts[0][0] if place == 1 else None, other, parts[place][0])
        if kind == "int?":
            kind = "i32" if all(compute({}) is None or abs(compute({})) < 2**31 for compute, _ in parts) else "i64"
        if kind == "float?":
            kind = "f64"
        return [_as_float(compute) if kind == "f64" and own != "f64" else compute for compute, own in parts], kind


def _strict(compute: Compute, convert: Callable[[Any], Any]) -> Compute:
    """Null in, null out."""

    def call(row: Row) -> Any:
        value = compute(row)
        return None if value is None else convert(value)

    return call


def _both(left: Compute, right: Compute, operate: Callable[[Any, Any], Any]) -> Compute:
    """Null on either side, null out."""

    def call(row: Row) -> Any:
        one, other = left(row), right(row)
        return None if one is None or other is None else operate(one, other)

    return call


def _as_float(compute: Compute) -> Compute:
    return _strict(compute, float)


def _joined(computes: Sequence[Compute], delimiter: str) -> Compute:
    def call(row: Row) -> Any:
        texts = [compute(row) for compute in computes]
        return None if None in texts else delimiter.join(texts)

    return call


def _logic(name: str, left: Typed, right: Typed) -> Typed:
    """Kleene's three-valued logic."""
    if (left[1], right[1]) != ("bool", "bool"):
        raise Untranslatable(f"{name} of {left[1]} and {right[1]}")
    one, other = left[0], right[0]
    deciding = name.endswith("Or")

    def call(row: Row) -> Any:
        first = one(row)
        if first is deciding:
            return deciding
        second = other(row)
        if second is deciding:
            return deciding
        return None if first is None or second is None else not deciding

    return call, "bool"


def _time_arithmetic(name: str, left: Typed, right: Typed) -> Typed:
    kinds = (left[1], right[1])
    results = {
        ("Minus", "instant", "instant"): "duration",
        ("Minus", "date", "date"): "duration",
        ("Minus", "instant", "duration"): "instant",
        ("Plus", "instant", "duration"): "instant",
        ("Plus", "duration", "duration"): "duration",
        ("Minus", "duration", "duration"): "duration",
    }
    result = results.get((name, *kinds))
    if result is None:
        raise Untranslatable(f"{name} of {kinds}")
    return _both(left[0], right[0], _ARITHMETIC[name]), result


def _is_utc(zone: Any) -> bool:
    return zone in ("UTC", {"inner": "UTC"})


def _to_zone(name: str) -> Callable[[datetime], datetime]:
    try:
        zone = ZoneInfo(name)
    except ZoneInfoNotFoundError as problem:
        raise Untranslatable(name) from problem
    return lambda value: value.astimezone(zone)
