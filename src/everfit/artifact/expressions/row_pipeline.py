"""Pipeline from a request to the predictor's vector, without a data frame where the transformations allow it."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfit.artifact.encode import RowEncoder
from everfit.artifact.expressions.compiler import ExpressionCompiler
from everfit.artifact.expressions.expression_types import Untranslatable
from everfit.artifact.manifest import RowPath
from everfit.artifact.schema import Computation, InputSchema

_NAN = float("nan")
_INFINITY = float("inf")


class RowPipeline:
    """Turns requests into vectors, by position rather than by name. It may be called from several threads at once."""

    def __init__(
        self, schema: InputSchema, paths: Mapping[str, RowPath], functions: Mapping[str, Callable[[Any], Any]]
    ) -> None:
        self._fields = tuple(field.name for field in schema.request)
        self._others: list[Callable[[Mapping[str, Any]], Sequence[Any]]] = []
        computed: dict[str, Callable[[Mapping[str, Any]], Any]] = {}
        others: list[str] = []
        for part in schema.computations:
            if paths[part.name] == "python":
                computed |= compile_computation(part, schema)
                continue
            # Here, since it loads Polars.
            from everfit.artifact.expressions.one_row_frames import through_code, through_polars

            is_code = paths[part.name] == "code"
            self._others.append(
                through_code(part, schema, functions[part.name]) if is_code else through_polars(part, schema)
            )
            others += [f"{part.name}.{output}" for output in part.outputs]
        self._compiled = list(computed.values())
        looked_up = [f"{lookup.view}.{feature}" for lookup in schema.lookups for feature in lookup.features]
        self.features = (*looked_up, *computed, *others)
        """Looked-up columns, then computed ones: what :meth:`used` returns, by name."""
        places = {name: place for place, name in enumerate((*self._fields, *self.features))}
        # A column that is neither requested nor looked up nor computed is missing.
        self._places = [places.get(column.name, len(places)) for column in schema.columns]
        self._encoder = RowEncoder(schema.columns, self._places)

    def used(self, row: Sequence[Any], looked_up: Sequence[Any]) -> Sequence[Any]:
        """Return the values of :attr:`features`, before they are encoded; infinite ones are missing.

        ``row`` has the request's values in the order of its fields: ``str``, ``int``, ``float``, ``bool``,
        ``datetime`` in UTC, ``date`` or ``None``; ``looked_up`` has those of the lookups, lookup by lookup.
        """
        if not self._compiled and not self._others:
            return looked_up
        request = dict(zip(self._fields, row, strict=True))
        values = [*looked_up, *[compute(request) for compute in self._compiled]]
        for compute_all in self._others:
            values += compute_all(request)
        if _INFINITY in values or -_INFINITY in values:
            return [None if value in (_INFINITY, -_INFINITY) else value for value in values]
        return values

    def encode(self, row: Sequence[Any], used: Sequence[Any]) -> list[float]:
        """Encode a request and the result of :meth:`used` to one float per column; missing values are NaN.

        A value that is not of its column's type is an :class:`~everfit.core.errors.InvalidRequestError`.
        """
        return self._encoder.encode((*row, *used, None))

    def encode_all(self, rows: Sequence[Sequence[Any]], used: Sequence[Sequence[Any]]) -> NDArray[np.float64]:
        """Encode many requests, column by column, to what :meth:`encode` gives row by row: ``(rows, columns)``."""
        matrix = np.empty((len(rows), len(self._places)), dtype=np.float64)
        for number, (values, codes) in enumerate(zip(self._columns(rows, used), self._encoder.codes, strict=True)):
            if codes is not None:
                matrix[:, number] = [codes.get(value, _NAN) for value in values]
            else:
                matrix[:, number] = self._numbers(values, rows, used)
        return matrix

    def _columns(self, rows: Sequence[Sequence[Any]], used: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        by_place = [*zip(*rows, strict=True), *zip(*used, strict=True), (None,) * len(rows)]
        return [by_place[place] for place in self._places]

    def _numbers(
        self, values: Sequence[Any], rows: Sequence[Sequence[Any]], used: Sequence[Sequence[Any]]
    ) -> Sequence[float]:
        try:
            return array("d", values)  # several times as fast as NumPy, and takes no text for a number
        except TypeError:
            pass
        try:
            return [_NAN if value is None else value * 1.0 for value in values]
        except (TypeError, ValueError, OverflowError):
            for row, features in zip(rows, used, strict=True):
                self.encode(row, features)  # raises for the row at fault
            raise


def compile_computation(part: Computation, schema: InputSchema) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
    """Compile the outputs of a transformation to plain Python functions of a request, by column name.

    Raises :class:`Untranslatable` if one of its expressions cannot be compiled.
    """
    if not part.expressions:
        raise Untranslatable(part.name)
    compiler = ExpressionCompiler({field.name: field.type for field in schema.request}, part.lists)
    return {
        f"{part.name}.{output}": compiler.settled(json.loads(text))[0]
        for output, text in zip(part.outputs, part.expressions, strict=True)
    }
