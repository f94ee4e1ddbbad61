"""``everfit journal``: the log of predictions, outcomes and pushes, and the tables that it is shipped to."""

from __future__ import annotations

from collections.abc import Iterator

from everfit.cli.output import CAUTION, OK, Item, Output, Table
from everfit.cli.printing import printed
from everfit.core.progress import Progress
from everfit.journal import ship as journal_ship
from everfit.journal.retention import kept_since
from everfit.journal.ship import Shipped
from everfit.journal.status import journal_status
from everfit.system import System


@printed
def ship(system: System, progress: Progress) -> Output:
    """Move finished segments of the journal to the lake's tables.

    Many small files of a table are merged, and rows are deleted that [lake] keep and keep_features do not keep.
    """
    since = kept_since(system.project.settings.lake, system.clock.now())
    shipped = journal_ship.ship(system.journal, system.lake, since=since, progress=progress)
    return Output(shipped, _shipped(shipped), code=1 if any(log.set_aside for log in shipped.logs) else 0)


def _shipped(shipped: Shipped) -> Iterator[Item]:
    for log in shipped.logs:
        for name in log.set_aside:
            yield CAUTION, f"{log.log}/{name} cannot be read, and was set aside."
        if log.torn_bytes:
            yield CAUTION, f"{log.log}: an incomplete record of {log.torn_bytes:,} bytes was cut off."
    parts = ", ".join(f"{log.rows:,} {log.log}" for log in shipped.logs)
    if deleted := sum(log.deleted_rows for log in shipped.logs):
        yield OK, f"Deleted {deleted:,} rows that need not be kept any longer."
    yield OK, f"Shipped {parts} in {shipped.seconds:.1f} s."


@printed
def status(system: System) -> Output:
    """Show what is not shipped yet, and what the lake holds."""
    found = journal_status(system.journal, system.lake)
    logs = (
        (
            log.log,
            log.open_segments,
            log.sealed_segments,
            log.broken_segments,
            f"{log.unshipped_rows:,}",
            _size(log.unshipped_bytes),
        )
        for log in found.logs
    )
    lake = ((one.log, one.name, f"{one.rows:,}", one.files, _size(one.size_bytes)) for one in found.lake)
    tables = [
        Table(("log", "open", "sealed", "set aside", "rows", "size"), logs, "Not shipped yet"),
        Table(("log", "model or view", "rows", "files", "size"), lake, "In the lake"),
    ]
    return Output(found, tables)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"
