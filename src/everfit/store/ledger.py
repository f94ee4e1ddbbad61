"""The ledger: the loop's decisions in SQL. SQLite by default, PostgreSQL beyond one machine.

Opening a ledger brings it up to date by ``store/migrations``. Those up to 0004 make the tables as they are declared
here: a change of one leaves its former columns in the migration that makes it.

| table | its one writer |
| --- | --- |
| ``alias_changes`` | ``registry.history`` |
| ``audit`` | ``delivery.audit`` |
| ``incidents`` | ``monitoring.incidents`` |
| ``orders`` | ``triggers.orders`` |
| ``performances`` | ``monitoring.performances`` |
| ``releases`` | ``releases.releases`` |
| ``rollouts`` | ``delivery.rollouts`` |
"""

from __future__ import annotations

import sqlite3
from contextlib import nullcontext
from pathlib import Path

import sqlalchemy as sa

from everfit.core.errors import StoreError
from everfit.core.sqlite_url import sqlite_path
from everfit.store.sqlite_file import creation_lock, is_read_only, read_only_uri

METADATA = sa.MetaData()
NEWEST_REVISION = "0005"
"""Of the migrations; a ledger of this form is opened without Alembic, whose import takes .15 s and 11 MiB."""
_REVISION = sa.table("alembic_version", sa.column("version_num", sa.String))
"""Alembic's own table, of one row."""
_MIGRATION_LOCK = 0x45564552_46495401
"""The advisory lock's number on PostgreSQL: "EVERFIT" in ASCII, then 1; the leading controller's ends in 0."""

ALIAS_CHANGES = sa.Table(
    "alias_changes",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("model", sa.String(63), nullable=False, index=True),
    sa.Column("alias", sa.String(63), nullable=False),
    sa.Column("version", sa.Integer, nullable=True),
    sa.Column("changed_at_us", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(255), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

AUDIT = sa.Table(
    "audit",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(255), nullable=False),
    sa.Column("action", sa.String(31), nullable=False),
    sa.Column("model", sa.String(63), nullable=False, index=True),
    sa.Column("version", sa.Integer, nullable=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
)

INCIDENTS = sa.Table(
    "incidents",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(511), nullable=False, index=True),
    sa.Column("model", sa.String(63), nullable=False, index=True),
    sa.Column("finding", sa.Text, nullable=False),
    sa.Column("opened_at_us", sa.BigInteger, nullable=False),
    sa.Column("updated_at_us", sa.BigInteger, nullable=False),
    sa.Column("resolved_at_us", sa.BigInteger, nullable=True),
    sa.Column("looks", sa.Integer, nullable=False),
    sa.Column("announced", sa.String(15), nullable=False, server_default=""),
)

ORDERS = sa.Table(
    "orders",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("model", sa.String(63), nullable=False, index=True),
    sa.Column("cause", sa.String(1023), nullable=False),
    sa.Column("order", sa.Text, nullable=False),
    sa.Column("state", sa.String(15), nullable=False, index=True),
    sa.Column("started_at_us", sa.BigInteger, nullable=True),
    sa.Column("ended_at_us", sa.BigInteger, nullable=True),
    sa.Column("run_id", sa.String(63), nullable=True),
    sa.Column("version", sa.Integer, nullable=True),
    sa.Column("sentence", sa.Text, nullable=False),
    sa.UniqueConstraint("model", "cause", name="one_order_per_cause"),
)

PERFORMANCES = sa.Table(
    "performances",
    METADATA,
    sa.Column("model", sa.String(63), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("route", sa.String(15), primary_key=True),
    sa.Column("metric", sa.String(31), primary_key=True),
    sa.Column("start_us", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("end_us", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Double, nullable=True),
    sa.Column("low", sa.Double, nullable=True),
    sa.Column("high", sa.Double, nullable=True),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("labelled", sa.BigInteger, nullable=False),
    sa.Column("seen_at_us", sa.BigInteger, nullable=False),
)

RELEASES = sa.Table(
    "releases",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("commit", sa.String(64), nullable=False, unique=True),
    sa.Column("state", sa.String(15), nullable=False, index=True),
    sa.Column("release", sa.Text, nullable=False),
)

ROLLOUTS = sa.Table(
    "rollouts",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("model", sa.String(63), nullable=False, index=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("state", sa.String(31), nullable=False),
    sa.Column("running", sa.String(63), nullable=True, unique=True),
    sa.Column("lines", sa.Integer, nullable=False),
    sa.Column("rollout", sa.Text, nullable=False),
)


def open_ledger(url: str) -> sa.Engine:
    """Open the database at a SQLAlchemy URL and migrate it to the newest form; the folder of an SQLite file is made.

    Raises :class:`StoreError` if it cannot be opened or migrated.
    """
    try:
        file = sqlite_path(url)
        if file is not None and is_read_only(file):
            return _open_read_only(file)
        engine = sa.create_engine(url)
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _prepare_sqlite)
        with nullcontext() if file is None else creation_lock(file), engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            if _revision(connection) != NEWEST_REVISION:
                _migrate(connection)
    except (sa.exc.SQLAlchemyError, OSError, ImportError) as error:
        rule, remedy = f"the ledger could not be opened: {error}", "Check [stores] ledger in everfit.toml."
        raise StoreError(rule, value=url, remedy=remedy) from error
    return engine


def _migrate(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "everfit:store/migrations")
    command.upgrade(config, "head")


def _revision(connection: sa.Connection) -> str | None:
    """Return the newest migration that a database has; ``None`` without any."""
    if not sa.inspect(connection).has_table(_REVISION.name):
        return None
    found: str | None = connection.execute(sa.select(_REVISION.c.version_num)).scalar()
    return found


def is_writable(ledger: sa.Engine) -> bool:
    """``False`` for a ledger in a folder that cannot be written."""
    return not (ledger.url.database or "").startswith("file:")


def _open_read_only(file: Path) -> sa.Engine:
    """Open a ledger that can be neither written nor migrated; raises :class:`StoreError` if it needs a migration."""
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=f"file:{file}"),
        creator=lambda: sqlite3.connect(read_only_uri(file), uri=True, check_same_thread=False),
        poolclass=sa.pool.QueuePool,
    )
    with engine.connect() as connection:
        found = _revision(connection)
    if found != NEWEST_REVISION:
        rule = "the ledger was written by another version of Everfit, and its folder cannot be written to migrate it"
        remedy = "Run the command once where the folder can be written."
        raise StoreError(rule, value=str(file), remedy=remedy)
    return engine


def require_writable(ledger: sa.Engine) -> None:
    """Wait until the ledger can be written, as long as any writer would; nothing is written.

    Raises :class:`StoreError` if another process holds its lock, or it refuses for another reason.
    """
    begin = "BEGIN IMMEDIATE" if ledger.dialect.name == "sqlite" else "SELECT 1"
    try:
        with ledger.connect() as connection:
            connection.exec_driver_sql(begin)
            connection.rollback()
    except sa.exc.SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        remedy = "Wait for the process that holds its lock, or end it."
        raise StoreError("the ledger must be writable", value=str(reason), remedy=remedy) from error


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA busy_timeout = 10000")
