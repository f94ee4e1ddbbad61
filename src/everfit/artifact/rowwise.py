"""Stub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class Untranslatable(Exception):  # noqa: N818
    """This expression is left to Polars."""


def compile_expression(
    tree: Any, fields: Mapping[str, str], lists: Mapping[str, Any]
) -> Callable[[Mapping[str, Any]], Any]:
    raise Untranslatable(str(tree))
