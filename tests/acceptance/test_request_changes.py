"""A request field that means something else than the champion's is refused by a gate, with both types named."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.acceptance.shop import AS_OF, DEFINITIONS, everfit

FIELDS = 'request=["shop", "distance_km", "ordered_at"]'


@pytest.mark.slow
def test_a_request_field_of_another_type_or_a_new_one_is_refused(own: Path) -> None:
    data = pl.read_parquet(own / "orders.parquet")
    data.with_columns(pl.col("distance_km").round(0).cast(pl.Int64)).write_parquet(own / "orders.parquet")
    refused = everfit(own, "train", *AS_OF, "--json")
    assert refused.code == 1, refused.err
    assert "the request field distance_km is integer instead of number as for the champion, version 1" in refused.out
    data.with_columns(pl.col("distance_km").cast(pl.String)).write_parquet(own / "orders.parquet")
    refused = everfit(own, "train", *AS_OF, "--json")
    assert refused.code == 1, refused.err
    assert "distance_km is string instead of number" in refused.out
    # A field more is refused as well, unless it is allowed; then a person may promote it.
    data.with_columns(weight=pl.col("distance_km") * 2).write_parquet(own / "orders.parquet")
    more = DEFINITIONS.replace(FIELDS, FIELDS.replace('"distance_km"', '"distance_km", "weight"'))
    (own / "shop.py").write_text(more)
    refused = everfit(own, "train", *AS_OF, "--json")
    assert refused.code == 1, refused.err
    assert "weight is number instead of absent" in refused.out
    (own / "shop.py").write_text(more + '\nlate.ship_when(ef.DataSchema(request="any"))\n')
    for words in (("train", *AS_OF), ("promote",)):
        answer = everfit(own, *words)
        assert answer.code == 0, answer.out + answer.err
