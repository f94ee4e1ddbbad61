"""``python -m tests.serving.explore run URL``: schemathesis, which knows here what JSON Schema cannot say."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import polars as pl
import schemathesis
import schemathesis.cli
from hypothesis import strategies as st
from schemathesis import Case, HookContext
from tests.serving.orders import ROW


def _table(rows: int) -> bytes:
    file = io.BytesIO()
    frame = pl.DataFrame([ROW] * rows).with_columns(pl.col("ordered_at").str.to_datetime(time_zone="UTC"))
    frame.write_ipc_stream(file)
    return file.getvalue()


_LINES = f"{','.join(ROW)}\nshop-7,3,1.5,true,2026-01-05T12:00:00Z,2026-01-06\n"


@schemathesis.hook
def filter_case(context: HookContext, case: Case[Any]) -> bool:
    """As many ids as rows, columns of one length, and values of their column's type."""
    body = case.body
    if not isinstance(body, dict):
        return True
    inputs, ids = body.get("inputs"), body.get("ids")
    if isinstance(ids, list):
        return len(ids) == (len(inputs) if isinstance(inputs, list) else 1)
    if isinstance(body.get("dataframe_split"), dict):
        return case.meta is None or case.meta.generation.mode.is_negative
    if case.path == "/invocations" and isinstance(inputs, dict):
        return len({len(each) if isinstance(each, list) else 1 for each in inputs.values()}) == 1
    return True


_PAST_SECONDS = st.integers(86_400, 1_767_139_200)
"""Event times and known times are in the years 1970 to 2200, and what has happened is not ahead of the clock."""
schemathesis.openapi.format(
    "date-time", _PAST_SECONDS.map(lambda second: datetime.fromtimestamp(second, UTC).isoformat())
)
schemathesis.openapi.media_type("application/vnd.apache.arrow.stream", st.integers(1, 3).map(_table))
schemathesis.openapi.media_type("text/csv", st.just(_LINES.encode()))

if __name__ == "__main__":
    schemathesis.cli.schemathesis()
