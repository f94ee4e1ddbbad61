"""Stored Polars expressions: the nodes that are allowed, since Polars' JSON can carry executable code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from everfit.core.errors import UntrustedPackageError

_OPERANDS = {"BinaryExpr": ("left", "right"), "Ternary": ("predicate", "truthy", "falsy"), "Cast": ("expr",)}
_NODES = frozenset({"Alias", "Column", "Function", "Literal", *_OPERANDS})
_NUMERIC = {"Abs", "Cbrt", "Ceil", "Exp", "Floor", "Log", "Log1p", "Negate", "Pow", "Round", "RoundSF", "Sign"}
_HORIZONTAL = {"Coalesce", "MaxHorizontal", "MinHorizontal", "SumHorizontal"}
_CHOICES = {"Clip", "FillNull", "Replace", "ReplaceStrict"}
_FAMILIES = {"Boolean", "StringExpr", "TemporalExpr", "Trigonometry"}
_FUNCTIONS = frozenset(_NUMERIC | _HORIZONTAL | _CHOICES | _FAMILIES)


def require_harmless(expression: str, *, place: str) -> None:
    """Refuse an expression that is more than arithmetic on a row's own values.

    Polars' JSON can carry pickled Python functions and paths of shared libraries, which would be executed. Raises
    :class:`~everfit.core.errors.UntrustedPackageError` at a node that is not known to be harmless.
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
        name = body["function"] if isinstance(body["function"], str) else next(iter(body["function"]))
        if name not in _FUNCTIONS:
            return str(name)
        operands = body["input"]
    else:
        operands = body[:1] if node == "Alias" else [body[name] for name in _OPERANDS.get(node, ())]
    return next(filter(None, map(unknown_node, operands)), "")
