"""Tensors of the Open Inference Protocol, as JSON and in Triton's binary form."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Raw, Struct

from everfit.artifact.schema import FieldType
from everfit.core.errors import InvalidRequestError
from everfit.serving.protocols.json import decode_json
from everfit.serving.protocols.tabular_request import Kind, Values

FIELD_DATATYPES: Mapping[FieldType, str] = {
    "string": "BYTES",
    "integer": "INT64",
    "number": "FP64",
    "boolean": "BOOL",
    "instant": "BYTES",
    "date": "BYTES",
}
"""The datatype in a model's metadata; others without loss are accepted, too."""


class Tensor(Struct, frozen=True):
    """An input as a request's JSON describes it.

    Its members raise :class:`InvalidRequestError` if it is malformed, or its values are not of the datatype, or not as
    many as the shape says.
    """

    name: str
    shape: list[Annotated[int, Meta(ge=0)]]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: Raw = Raw()
    """Not decoded: the datatype defines the type of its values."""

    @property
    def binary_size(self) -> int | None:
        """Number of bytes that follow the JSON; ``None`` if the values are part of it."""
        parameters = self.parameters or {}
        if "shared_memory_region" in parameters:
            raise self.wrong("must be sent with the request: this service shares no memory with its callers")
        size = parameters.get("binary_data_size")
        if (size is None) == (bytes(self.data) in {b"", b"null"}):
            raise self.wrong("must have its values either as data, or as binary_data_size bytes behind the JSON")
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
            raise self.wrong("binary_data_size must be a number of bytes", size)
        return size

    @property
    def rows(self) -> int:
        """Number of values."""
        if len(self.shape) not in {1, 2} or self.shape[1:] not in ([], [1]) or self.shape[0] == 0:
            raise self.wrong("must have the shape [n] or [n, 1], n at least 1", str(self.shape[:8]))
        return self.shape[0]

    def read_json(self) -> Values:
        """Return the values of ``data``, flat or nested."""
        form = self._form()
        found = decode_json(form.decoder, self.data, f"data must be a list of {self.datatype}", self._place)
        if any(isinstance(item, list) for item in found):
            found = [value for item in found for value in (item if isinstance(item, list) else [item])]
        if len(found) != self.rows:
            raise self.wrong(f"data must have as many values as the shape says, {self.rows}", len(found))
        return Values(form.kind, found, self.datatype)

    def read_binary(self, raw: memoryview) -> Values:
        """Return the values of binary data."""
        form = self._form()
        if not form.code:
            return Values(form.kind, self._read_texts(raw), self.datatype)
        size = struct.calcsize(f"<{form.code}")
        if len(raw) != self.rows * size:
            raise self.wrong(f"binary_data_size must be {self.rows} values of {size} bytes", len(raw))
        return Values(form.kind, struct.unpack(f"<{self.rows}{form.code}", raw), self.datatype)

    def _read_texts(self, raw: memoryview) -> list[str]:
        texts: list[str] = []
        place = 0
        while len(texts) < self.rows and place + 4 <= len(raw):
            start, place = place + 4, place + 4 + int.from_bytes(raw[place : place + 4], "little")
            if place > len(raw):
                break
            try:
                texts.append(str(raw[start:place], "utf-8"))
            except UnicodeDecodeError as problem:
                raise self.wrong(f"value {len(texts)} must be text in UTF-8: {problem.reason}") from problem
        if place != len(raw) or len(texts) != self.rows:
            raise self.wrong(f"must be {self.rows} texts, each after its length in four bytes", len(texts))
        return texts

    def _form(self) -> _Form:
        form = _FORMS.get(self.datatype)
        if form is None:
            raise self.wrong(f"the datatype must be one of {', '.join(_FORMS)}", self.datatype[:100])
        return form

    def wrong(self, rule: str, value: object = None) -> InvalidRequestError:
        """Return an error that names this input."""
        return InvalidRequestError(rule, value=value, place=self._place)

    @property
    def _place(self) -> str:
        return f"input {self.name[:100]}"


class _Form(NamedTuple):
    kind: Kind
    code: str
    """Of :mod:`struct`; empty for BYTES."""
    decoder: msgspec.json.Decoder[Any]


def _form(kind: Kind, code: str, value: Any) -> _Form:
    nested: Any = list[value | list[value | None] | None]
    return _Form(kind, code, msgspec.json.Decoder(nested))


def _integer(bits: int, code: str) -> _Form:
    if code == "Q":  # msgspec knows no upper bound beyond 64 bits with a sign
        return _form("integer", code, Annotated[int, Meta(ge=0)])
    least = 0 if code.isupper() else -(2 ** (bits - 1))
    return _form("integer", code, Annotated[int, Meta(ge=least, le=least + 2**bits - 1)])


_FORMS: Mapping[str, _Form] = {
    "BOOL": _form("boolean", "?", bool),
    **{f"UINT{bits}": _integer(bits, code) for bits, code in zip((8, 16, 32, 64), "BHIQ", strict=True)},
    **{f"INT{bits}": _integer(bits, code) for bits, code in zip((8, 16, 32, 64), "bhiq", strict=True)},
    "FP16": _form("number", "e", float),
    "FP32": _form("number", "f", float),
    "FP64": _form("number", "d", float),
    "BYTES": _form("text", "", str),
}


def datatypes(kind: Kind) -> list[str]:
    """Return the datatypes of one kind."""
    return [name for name, form in _FORMS.items() if form.kind == kind]
