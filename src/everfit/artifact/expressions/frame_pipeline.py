"""Pipeline from a request to the inputs of an estimator on data frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from everfit.artifact.expressions.row_pipeline import RowPipeline
from everfit.artifact.manifest import RowPath
from everfit.artifact.model_frame import FrameBuilder
from everfit.artifact.schema import InputSchema


class FramePipeline(RowPipeline):
    """Turns requests into inputs of an estimator on data frames: a row's values, or a data frame."""

    def __init__(
        self, schema: InputSchema, paths: Mapping[str, RowPath], functions: Mapping[str, Callable[[Any], Any]]
    ) -> None:
        super().__init__(schema, paths, functions)
        self._builder = FrameBuilder(schema)

    def encode(self, row: Sequence[Any], used: Sequence[Any]) -> list[Any]:
        """Return the values of the schema's columns; the predictor checks them when it builds a frame of them."""
        values = (*row, *used, None)
        return [values[place] for place in self._places]

    def encode_all(self, rows: Sequence[Sequence[Any]], used: Sequence[Sequence[Any]]) -> Any:
        """Build a data frame of many requests."""
        return self._builder.from_values(self._columns(rows, used))
