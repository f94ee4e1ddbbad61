"""From a request to the vector that the predictor takes, without a frame where the transformations allow it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from everfit.artifact import expressions
from everfit.artifact.encode import RowEncoder
from everfit.artifact.manifest import RowPath
from everfit.artifact.rowwise import Untranslatable, compile_expression
from everfit.artifact.schema import Computation, InputSchema

Compute = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""From a request's fields to the outputs of one transformation, by column name."""


class RowPipeline:
    """Turns requests into vectors. It may be called from several threads at once.

    Args:
        schema: What the model takes.
        paths: How each transformation is answered.
        functions: The functions of those that are answered by their own code.
    """

    def __init__(
        self, schema: InputSchema, paths: Mapping[str, RowPath], functions: Mapping[str, Callable[[Any], Any]]
    ) -> None:
        self._encode = RowEncoder(schema).encode
        self._compiled: list[tuple[str, Callable[[Mapping[str, Any]], Any]]] = []
        self._others: list[Compute] = []
        for part in schema.computations:
            path = paths[part.name]
            if path == "python":
                self._compiled += compile_computation(part, schema).items()
            elif path == "polars":
                self._others.append(_through_polars(part, schema))
            else:
                self._others.append(_through_code(part, schema, functions[part.name]))

    def __call__(self, request: Mapping[str, Any], looked_up: Mapping[str, Any]) -> list[float]:
        """Encode a request.

        Args:
            request: Field name to value: ``str``, ``int``, ``float``, ``bool``, ``datetime`` in UTC, ``date`` or
                ``None``. An absent field counts as null.
            looked_up: Column name, ``view.feature``, to value.

        Returns:
            One float per column of the schema; missing values are NaN.

        Raises:
            InvalidRequestError: If a value is not of its column's type.
        """
        return self._encode(self.columns(request, looked_up))

    def columns(self, request: Mapping[str, Any], looked_up: Mapping[str, Any]) -> dict[str, Any]:
        """The values of all columns before they are encoded: the features as used.

        Args:
            request: As for calling.
            looked_up: As for calling.
        """
        values = {**request, **looked_up}
        for name, compute in self._compiled:
            values[name] = compute(request)
        for compute_all in self._others:
            values.update(compute_all(request))
        return values


def compile_computation(part: Computation, schema: InputSchema) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
    """The outputs of a transformation as plain Python functions of a request, by column name.

    Args:
        part: The transformation.
        schema: Where it stands.

    Raises:
        Untranslatable: If one of its expressions cannot be compiled.
    """
    if not part.expressions:
        raise Untranslatable(part.name)
    fields = {field.name: field.type for field in schema.request}
    return {
        f"{part.name}.{output}": compile_expression(json.loads(text), fields, part.lists)
        for output, text in zip(part.outputs, part.expressions, strict=True)
    }


def _through_polars(part: Computation, schema: InputSchema) -> Compute:
    texts = zip(part.outputs, part.expressions, strict=True)
    selected = [expressions.to_polars(text).alias(f"{part.name}.{output}") for output, text in texts]

    def compute(request: Mapping[str, Any]) -> Mapping[str, Any]:
        return _one_row(schema, request).select(selected).row(0, named=True)  # type: ignore[no-any-return]

    return compute


def _through_code(part: Computation, schema: InputSchema, function: Callable[[Any], Any]) -> Compute:
    def compute(request: Mapping[str, Any]) -> Mapping[str, Any]:
        row = function(_one_row(schema, request)).row(0, named=True)
        return {f"{part.name}.{output}": row[output] for output in part.outputs}

    return compute


def _one_row(schema: InputSchema, request: Mapping[str, Any]) -> Any:
    import polars as pl

    from everfit.artifact.infer import request_types

    types = request_types()
    return pl.DataFrame(
        {field.name: [request.get(field.name)] for field in schema.request},
        schema={field.name: types[field.type] for field in schema.request},
    )
