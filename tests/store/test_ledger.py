"""Ledgers that older versions of Everfit made are brought up to date, with what they hold."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from everfit.core.sqlite_url import sqlite_url
from everfit.store.ledger import METADATA, NEWEST_REVISION, ORDERS, open_ledger

FORMS = {
    "0001": """
        CREATE TABLE alembic_version (
            version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
        INSERT INTO alembic_version VALUES ('0001');
        CREATE TABLE alias_changes (
            number INTEGER NOT NULL, model VARCHAR(63) NOT NULL, alias VARCHAR(63) NOT NULL, version INTEGER,
            changed_at_us BIGINT NOT NULL, actor VARCHAR(255) NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (number));
        CREATE INDEX ix_alias_changes_model ON alias_changes (model);
        INSERT INTO alias_changes VALUES (1, 'late', 'champion', 3, 0, 'ada', 'the first');
        """,
    "0002": """
        UPDATE alembic_version SET version_num = '0002';
        CREATE TABLE incidents (
            number INTEGER NOT NULL, "key" VARCHAR(511) NOT NULL, model VARCHAR(63) NOT NULL, finding TEXT NOT NULL,
            opened_at_us BIGINT NOT NULL, updated_at_us BIGINT NOT NULL, resolved_at_us BIGINT, looks INTEGER NOT NULL,
            announced VARCHAR(15) DEFAULT '' NOT NULL, PRIMARY KEY (number));
        CREATE INDEX ix_incidents_key ON incidents ("key");
        CREATE INDEX ix_incidents_model ON incidents (model);
        CREATE TABLE performances (
            model VARCHAR(63) NOT NULL, version INTEGER NOT NULL, route VARCHAR(15) NOT NULL,
            metric VARCHAR(31) NOT NULL, start_us BIGINT NOT NULL, end_us BIGINT NOT NULL, value DOUBLE, low DOUBLE,
            high DOUBLE, rows BIGINT NOT NULL, labelled BIGINT NOT NULL, seen_at_us BIGINT NOT NULL,
            PRIMARY KEY (model, version, route, metric, start_us, end_us));
        """,
    "0003": """
        UPDATE alembic_version SET version_num = '0003';
        CREATE TABLE orders (
            number INTEGER NOT NULL, model VARCHAR(63) NOT NULL, cause VARCHAR(1023) NOT NULL, "order" TEXT NOT NULL,
            state VARCHAR(15) NOT NULL, started_at_us BIGINT, ended_at_us BIGINT, run_id VARCHAR(63), version INTEGER,
            sentence TEXT NOT NULL, PRIMARY KEY (number), CONSTRAINT one_order_per_cause UNIQUE (model, cause));
        CREATE INDEX ix_orders_state ON orders (state);
        CREATE INDEX ix_orders_model ON orders (model);
        """,
}
"""SQL that the migrations of before wrote, each after those above it."""


@pytest.mark.parametrize("form", [None, *FORMS])
def test_a_ledger_of_any_form_becomes_what_is_declared(tmp_path: Path, form: str | None) -> None:
    path = tmp_path / "ledger.db"
    if form is not None:
        connection = sqlite3.connect(path)
        for number, script in FORMS.items():
            if number <= form:
                connection.executescript(script)
        connection.close()
    ledger = open_ledger(sqlite_url(path))
    with ledger.connect() as connected:
        assert compare_metadata(MigrationContext.configure(connected), METADATA) == []
        kept = connected.execute(sa.text("SELECT reason FROM alias_changes")).scalars().all()
        assert kept == ([] if form is None else ["the first"])
    (unique,) = sa.inspect(ledger).get_unique_constraints(ORDERS.name)
    assert unique["column_names"] == ["model", "cause"]


def test_the_newest_revision_is_that_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", "everfit:store/migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [NEWEST_REVISION]


def test_only_a_ledger_that_must_be_migrated_needs_alembic(tmp_path: Path) -> None:
    script = (
        "import sys; from everfit.store.ledger import open_ledger as o; o(sys.argv[1]); print('alembic' in sys.modules)"
    )
    url = sqlite_url(tmp_path / "ledger.db")
    first, second = (
        subprocess.run([sys.executable, "-c", script, url], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    )
    assert (first, second) == ("True", "False")
