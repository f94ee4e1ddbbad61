"""`everfit doctor` names what makes a project slow."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import everfit as ef
from everfit.cli.doctor import _indexes

PROJECT = """
import polars as pl
import everfit as ef

orders = ef.Source("orders", query="select * from orders", url="sqlite:///shop.db", timestamp="at")
shop = ef.Entity("shop", dtype=pl.String)
sales = ef.FeatureView("sales", entities=[shop], source=orders, timestamp="paid", features=["amount"], ttl="1d")
"""


def test_time_columns_of_databases_without_an_index_are_named(tmp_path: Path) -> None:
    (tmp_path / "everfit.toml").write_text("")
    (tmp_path / "project.py").write_text(PROJECT)
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("create table orders (at text, paid text, shop text, amount real)")
        connection.execute("create index orders_at on orders (at)")
        assert "orders.paid: without an index" in _indexes(ef.open_system(tmp_path))
        connection.execute("create index orders_paid on orders (paid)")
        connection.commit()
    connection.close()
    assert _indexes(ef.open_system(tmp_path)) == "no time column of a database needs one"
