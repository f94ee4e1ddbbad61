"""On-demand functions written down as Polars expressions: data that can be stored, read and executed without code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from everfit.core.errors import UntrustedPackageError

if TYPE_CHECKING:
    import polars as pl

_NODES = frozenset({"Alias", "BinaryExpr", "Cast", "Column", "Function", "Literal", "Ternary"})
_FUNCTIONS = frozenset(
    [
        "Abs",
        "Boolean",
        "Cbrt",
        "Ceil",
        "Clip",
        "Coalesce",
        "Exp",
        "FillNull",
        "Floor",
        "Log",
        "Log1p",
        "MaxHorizontal",
        "MinHorizontal",
        "Negate",
        "Pow",
        "Replace",
        "ReplaceStrict",
        "Round",
        "RoundSF",
        "Sign",
        "StringExpr",
        "SumHorizontal",
        "TemporalExpr",
        "Trigonometry",
    ]
)


class Unrecordable(Exception):  # noqa: N818 - a signal between two functions of this package, no error of anyone's
    """The function does something else than chain expressions."""


class Recorder:
    """Stands in for a frame, and remembers the expressions that a function asks for.

    Args:
        fields: The frame's columns.
    """

    def __init__(self, fields: Iterable[str]) -> None:
        self._outputs: dict[str, Any] = {name: {"Column": name} for name in fields}

    @property
    def outputs(self) -> dict[str, Any]:
        """The JSON tree of every column, over the original fields."""
        return dict(self._outputs)

    @property
    def columns(self) -> list[str]:
        """The columns' names."""
        return list(self._outputs)

    def select(self, *expressions: Any, **named: Any) -> Recorder:
        """As in Polars."""
        return self._with(self._record(expressions, named))

    def with_columns(self, *expressions: Any, **named: Any) -> Recorder:
        """As in Polars."""
        return self._with({**self._outputs, **self._record(expressions, named)})

    def drop(self, *names: str) -> Recorder:
        """As in Polars, by name."""
        return self._with({name: tree for name, tree in self._outputs.items() if name not in names})

    def rename(self, names: Mapping[str, str]) -> Recorder:
        """As in Polars, by name."""
        return self._with({names.get(name, name): tree for name, tree in self._outputs.items()})

    def __getattr__(self, name: str) -> NoReturn:
        raise Unrecordable(name)

    def __getitem__(self, key: object) -> NoReturn:
        raise Unrecordable(str(key))

    def _with(self, outputs: Mapping[str, Any]) -> Recorder:
        made = Recorder(())
        made._outputs = dict(outputs)
        return made

    def _record(self, expressions: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
        import polars as pl

        flat: list[pl.Expr] = []
        for part in expressions:
            parts = [part] if isinstance(part, str | pl.Expr) else list(part)
            flat += [pl.col(one) if isinstance(one, str) else one for one in parts]
        for name, value in named.items():
            expression = (
                value if isinstance(value, pl.Expr) else pl.col(value) if isinstance(value, str) else pl.lit(value)
            )
            flat.append(expression.alias(name))
        return {one.meta.output_name(): self._substitute(_tree(one)) for one in flat}

    def _substitute(self, tree: Any) -> Any:
        if isinstance(tree, dict):
            if set(tree) == {"Column"}:
                if tree["Column"] not in self._outputs:
                    raise Unrecordable(tree["Column"])
                return self._outputs[tree["Column"]]
            return {key: self._substitute(value) for key, value in tree.items()}
        if isinstance(tree, list):
            return [self._substitute(value) for value in tree]
        return tree


def record(function: Callable[..., Any], fields: Iterable[str]) -> dict[str, str] | None:
    """Write an on-demand function as expressions.

    Args:
        function: From a frame of the request's fields to a frame of features.
        fields: The request's fields.

    Returns:
        Output name to expression JSON over the fields, or ``None`` if the function cannot be written so: it looks at
        values, calls Python per value, or uses a part of Polars that is not computed row by row.
    """
    try:
        outcome = function(Recorder(fields))
    except Exception:  # noqa: BLE001 - the project's own code, on what is no frame: it cannot be written as expressions
        return None
    if not isinstance(outcome, Recorder):
        return None
    expressions = {name: json.dumps(tree, separators=(",", ":")) for name, tree in outcome.outputs.items()}
    return expressions if all(_problem(json.loads(text)) == "" for text in expressions.values()) else None


def require_harmless(expression: str, *, place: str) -> None:
    """Refuse an expression that is more than arithmetic on a row's own values.

    Polars' JSON can carry pickled Python functions and paths of shared libraries, which would be executed.

    Args:
        expression: Polars expression JSON.
        place: Where it stands, for the message.

    Raises:
        UntrustedPackageError: If it contains any node but those known to be harmless.
    """
    if problem := _problem(json.loads(expression)):
        raise UntrustedPackageError("an expression may only compute on its row's values", value=problem, place=place)


def literal_lists(expressions: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """The values of the list literals in expressions, by :func:`list_key` of their Arrow bytes.

    Args:
        expressions: Polars expression JSON.
    """
    found: dict[str, tuple[Any, ...]] = {}
    for text in expressions:
        _find_lists(json.loads(text), found)
    return found


def list_key(content: Sequence[int]) -> str:
    """The name of a list literal: a digest of its Arrow bytes, as Polars writes them into JSON."""
    return hashlib.sha256(bytes(content)).hexdigest()[:16]


def to_polars(expression: str) -> pl.Expr:
    """Read an expression that :func:`require_harmless` let pass."""
    import io

    import polars as pl

    return pl.Expr.deserialize(io.BytesIO(expression.encode()), format="json")


def _tree(expression: pl.Expr) -> Any:
    return json.loads(expression.meta.serialize(format="json"))


def _find_lists(tree: Any, found: dict[str, tuple[Any, ...]]) -> None:
    if isinstance(tree, list):
        for part in tree:
            _find_lists(part, found)
    elif isinstance(tree, dict):
        content = _list_content(tree)
        if content is None:
            for part in tree.values():
                _find_lists(part, found)
        else:
            found[list_key(content)] = tuple(_list_values(tree))


def _list_content(tree: Mapping[str, Any]) -> list[int] | None:
    literal = tree.get("Literal")
    scalar = literal.get("Scalar") if isinstance(literal, dict) else None
    return scalar["List"] if isinstance(scalar, dict) and "List" in scalar else None


def _list_values(tree: Mapping[str, Any]) -> list[Any]:
    import polars as pl

    values: list[Any] = pl.select(to_polars(json.dumps(tree))).to_series()[0].to_list()
    return values if all(isinstance(value, str | int | float | bool | None) for value in values) else []


def _problem(tree: Any) -> str:
    """The first node that is not known to be harmless; empty if there is none."""
    if not isinstance(tree, dict) or len(tree) != 1:
        return str(tree)[:80]
    ((node, body),) = tree.items()
    if node not in _NODES:
        return str(node)
    if node == "Function":
        name = body["function"]
        name = name if isinstance(name, str) else next(iter(name))
        if name not in _FUNCTIONS:
            return str(name)
    return next(filter(None, map(_problem, _operands(node, body))), "")


def _operands(node: str, body: Any) -> list[Any]:
    if node == "Function":
        return list(body["input"])
    if node == "Alias":
        return [body[0]]
    names = {
        "BinaryExpr": ("left", "right"),
        "Ternary": ("predicate", "truthy", "falsy"),
        "Cast": ("expr",),
    }
    return [body[name] for name in names.get(node, ())]
