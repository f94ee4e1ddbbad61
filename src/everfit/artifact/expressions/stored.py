"""Stored Polars expressions: the nodes that are allowed, since Polars' JSON can carry executable code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from everfit.core.errors import UntrustedPackageError

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


def require_harmless(expression: str, *, place: str) -> None:
    """Refuse an expression that is more than arithmetic on a row's own values.

    Polars' JSON can carry pickled Python functions and paths of shared libraries, which would be executed.

    Raises:
        UntrustedPackageError: If it contains a node that is not known to be harmless.
    """
    if problem := unknown_node(json.loads(expression)):
        raise UntrustedPackageError("an expression may only compute on its row's values", value=problem, place=place)


def list_key(content: Sequence[int]) -> str:
    """Return the name of a list literal: a digest of its Arrow bytes, as Polars writes them into JSON."""
    return hashlib.sha256(bytes(content)).hexdigest()[:16]


def unknown_node(tree: Any) -> str:
    """Return the first node that is not known to be harmless; empty if there is none."""
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
    return next(filter(None, map(unknown_node, _operands(node, body))), "")


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
