"""Writer of Arrow IPC streams with one record batch: text, integers and numbers.

The format: https://arrow.apache.org/docs/format/Columnar.html; its metadata are Flatbuffers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any, NamedTuple

_Object = Callable[[bytearray], int]
"""Appends itself to a Flatbuffer and returns its position."""
_VERSION_5, _SCHEMA, _RECORD_BATCH = 4, 1, 3
_INT, _FLOATING_POINT, _UTF8, _DOUBLE_PRECISION = 2, 3, 5, 2


class _Column(NamedTuple):
    type: int
    type_fields: _Object
    nulls: int
    buffers: list[bytes]
    """Validity bitmap, offsets of text, and values."""


def write_table(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """Return at least one column of ``str``, ``int`` of 64 bits, or ``float`` as a stream; ``None`` is null."""
    rows = len(next(iter(columns.values())))
    arrays = {name: _column(values) for name, values in columns.items()}
    fields = [
        _table(_text(name.encode()), ("?", True), ("B", array.type), array.type_fields, None, _vector([]))
        for name, array in arrays.items()
    ]
    body, places = bytearray(), []
    for buffer in (buffer for array in arrays.values() for buffer in array.buffers):
        places.append((len(body), len(buffer)))
        body += buffer + bytes(-len(buffer) % 8)
    nodes = [(rows, array.nulls) for array in arrays.values()]
    schema = _message(_SCHEMA, _table(("h", 0), _vector(fields)), b"")
    batch = _message(_RECORD_BATCH, _table(("q", rows), _pairs(nodes), _pairs(places)), body)
    return schema + batch + b"\xff\xff\xff\xff\0\0\0\0"


def _column(values: Sequence[Any]) -> _Column:
    count = len(values)
    present = [value is not None for value in values]
    nulls = count - sum(present)
    validity = b""
    if nulls:
        bits = "".join("1" if is_present else "0" for is_present in reversed(present))
        validity = int(bits, 2).to_bytes((count + 7) // 8, "little")
    kind = next((type(value) for value in values if value is not None), float)
    if kind is str:
        texts = [b"" if value is None else value.encode() for value in values]
        offsets = struct.pack(f"<{count + 1}i", 0, *accumulate(map(len, texts)))
        return _Column(_UTF8, _table(), nulls, [validity, offsets, b"".join(texts)])
    numbers = [0 if value is None else value for value in values] if nulls else values
    if kind is int:
        return _Column(_INT, _table(("i", 64), ("?", True)), nulls, [validity, struct.pack(f"<{count}q", *numbers)])
    data = struct.pack(f"<{count}d", *numbers)
    return _Column(_FLOATING_POINT, _table(("h", _DOUBLE_PRECISION)), nulls, [validity, data])


def _message(kind: int, header: _Object, body: bytes | bytearray) -> bytes:
    metadata = bytearray(4)
    root = _table(("h", _VERSION_5), ("B", kind), header, ("q", len(body)))(metadata)
    struct.pack_into("<I", metadata, 0, root)
    metadata += bytes(-len(metadata) % 8)
    return struct.pack("<Ii", 0xFFFFFFFF, len(metadata)) + metadata + body


def _table(*fields: tuple[str, Any] | _Object | None) -> _Object:
    """Return a Flatbuffer table; each field is a number with its code of :mod:`struct`, an object, or absent."""

    def append(buffer: bytearray) -> int:
        # Eight bytes for each field keep all of them aligned if the first one is.
        places = [0 if field is None else 4 + 8 * slot for slot, field in enumerate(fields)]
        vtable = struct.pack(f"<{2 + len(fields)}H", 4 + 2 * len(fields), 4 + 8 * len(fields), *places)
        buffer += bytes((4 - len(buffer) - len(vtable)) % 8) + vtable
        start = len(buffer)
        buffer += struct.pack("<i", len(vtable)) + bytes(8 * len(fields))
        for place, field in zip(places, fields, strict=True):
            if isinstance(field, tuple):
                struct.pack_into(f"<{field[0]}", buffer, start + place, field[1])
            elif field is not None:
                _refer(buffer, start + place, field)
        return start

    return append


def _vector(items: Sequence[_Object]) -> _Object:
    def append(buffer: bytearray) -> int:
        buffer += bytes(-len(buffer) % 4)
        start = len(buffer)
        buffer += struct.pack("<I", len(items)) + bytes(4 * len(items))
        for number, item in enumerate(items, start=1):
            _refer(buffer, start + 4 * number, item)
        return start

    return append


def _refer(buffer: bytearray, place: int, target: _Object) -> None:
    struct.pack_into("<I", buffer, place, target(buffer) - place)


def _text(text: bytes) -> _Object:
    return _counted(len(text), text + b"\0", align=4)


def _pairs(items: Sequence[tuple[int, int]]) -> _Object:
    """Return a vector of structs of two 64-bit integers."""
    return _counted(len(items), struct.pack(f"<{2 * len(items)}q", *chain.from_iterable(items)), align=8)


def _counted(count: int, data: bytes, *, align: int) -> _Object:
    """Return packed data that follow their number of items, aligned."""

    def append(buffer: bytearray) -> int:
        buffer += bytes((-len(buffer) - 4) % align)
        start = len(buffer)
        buffer += struct.pack("<I", count) + data
        return start

    return append
