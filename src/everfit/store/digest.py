"""Digest of a frame's values: equal for equal values, whatever the machine, file format or Polars version."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from hashlib import _Hash


def frame_digest(frame: pl.DataFrame) -> str:
    """Return ``sha256:…`` over the columns' names, types and values, in the order they stand in.

    Each column adds its validity, then its values: numbers as little-endian bytes (every NaN alike), instants as
    integers in their unit, text as lengths and UTF-8. Sort the frame first if the order of its rows means nothing.
    """
    digest = hashlib.sha256(f"everfit frame 1\n{frame.height}\n".encode())
    for column in frame.iter_columns():
        _add(digest, column)
    return f"sha256:{digest.hexdigest()}"


def canonical_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows sorted by every column that has an order, so that equal sets of rows have equal digests."""
    sortable = [name for name, dtype in frame.schema.items() if not (dtype.is_nested() or dtype == pl.Object)]
    return frame.sort(sortable, nulls_last=False) if sortable else frame


def _add(digest: _Hash, column: pl.Series) -> None:
    family = "Categorical" if isinstance(column.dtype, pl.Categorical | pl.Enum) else str(column.dtype)
    digest.update(f"{column.name}\x00{family}\x00".encode())
    digest.update(np.packbits(column.is_not_null().to_numpy()).tobytes())
    if column.dtype.is_nested():
        column = pl.Series([None if value is None else repr(value) for value in column.to_list()], dtype=pl.String)
    if isinstance(column.dtype, pl.Categorical | pl.Enum | pl.Decimal):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        column = column.cast(pl.Binary)
    if column.dtype == pl.Binary:
        values = [value or b"" for value in column.to_list()]
        digest.update(np.fromiter(map(len, values), np.dtype("<u4"), len(values)).tobytes())
        digest.update(b"".join(values))
    elif column.dtype != pl.Null:
        digest.update(_bytes_of(column))


def _bytes_of(column: pl.Series) -> bytes:
    """Little-endian bytes of a column of numbers, booleans or instants; nulls count as zero."""
    physical = column.to_physical()
    if physical.dtype == pl.Boolean:
        return bytes(np.packbits(physical.fill_null(False).to_numpy()).tobytes())
    values = physical.fill_null(0).to_numpy()
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.nan, values)
    return bytes(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
