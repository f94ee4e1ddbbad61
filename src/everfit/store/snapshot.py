"""Snapshot of a state in one file: read as it was written, or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

import msgspec
import numpy as np
import polars as pl

from everfit.core.errors import StoreError
from everfit.store.atomic_file import replace_file

_Any = TypeVar("_Any")


def write_snapshot(path: Path, key: str, state: object) -> None:
    """Replace a snapshot; its folder is made. Raises :class:`StoreError` if the disk refuses.

    Args:
        key: What the state depends on: only by the same key is it read.
        state: Of dataclasses and structs, with arrays and data frames.
    """
    content = msgspec.msgpack.encode((key, state), enc_hook=_encoded)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, crc32(content).to_bytes(4, "little") + content)
    except OSError as error:
        raise StoreError(f"a snapshot could not be written: {error}", value=str(path)) from error


def read_snapshot(path: Path, key: str, kind: type[_Any]) -> _Any | None:
    """Return the state of a snapshot; ``None`` if there is none of that key, or it is damaged, or of another release.

    Raises :class:`StoreError` if the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"a snapshot could not be read: {error}", value=str(path)) from error
    if crc32(content[4:]) != int.from_bytes(content[:4], "little"):
        return None
    try:
        found, state = msgspec.msgpack.decode(content[4:], type=tuple[str, msgspec.Raw])
        if found != key:
            return None
        return msgspec.msgpack.decode(state, type=kind, dec_hook=_decoded)
    except (msgspec.DecodeError, pl.exceptions.PolarsError, ValueError):
        return None


def _encoded(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, pl.DataFrame):
        buffer = io.BytesIO()
        value.write_ipc(buffer, compression="lz4")
        return buffer.getvalue()
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"a snapshot has no {type(value)}")


def _decoded(kind: type, value: Any) -> Any:
    if kind is pl.DataFrame:
        return pl.read_ipc(io.BytesIO(value))
    dtype, shape, content = value
    return np.frombuffer(content, dtype).reshape(shape).copy()
