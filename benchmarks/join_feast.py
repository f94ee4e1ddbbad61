"""The join by Feast on its DuckDB offline store."""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from pathlib import Path

os.environ["FEAST_USAGE"] = "False"

import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64

from benchmarks.join_process import TTL_DAYS, VIEWS, features, measure


def repository(folder: Path) -> FeatureStore:
    """A feature store over the same files; made before the clock starts."""
    home = Path(tempfile.mkdtemp(prefix="feast-"))
    config = {
        "project": "bench",
        "provider": "local",
        "registry": str(home / "registry.db"),
        "offline_store": {"type": "duckdb"},
        "online_store": {"type": "sqlite", "path": str(home / "online.db")},
        "entity_key_serialization_version": 3,
    }
    store = FeatureStore(config=RepoConfig(**config))
    things: list[object] = []
    for name, key in VIEWS.items():
        entity = Entity(name=key, join_keys=[key], value_type=ValueType.INT64)
        source = FileSource(name=f"{name}_source", path=str(folder / f"{name}.parquet"), timestamp_field="ts")
        schema = [Field(name=column, dtype=Float64) for column in features(name)]
        view = FeatureView(
            name=name, entities=[entity], ttl=timedelta(days=TTL_DAYS), schema=schema, source=source, online=False
        )
        things += [entity, view]
    store.apply(things)
    return store


def main() -> None:
    """Time the historical retrieval alone."""
    import sys

    store = repository(Path(sys.argv[1]))
    wanted = [f"{view}:{column}" for view in VIEWS for column in features(view)]

    def join(folder: Path) -> pa.Table:
        labels = pq.read_table(folder / "labels.parquet").to_pandas().rename(columns={"ts": "event_timestamp"})
        return store.get_historical_features(entity_df=labels, features=wanted).to_arrow()

    def write(result: pa.Table, path: Path) -> None:
        columns = ["id", *(column for view in VIEWS for column in features(view))]
        pq.write_table(result.select(columns).sort_by("id"), path)

    measure(join, write)


if __name__ == "__main__":
    main()
