"""Recording of on-demand functions as Polars expressions, which are stored, read and executed without code."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import polars as pl

from everfit.artifact.expressions.stored import list_key, unknown_node


class Unrecordable(Exception):  # noqa: N818 - a signal between two functions of this package, not an error
    """The function does something other than chain expressions."""


class ExpressionRecorder:
    """Substitute for a frame that records the expressions which a function selects."""

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        self.outputs = outputs
        """The JSON tree of every column, over the original fields."""
        self.columns = list(outputs)

    def select(self, *expressions: Any, **named: Any) -> ExpressionRecorder:
        """As in Polars."""
        return ExpressionRecorder(self._record(expressions, named))

    def with_columns(self, *expressions: Any, **named: Any) -> ExpressionRecorder:
        """As in Polars."""
        return ExpressionRecorder({**self.outputs, **self._record(expressions, named)})

    def drop(self, *names: str) -> ExpressionRecorder:
        """As in Polars, by name."""
        return ExpressionRecorder({name: tree for name, tree in self.outputs.items() if name not in names})

    def rename(self, names: Mapping[str, str]) -> ExpressionRecorder:
        """As in Polars, by name."""
        return ExpressionRecorder({names.get(name, name): tree for name, tree in self.outputs.items()})

    def __getattr__(self, name: str) -> NoReturn:
        raise Unrecordable(name)

    def __getitem__(self, key: object) -> NoReturn:
        raise Unrecordable(str(key))

    def _record(self, expressions: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
        flat = [one for part in expressions for one in ([part] if isinstance(part, str | pl.Expr) else part)]
        columns = [pl.col(one) if isinstance(one, str) else one for one in flat]
        for name, value in named.items():
            column = pl.col(value) if isinstance(value, str) else value
            columns.append((column if isinstance(column, pl.Expr) else pl.lit(column)).alias(name))
        trees = {column.meta.output_name(): column.meta.serialize(format="json") for column in columns}
        return {name: self._substitute(json.loads(tree)) for name, tree in trees.items()}

    def _substitute(self, tree: Any) -> Any:
        if isinstance(tree, dict):
            if tree.keys() == {"Column"}:
                if tree["Column"] not in self.outputs:
                    raise Unrecordable(tree["Column"])
                return self.outputs[tree["Column"]]
            return {key: self._substitute(value) for key, value in tree.items()}
        if isinstance(tree, list):
            return [self._substitute(value) for value in tree]
        return tree


def record(function: Callable[..., Any], fields: Iterable[str]) -> dict[str, str] | None:
    """Write an on-demand function as expression JSON over the request's fields, by output.

    ``None`` if it cannot be written so: it reads values, calls Python per value, or uses a part of Polars that is not
    computed row by row.
    """
    try:
        outcome = function(ExpressionRecorder({name: {"Column": name} for name in fields}))
    except Exception:  # noqa: BLE001 - the project's own code, on what is no frame: it cannot be written as expressions
        return None
    if not isinstance(outcome, ExpressionRecorder):
        return None
    if any(map(unknown_node, outcome.outputs.values())):
        return None
    return {name: json.dumps(tree, separators=(",", ":")) for name, tree in outcome.outputs.items()}


def literal_lists(expressions: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """Return the values of the list literals in expressions, by the key of their Arrow bytes."""
    found: dict[str, tuple[Any, ...]] = {}
    for tree in _trees_within([json.loads(text) for text in expressions]):
        match tree:
            case {"Literal": {"Scalar": {"List": content}}}:
                values = pl.select(to_polars(json.dumps(tree))).to_series()[0].to_list()
                plain = all(isinstance(value, str | int | float | bool | None) for value in values)
                found[list_key(content)] = tuple(values) if plain else ()
    return found


def to_polars(expression: str) -> pl.Expr:
    """Read an expression that :func:`~everfit.artifact.expressions.stored.require_harmless` accepted."""
    return pl.Expr.deserialize(io.BytesIO(expression.encode()), format="json")


def _trees_within(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            yield from _trees_within(part)
