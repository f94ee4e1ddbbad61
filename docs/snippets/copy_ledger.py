"""Copy a ledger into another database: python copy_ledger.py FROM_URL TO_URL."""

# region copy
import sys

import sqlalchemy as sa

source, target = sa.create_engine(sys.argv[1]), sa.create_engine(sys.argv[2])
tables = sa.MetaData()
tables.reflect(source)
with source.connect() as old, target.begin() as new:
    for table in tables.sorted_tables:
        if table.name == "alembic_version":
            continue
        rows = [dict(row) for row in old.execute(sa.select(table)).mappings()]
        if rows:
            there = sa.Table(table.name, sa.MetaData(), autoload_with=new)
            new.execute(sa.insert(there), rows)
        if new.dialect.name == "postgresql":
            for column in table.primary_key.columns:
                # A number that PostgreSQL counts itself goes on after the last one.
                counter = new.scalar(
                    sa.text("select pg_get_serial_sequence(:t, :c)"), {"t": table.name, "c": column.name}
                )
                if counter and rows:
                    last = max(row[column.name] for row in rows)
                    new.execute(sa.text("select setval(:counter, :last)"), {"counter": counter, "last": last})
        print(f"{table.name}: {len(rows)} rows")
# endregion
