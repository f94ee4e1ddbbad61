"""Docstrings below the fields of a record, for the hints of error messages and for the reference."""

from __future__ import annotations

import ast
import inspect
import itertools


def field_docs(kind: type) -> dict[str, str]:
    """Return the docstring below each field of a class, on one line; without its source, none."""
    try:
        (tree,) = ast.parse(inspect.getsource(kind)).body
    except OSError:
        return {}
    assert isinstance(tree, ast.ClassDef)
    return {
        ast.unparse(field.target): " ".join(str(ast.literal_eval(below.value)).split())
        for field, below in itertools.pairwise(tree.body)
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr)
    }
