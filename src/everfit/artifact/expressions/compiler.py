"""Polars expressions as plain Python functions of one row.

A ``select`` on a frame of one row costs half a millisecond, a compiled expression a microsecond. The compiled form
follows Polars' types, since they show in the results (an hour is an Int8, so that ``hour * 60`` overflows), and is
used only where it is proved equal on held-back rows. What is not known here is left to Polars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from operator import add, eq, floordiv, ge, gt, le, lt, mod, mul, ne, sub
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from everfit.artifact.expressions import functions
from everfit.artifact.expressions.expression_types import (
    FIELD_TYPES,
    INTEGERS,
    NUMBERS,
    POLARS_TYPES,
    Compute,
    Row,
    Typed,
    Untranslatable,
    common_type,
    conversion,
)
from everfit.artifact.expressions.stored import list_key
from everfit.artifact.schema import FieldType

_ARITHMETIC = {"Plus": add, "Minus": sub, "Multiply": mul}
_WHOLE_DIVISIONS = {"FloorDivide": floordiv, "Modulus": mod}
_COMPARISONS = {"Eq": eq, "NotEq": ne, "Lt": lt, "LtEq": le, "Gt": gt, "GtEq": ge}
_LOGIC = frozenset({"And", "LogicalAnd", "Or", "LogicalOr"})
_TIMES = frozenset({"instant", "date", "duration"})
_TIME_ARITHMETIC = {
    ("instant", "Minus", "instant"): "duration",
    ("date", "Minus", "date"): "duration",
    ("instant", "Minus", "duration"): "instant",
    ("instant", "Plus", "duration"): "instant",
    ("duration", "Plus", "duration"): "duration",
    ("duration", "Minus", "duration"): "duration",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOSED = {"Both": ("GtEq", "LtEq"), "Left": ("GtEq", "Lt"), "Right": ("Gt", "LtEq"), "None": ("Gt", "Lt")}
_FAMILIES = frozenset({"Boolean", "Pow", "StringExpr", "TemporalExpr", "Trigonometry"})


class ExpressionCompiler:
    """Compiles expressions over a request's fields to functions from its values by field name.

    ``lists`` has the values of list literals by :func:`~everfit.artifact.expressions.stored.list_key`. Both methods
    raise :class:`~everfit.artifact.expressions.expression_types.Untranslatable` at a part that is not known here.
    """

    def __init__(self, fields: Mapping[str, FieldType], lists: Mapping[str, Sequence[Any]]) -> None:
        self._fields = fields
        self._lists = lists
        self.parts: list[tuple[Any, str]] = []
        """Every part that was compiled and is not a literal, with the type that the compiler gives it."""

    def settled(self, tree: Any) -> Typed:
        """Compile a whole expression, Polars' JSON decoded; a bare literal takes its default type."""
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
        match body:
            case {"Dyn": {"Int": constant}}:
                kind = "int?"
            case {"Dyn": {"Float": constant}}:
                kind = "float?"
            case {"Dyn": {"Str": constant}}:
                kind = "str"
            case {"Scalar": {"Null": _}}:
                constant, kind = None, "null?"
            case {"Scalar": {"Date": days}}:
                constant, kind = date(1970, 1, 1) + timedelta(days=days), "date"
            case {"Scalar": {"Datetime": [us, "Microseconds", "UTC" | {"inner": "UTC"}]}}:
                constant, kind = _EPOCH + timedelta(microseconds=us), "instant"
            case {"Scalar": {"Duration": [us, "Microseconds"]}}:
                constant, kind = timedelta(microseconds=us), "duration"
            case {"Scalar": dict(scalar)} if scalar.keys() <= POLARS_TYPES.keys():
                ((name, constant),) = scalar.items()
                kind = POLARS_TYPES[name]
            case _:
                raise Untranslatable(f"the literal {str(body)[:80]}")
        return (lambda _: constant), kind

    def _cast(self, body: Any) -> Typed:
        compute, source = self.settled(body["expr"])
        literal = body["dtype"].get("Literal") if isinstance(body["dtype"], dict) else None
        target = POLARS_TYPES.get(literal, "") if isinstance(literal, str) else ""
        convert = conversion(source, target)
        if convert is None:
            raise Untranslatable(f"a cast of {source} to {literal}")
        return _strict(compute, convert), target

    def _ternary(self, body: Any) -> Typed:
        condition, kind = self.compile(body["predicate"])
        if kind != "bool":
            raise Untranslatable(f"a condition of type {kind}")
        (then, otherwise), result = self._alike([self.compile(body["truthy"]), self.compile(body["falsy"])])
        return (lambda row: then(row) if condition(row) else otherwise(row)), result

    def _binaryexpr(self, body: Any) -> Typed:
        name, left, right = body["op"], self.compile(body["left"]), self.compile(body["right"])
        kinds = {left[1], right[1]}
        if name in _LOGIC:
            return _logic(name, left, right)
        if name in _COMPARISONS:
            return self._comparison(name, left, right)
        if kinds & _TIMES:
            result = _TIME_ARITHMETIC.get((left[1], name, right[1]))
            if result is None:
                raise Untranslatable(f"{name} of {left[1]} and {right[1]}")
            return _both(left[0], right[0], _ARITHMETIC[name]), result
        if kinds == {"str"} and name == "Plus":
            return _both(left[0], right[0], add), "str"
        return self._arithmetic(name, left, right)

    def _comparison(self, name: str, left: Typed, right: Typed) -> Typed:
        (one, other), kind = self._alike([left, right])
        if kind == "null?":
            raise Untranslatable("a comparison of nulls")
        return _both(one, other, functions.FLOAT_ORDER[name] if kind == "f64" else _COMPARISONS[name]), "bool"

    def _arithmetic(self, name: str, left: Typed, right: Typed) -> Typed:
        (one, other), kind = self._alike([left, right])
        if name == "TrueDivide" and kind in NUMBERS:
            return _both(one, other, functions.divide), "f64"
        if kind == "f64":
            if name in _ARITHMETIC:
                return _both(one, other, _ARITHMETIC[name]), kind
            if name == "FloorDivide":
                return _both(one, other, lambda a, b: functions.round_down(functions.divide(a, b))), kind
        elif kind in INTEGERS:
            wrapped = functions.wrap(kind)
            if name in _ARITHMETIC:
                operate = _ARITHMETIC[name]
                return _both(one, other, lambda a, b: wrapped(operate(a, b))), kind
            if name in _WHOLE_DIVISIONS:
                divide = _WHOLE_DIVISIONS[name]
                return _both(one, other, lambda a, b: wrapped(divide(a, b)) if b else None), kind
        raise Untranslatable(f"{name} of {kind}")

    def _function(self, body: Any) -> Typed:
        (name, options), inputs = _named(body["function"]), body["input"]
        special: Mapping[str, Callable[[Sequence[Any], Any], Typed]] = {
            "IsNull": self._is_null,
            "IsNotNull": self._is_not_null,
            "IsIn": self._is_in,
            "IsBetween": self._is_between,
            "ConvertTimeZone": self._to_zone,
            "ConcatHorizontal": self._concatenation,
            "FillNull": self._first_known,
            "Coalesce": self._first_known,
            "Clip": self._clip,
        }
        if name in special:
            return special[name](inputs, options)
        operands = [self.settled(part) for part in inputs]
        kinds = [kind for _, kind in operands]
        if len(operands) == 1:
            function, result = functions.unary(name, *kinds, fractional=options.get("fractional", False))
            return _strict(operands[0][0], function), result
        if len(operands) != 2 or (name == "Contains" and not options["literal"]):
            raise Untranslatable(name)
        operate, result = functions.binary(name, *kinds)
        return _both(operands[0][0], operands[1][0], operate), result

    def _is_null(self, inputs: Sequence[Any], _: Any) -> Typed:
        compute = self.compile(inputs[0])[0]
        return (lambda row: compute(row) is None), "bool"

    def _is_not_null(self, inputs: Sequence[Any], _: Any) -> Typed:
        compute = self.compile(inputs[0])[0]
        return (lambda row: compute(row) is not None), "bool"

    def _is_in(self, inputs: Sequence[Any], options: Any) -> Typed:
        compute, kind = self.compile(inputs[0])
        content = inputs[1].get("Literal", {}).get("Scalar", {}).get("List")
        values = self._lists.get(list_key(content), ()) if isinstance(content, list) else ()
        wanted = str if kind == "str" else int if kind in INTEGERS else None
        simple = wanted is not None and values and all(type(value) is wanted for value in values)
        if not simple or (options or {}).get("nulls_equal"):
            raise Untranslatable(f"is_in of {kind}")
        return _strict(compute, frozenset(values).__contains__), "bool"

    def _is_between(self, inputs: Sequence[Any], options: Any) -> Typed:
        low, high = _CLOSED[options["closed"]]
        value, bottom, top = (self.compile(part) for part in inputs)
        return _logic("And", self._comparison(low, value, bottom), self._comparison(high, value, top))

    def _to_zone(self, inputs: Sequence[Any], options: Any) -> Typed:
        compute, kind = self.compile(inputs[0])
        try:
            zone = ZoneInfo(options["inner"])
        except ZoneInfoNotFoundError as problem:
            raise Untranslatable(options["inner"]) from problem
        if kind != "instant":
            raise Untranslatable(f"the time zone of {kind}")
        return _strict(compute, lambda value: value.astimezone(zone)), "instant"

    def _concatenation(self, inputs: Sequence[Any], options: Any) -> Typed:
        parts = [self.compile(part) for part in inputs]
        if options["ignore_nulls"] or any(kind != "str" for _, kind in parts):
            raise Untranslatable(f"a concatenation of {[kind for _, kind in parts]}")

        join = options["delimiter"].join

        def concatenate(row: Row) -> Any:
            texts = [compute(row) for compute, _ in parts]
            return None if None in texts else join(texts)

        return concatenate, "str"

    def _first_known(self, inputs: Sequence[Any], _: Any) -> Typed:
        computes, kind = self._alike([self.compile(part) for part in inputs])

        def first(row: Row) -> Any:
            for compute in computes:
                value = compute(row)
                if value is not None:
                    return value
            return None

        return first, kind

    def _clip(self, inputs: Sequence[Any], options: Any) -> Typed:
        (compute, kind), *bounds = [self.compile(part) for part in inputs]
        accepted = {"f64": {"f64", "int?", "float?"}, "i64": {"i64", "int?"}}.get(kind, set())
        if not {other for _, other in bounds} <= accepted or not accepted:
            raise Untranslatable(f"clip of {kind} at {[other for _, other in bounds]}")
        number = float if kind == "f64" else int
        low = bounds[0][0] if options["has_min"] else None
        high = bounds[-1][0] if options["has_max"] else None

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
        return [_strict(compute, float) if kind == "f64" and own != "f64" else compute for compute, own in parts], kind


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


def _named(function: Any) -> tuple[str, Any]:
    """Name and options of a function, written ``"Abs"``, ``{"Pow": "Sqrt"}`` or ``{"Boolean": {"IsIn": {…}}}``."""
    if isinstance(function, str):
        return function, {}
    ((name, detail),) = function.items()
    return _named(detail) if name in _FAMILIES else (name, detail)
