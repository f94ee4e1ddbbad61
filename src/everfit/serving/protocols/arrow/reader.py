"""Reader of Arrow IPC streams and files in plain Python; every size is checked against the bytes that are there.

Changed bytes make Polars abort the whole process or allocate any amount of memory (docs/adr/0010).
The format: https://arrow.apache.org/docs/format/Columnar.html.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from everfit.core.errors import InvalidRequestError
from everfit.serving.protocols.arrow.array import ArrayReader
from everfit.serving.protocols.arrow.flatbuffer import Flat
from everfit.serving.protocols.arrow.type import ArrowType, read_index, read_type
from everfit.serving.protocols.json import require_few
from everfit.serving.protocols.tabular_request import Values

_MAGIC = b"ARROW1"
_BEGINNING = 0xFFFFFFFF
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_MOST_FIELDS = 10_000
_LONGEST_NAME = 1_000


class _Field(NamedTuple):
    name: str
    type: ArrowType
    dictionary: int | None
    """Id of the dictionary that holds the values; ``type`` is that of the values."""
    stored: ArrowType
    """Type of the column's buffers: its own type, or that of the dictionary's indices."""


def read_table(body: bytes, *, is_file: bool, max_rows: int) -> dict[str, Values]:
    """Read a request's columns from a stream or a file of uncompressed record batches.

    Raises :class:`InvalidRequestError` if it is malformed, compressed, or has a column that no request field can hold,
    such as instants without a time zone, and :class:`RequestTooLargeError` if it has more than ``max_rows`` rows.
    """
    if is_file != body.startswith(_MAGIC):
        raise InvalidRequestError(f"must be an Arrow {'file' if is_file else 'stream'}", place="body")
    try:
        reader = _TableReader(body, max_rows)
        return reader.read_file() if is_file else reader.read_stream()
    except (struct.error, ValueError, OverflowError) as problem:
        raise InvalidRequestError(f"must be well-formed Arrow IPC: {problem}", place="body") from problem


class _TableReader:
    def __init__(self, body: bytes, max_rows: int) -> None:
        self._body = body
        self._max_rows = max_rows
        self._columns: dict[_Field, list[Any]] | None = None
        """Values of each field; ``None`` before the schema."""
        self._dictionaries: dict[int, list[Any]] = {}
        self._rows = 0
        self._budget = len(body)
        """Most texts and their bytes that may follow: overlapping texts must not become more than was sent."""

    def read_stream(self) -> dict[str, Values]:
        """Raises ``ValueError`` or ``struct.error`` if the stream is malformed."""
        body, place = self._body, 0
        while place < len(body):
            beginning, size = struct.unpack_from("<Ii", body, place)
            if beginning != _BEGINNING:
                raise ValueError("a message must begin with its mark")
            if size == 0:
                break
            place = self._take_message(place + 8, size)
        return self._finish()

    def read_file(self) -> dict[str, Values]:
        """Raises ``ValueError`` or ``struct.error`` if the file is malformed."""
        body = self._body
        end = len(body) - len(_MAGIC) - 4
        (size,) = struct.unpack_from("<i", body, max(end, 0))
        footer = Flat.root(self._slice(end - size, size))
        schema = footer.table(1)
        if schema is None or not body.endswith(_MAGIC):
            raise ValueError("it must end with its schema and its mark")
        self._columns = _read_fields(schema)
        for blocks in (footer.structs(2, "qi4xq"), footer.structs(3, "qi4xq")):
            before = 0
            for place, size, _ in blocks:
                if place < before:
                    raise ValueError("its parts must stand in their order")
                before = self._take_message(place + 8, size - 8)
        return self._finish()

    def _finish(self) -> dict[str, Values]:
        if self._columns is None:
            raise ValueError("it must begin with a schema")
        return {field.name: Values(field.type.kind, found, field.type.name) for field, found in self._columns.items()}

    def _slice(self, place: int, size: int) -> bytes:
        if place < 0 or not 0 <= size <= len(self._body) - place:
            raise ValueError(f"a part of {size} bytes must be there")
        return self._body[place : place + size]

    def _take_message(self, place: int, size: int) -> int:
        """Read a message whose metadata begin at a place; return the end of its data."""
        message = Flat.root(self._slice(place, size))
        place += size
        size = message.number(3, "q")
        data = memoryview(self._slice(place, size))
        kind, header = message.number(1, "B"), message.table(2)
        if header is None or (kind == _SCHEMA) != (self._columns is None):
            raise ValueError("it must have one schema, at the beginning")
        if self._columns is None:
            self._columns = _read_fields(header)
        elif kind == _DICTIONARY:
            self._take_dictionary(self._columns, header, data)
        elif kind == _BATCH:
            self._take_batch(self._columns, header, data)
        else:
            raise ValueError(f"a message of kind {kind} must not be there")
        return place + size

    def _take_dictionary(self, columns: Iterable[_Field], header: Flat, data: memoryview) -> None:
        number, batch = header.number(0, "q"), header.table(1)
        field = next((field for field in columns if field.dictionary == number), None)
        if field is None or batch is None:
            raise ValueError(f"the schema must know dictionary {number}")
        values = ArrayReader(batch, data, arrays=1, spend=self._spend).read(field.type, batch.number(0, "q"))
        if header.number(2, "B"):
            self._dictionaries.setdefault(number, []).extend(values)
        else:
            self._dictionaries[number] = values

    def _take_batch(self, columns: dict[_Field, list[Any]], header: Flat, data: memoryview) -> None:
        rows = header.number(0, "q")
        self._rows += rows
        if rows < 0:
            raise ValueError("a batch must not have fewer than no rows")
        require_few(self._rows, self._max_rows, "body")
        arrays = ArrayReader(header, data, arrays=len(columns), spend=self._spend)
        for field, column in columns.items():
            found = arrays.read(field.stored, rows)
            if field.dictionary is not None:
                values = self._dictionaries.get(field.dictionary, [])
                found = [None if place is None else _look_up(values, place) for place in found]
            column.extend(found)

    def _spend(self, size: int) -> None:
        self._budget -= size
        if self._budget < 0:
            raise ValueError("texts must not overlap")


def _look_up(values: Sequence[Any], place: int) -> Any:
    if not 0 <= place < len(values):
        raise ValueError(f"a dictionary of {len(values)} values must have number {place}")
    return values[place]


def _read_fields(schema: Flat) -> dict[_Field, list[Any]]:
    if schema.number(0, "h"):
        raise ValueError("it must be little-endian")
    fields: dict[str, _Field] = {}
    for flat in schema.tables(1, _MOST_FIELDS):
        name = flat.text(0, _LONGEST_NAME)
        place = f"column {name[:100]}"
        if name in fields:
            raise InvalidRequestError("must be given once", place=place)
        kind, dictionary = read_type(flat, place), flat.table(4)
        if dictionary is None:
            fields[name] = _Field(name, kind, None, kind)
            continue
        if kind.kind != "text":
            raise InvalidRequestError("must hold its values themselves: only text may be a dictionary", place=place)
        fields[name] = _Field(name, kind, dictionary.number(0, "q"), read_index(dictionary.table(1), place))
    return {field: [] for field in fields.values()}
