"""`check` takes exactly the columns that training and serving take: every type in every role, in one project each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

import everfit as ef
from everfit.artifact.encode import encode_frame
from everfit.artifact.infer import infer_schema
from everfit.commands.validate import check
from everfit.core.columns import LABEL
from everfit.core.errors import EverfitError
from everfit.definitions.column_types import TABLE, Role, column_type
from everfit.definitions.model import Model
from everfit.features.history import build_frame
from everfit.features.materialize import materialize
from everfit.serving.protocols.json import RequestDecoder
from everfit.store.sqlite_online import OnlineStore
from everfit.system import System

COLUMNS = {
    "boolean": "N % 3 == 0",
    "int8": "(N % 100).cast(pl.Int8)",
    "int64": "N % 100",
    "uint64": "(N % 100).cast(pl.UInt64)",
    "large": "(N % 100).cast(pl.UInt64) + 2**63",
    "int128": "(N % 100).cast(pl.Int128)",
    "float32": "(N / 7).cast(pl.Float32)",
    "infinite": "N / (N % 4)",
    "decimal": "(N % 100).cast(pl.Decimal(12, 2))",
    "string": "pl.format('k{}', N % 9)",
    "categorical": "pl.format('k{}', N % 9).cast(pl.Categorical)",
    "enum": "pl.format('k{}', N % 3).cast(pl.Enum(['k0', 'k1', 'k2']))",
    "date": "AT.dt.offset_by('1d').dt.date()",
    "instant": "AT + pl.duration(minutes=5)",
    "paris": "(AT + pl.duration(minutes=5)).dt.convert_time_zone('Europe/Paris').dt.cast_time_unit('ns')",
    "naive": "AT.dt.replace_time_zone(None)",
    "null": "pl.lit(None)",
    "time": "AT.dt.time()",
    "duration": "pl.duration(minutes=N)",
    "list": "pl.concat_list(N, N)",
    "array": "pl.concat_list(N, N).cast(pl.Array(pl.Int64, 2))",
    "struct": "pl.struct(a=N)",
    "binary": "pl.format('k{}', N % 9).cast(pl.Binary)",
}
ROLES: dict[Role, str] = {
    "request field": "model(name, request=['shop', name])",
    "key": "model(name, request=[name], features=[view(name)])",
    "feature": "model(name, request=['shop'], features=[view(name, feature=name)])",
    "label": "model(name, label=name, task='multiclass' if name in TEXTS else 'regression')",
    "instant": "model(name, known_at=name)",
}
PROJECT = """
import datetime
import polars as pl
import everfit as ef

N, AT = pl.col("n"), pl.col("at")
TEXTS = {"boolean", "string", "categorical", "enum"}
KEYS = {"date": pl.Date, "string": pl.String, "categorical": pl.String, "enum": pl.String}

def rows():
    first = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    at = pl.datetime_range(first, first + datetime.timedelta(hours=599), "1h", time_unit="us", eager=True)
    base = pl.DataFrame({"n": range(600), "at": at}).with_columns(
        id=pl.format("id-{}", N), shop=pl.format("s{}", N % 5), y=(N * 7 % 13).cast(pl.Float64),
        known=AT + pl.duration(minutes=30),
    )
    return base.with_columns(COLUMNS)

source = ef.Source("rows", function=rows, timestamp="at")

def view(name, feature="n"):
    key = "shop" if feature != "n" else name
    entity = ef.Entity(f"entity_{name}", key=key, dtype=KEYS.get(name, pl.Int64) if key == name else pl.String)
    return ef.FeatureView(f"view_{name}", entities=[entity], source=source, ttl="40d", features=[feature])

def model(name, *, request=("shop",), features=None, label="y", known_at="known", task="regression"):
    made = ef.Model(
        f"m_{name}", task=task, events=ef.Events(source, id="id"), request=list(request),
        features=features or [request[-1]], label=ef.Label(label, known_at=known_at),
    )
    made.trainer()(lambda X, y: None)
    return made
"""
AS_OF = datetime(2026, 1, 26, tzinfo=UTC)


def opened(folder: Path, role: Role, names: Sequence[str]) -> System:
    folder.mkdir()
    (folder / "everfit.toml").write_text("")
    columns = ", ".join(f"{name}={COLUMNS[name]}" for name in names)
    models = "\n".join(f"name = {name!r}; m_{name} = {ROLES[role]}" for name in names)
    text = PROJECT.replace("base.with_columns(COLUMNS)", f"base.with_columns({columns})")
    (folder / "project.py").write_text(f"{text}\n{models}\n")
    return ef.open_system(folder)


def works(system: System, model: Model, folder: Path) -> str:
    """All that training and serving do with columns; what refused it, or nothing."""
    try:
        frame = build_frame(model, system.reader, as_of=AS_OF)
        learnt = frame.data.filter(pl.col(LABEL).is_not_null())
        if learnt.is_empty():
            return "no labels"
        schema = infer_schema(model, frame, learnt)
        online = OnlineStore(folder / f"{model.name}.db")
        materialize(model.views, system.reader, online, until=AS_OF)
    except EverfitError as error:
        return str(error)
    encode_frame(schema, frame.data)
    body = {"inputs": {field.name: field.example for field in schema.request}}
    row = RequestDecoder(schema, max_rows=1).decode(json.dumps(body).encode()).rows[0]
    for lookup in schema.lookups:
        key = tuple(dict(zip([field.name for field in schema.request], row, strict=True))[name] for name in lookup.keys)
        assert online.get_one(lookup.view, key, at_us=None, ttl_us=lookup.ttl_us) is not None
    return ""


@pytest.mark.parametrize("role", ROLES)
def test_check_and_training_agree_on_every_type(tmp_path: Path, role: Role) -> None:
    system = opened(tmp_path / "all", role, list(COLUMNS))
    errors = [each for each in check(system, as_of=AS_OF).problems if each.severity == "error"]
    places = {word for each in errors for word in each.place.replace(",", "").split()}
    refused = {name for name in COLUMNS if places & {f"m_{name}", f"view_{name}"}}
    fine = [name for name in COLUMNS if not works(system, system.project.models[f"m_{name}"], tmp_path)]
    assert fine
    assert not refused & set(fine)
    clean = check(opened(tmp_path / "fine", role, fine), as_of=AS_OF)
    assert not [each for each in clean.problems if each.severity == "error"]
    # Some mistakes show in the rows alone, which are looked at once all types are right.
    for name in set(COLUMNS) - set(fine) - refused:
        assert not check(opened(tmp_path / name, role, [name]), as_of=AS_OF).passed, name


def test_every_refusal_names_the_column_and_a_way_out(tmp_path: Path) -> None:
    system = opened(tmp_path / "all", "request field", list(COLUMNS))
    found = {each.place: each for each in check(system, as_of=AS_OF).problems}
    for name in ("time", "duration", "list", "struct", "binary", "naive"):
        problem = found[f"model m_{name}, request"]
        assert f"which {name} is not" in problem.rule
        assert "Use instead" in problem.remedy


def test_every_polars_type_has_its_row() -> None:
    names = {row.name for row in TABLE}
    types = [pl.Object(), pl.Float16(), pl.UInt128(), pl.Null(), pl.Time(), pl.Array(pl.Int8, 2), pl.Decimal(5, 1)]
    assert {column_type(dtype).name for dtype in types} <= names
