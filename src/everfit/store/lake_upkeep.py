"""Upkeep of the lake: small files are merged, and rows are deleted once they need not be kept any longer."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from everfit.store.delta import delete_rows, merge_files
from everfit.store.lake import naming_table, tables_under

_SIZES = (4 << 20, 64 << 20)
"""Bytes up to which files are merged, from small to large: each row is written about as many times again."""
_MOST_SMALL = 32
"""Files below such a size that a table may have."""


def merge_small_files(lake: Path, under: str) -> int:
    """Merge the small files of the tables under a folder that have many, and return the number of those tables.

    So a table has a few dozen files, and one more for each :data:`_SIZES` of its rows, however often it was appended
    to. Rows stay in the order in which they were added. Raises :class:`StoreError` if a table cannot be read or
    written; its rows are all there then.
    """
    merged = 0
    for _, table in tables_under(lake, under):
        with naming_table(table.folder):
            sizes = table.actions()["size_bytes"].to_list()
            for most in _SIZES:
                if sum(size < most for size in sizes) >= _MOST_SMALL:
                    merged += merge_files(table.folder, target_bytes=most)
                    break
    return merged


def delete_old_rows(lake: Path, under: str, before: datetime) -> int:
    """Delete the rows under a folder of the lake that were recorded before an instant, and return their number.

    Raises :class:`StoreError` if a table cannot be read or written.
    """
    deleted = 0
    for _, table in tables_under(lake, under):
        with naming_table(table.folder):
            deleted += delete_rows(table.folder, "recorded_at", before)
    return deleted
