"""A class that training has not seen, and two classes that are neither booleans nor 0 and 1: with the real command."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.acceptance.shop import Answer, everfit
from tests.acceptance.test_walk import post, service
from tests.tracking import place_tracking

_ROWS = 900
_KNOWN = ("air", "road", "sea")
_NEW = "rail"

SHIPMENTS = """
import polars as pl
from sklearn.tree import DecisionTreeClassifier

import everfit as ef

shipments = ef.Source("shipments", path="shipments.parquet", timestamp="asked_at")

carrier = ef.Model(
    "carrier",
    task="multiclass",
    events=ef.Events(shipments, id="shipment_id"),
    request=["weight", "distance", "asked_at"],
    features=["weight", "distance"],
    label=ef.Label("carrier", known_at="known_at"),
    metric="macro_f1",
    slices=["weight"],
)


@carrier.trainer(max_depth=ef.Int(2, 6))
def train(X, y, X_valid, y_valid, max_depth, seed):
    assert y.min() >= 0 and (y_valid is None or y_valid.min() >= 0)
    return DecisionTreeClassifier(max_depth=max_depth, min_samples_leaf=5, random_state=seed).fit(X, y)


on_time = ef.Model(
    "on_time",
    task="binary",
    events=ef.Events(shipments, id="shipment_id"),
    request=["weight", "distance", "asked_at"],
    features=["weight", "distance"],
    label=ef.Label("on_time", known_at="known_at", positive="yes"),
    metric="brier",
)


@on_time.trainer()
def train_on_time(X, y, seed):
    return DecisionTreeClassifier(max_depth=3, min_samples_leaf=20, random_state=seed).fit(X, y)
"""


def shipments(last: datetime, *, new_since: int = _ROWS) -> pl.DataFrame:
    """Shipments an hour apart; light ones go by air, far ones by sea, and from a row on the heaviest by rail."""
    random = np.random.default_rng(0)
    weight, distance = random.random(_ROWS), random.random(_ROWS)
    carrier = np.select([weight < 0.3, distance > 0.6], ["air", "sea"], "road").astype(object)
    carrier[(weight > 0.75) & (np.arange(_ROWS) >= new_since)] = _NEW
    asked = [last - timedelta(hours=_ROWS - number) for number in range(_ROWS)]
    late = random.random(_ROWS) < np.where(distance > 0.5, 0.9, 0.1)
    return pl.DataFrame(
        {
            "shipment_id": [f"s-{number}" for number in range(_ROWS)],
            "weight": weight,
            "distance": distance,
            "asked_at": asked,
            "known_at": [instant + timedelta(minutes=5) for instant in asked],
            "carrier": carrier.astype(str),
            "on_time": np.where(late, "no", "yes"),
        }
    )


def write(folder: Path, rows: pl.DataFrame, definitions: str = SHIPMENTS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    toml = '[project]\nname = "shop"\nmodule = "shop"\n\n[training]\ntrials = 2\nbootstrap = 100\n'
    (folder / "everfit.toml").write_text(toml)
    (folder / "shop.py").write_text(definitions)
    rows.write_parquet(folder / "shipments.parquet")
    place_tracking(folder)
    return folder


def done(answer: Answer) -> Answer:
    assert answer.code == 0, answer.err + answer.out
    return answer


@pytest.fixture(scope="module")
def now() -> datetime:
    return datetime.now(tz=UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, now: datetime) -> Path:
    """A project whose two champions do not know the class, nor a third value."""
    folder = write(tmp_path_factory.mktemp("classes") / "shop", shipments(now))
    for model in ("carrier", "on_time"):
        done(everfit(folder, "train", model))
        done(everfit(folder, "promote", model))
    return folder


def asked(count: int) -> list[dict[str, Any]]:
    random = np.random.default_rng(1)
    instant = datetime.now(tz=UTC).isoformat()
    return [
        {"weight": weight, "distance": distance, "asked_at": instant}
        for weight, distance in random.random((count, 2)).tolist()
    ]


@pytest.mark.slow
def test_a_class_that_training_has_not_seen_is_kept_found_and_learnt(served: Path, now: datetime) -> None:
    ids = [f"live-{number}" for number in range(60)]
    with service(served) as url:
        code, answer = post(f"{url}/predict/carrier", {"inputs": asked(60), "ids": ids})
        assert code == 200, answer
        assert set(answer["predictions"][0]) == set(_KNOWN)
        told = [{"id": name, "value": _NEW if number < 9 else "road"} for number, name in enumerate(ids)]
        assert post(f"{url}/outcomes/carrier", {"outcomes": told}) == (200, {"outcomes": 60, "new_class": 9})
        for wrong in (4, True, "", "x" * 300, 1.5):
            code, refused = post(f"{url}/outcomes/carrier", {"id": "live-0", "value": wrong})
            assert (code, "must be text of 1 to 256 characters: one of 'air', 'road' and 'sea'" in str(refused)) == (
                422,
                True,
            ), refused
        file = served / "told.csv"
        pl.DataFrame({"id": ["live-9"], "value": [_NEW]}).write_csv(file)
        done(everfit(served, "outcomes", "carrier", str(file), "--url", url))
    report = done(everfit(served, "monitor", "carrier", "--json")).json
    (found,) = [each for each in report["findings"] if each["kind"] == "new_class"]
    assert found["numbers"]["rows"] == 10
    assert "'rail' on 10 outcomes" in found["sentence"]
    assert found["severity"] == "critical"
    assert {each["finding"]["kind"] for each in report["incidents"]} >= {"new_class"}
    (version,) = report["versions"]
    assert version["overall"]["labelled"] == 60
    assert version["overall"]["value"] is not None
    done(everfit(served, "journal", "ship"))
    explained = done(everfit(served, "explain", "live-0", "--json")).json["answers"][0]
    assert explained["answer"]["outcomes"][0]["value"] == _NEW

    # At first only the hold-out has it, then the rows that are learnt from have it too.
    write(served, shipments(now, new_since=840))
    trained = done(everfit(served, "train", "carrier", "--json")).json
    sentences = " ".join(verdict["sentence"] for verdict in trained["report"]["verdicts"])
    assert "are of classes that only the hold-out has ('rail')" in sentences
    write(served, shipments(now, new_since=300))
    second = done(everfit(served, "train", "carrier", "--json")).json
    sentences = " ".join(verdict["sentence"] for verdict in second["report"]["verdicts"])
    assert "New since the champion was trained: 'rail'" in sentences
    done(everfit(served, "promote", "carrier"))
    with service(served) as url:
        heavy = {"weight": 0.9, "distance": 0.1, "asked_at": datetime.now(tz=UTC).isoformat()}
        _, answer = post(f"{url}/predict/carrier", {"inputs": [heavy], "ids": ["rail-1"]})
        assert max(answer["predictions"][0], key=answer["predictions"][0].get) == _NEW
        assert post(f"{url}/outcomes/carrier", {"id": "rail-1", "value": _NEW}) == (200, {"outcomes": 1})
    after = done(everfit(served, "monitor", "carrier", "--json")).json
    assert "new_class" not in {each["kind"] for each in after["findings"]}


def test_a_binary_label_may_be_any_two_values(served: Path) -> None:
    with service(served) as url:
        code, answer = post(f"{url}/predict/on_time", {"inputs": asked(40), "ids": [f"t-{n}" for n in range(40)]})
        assert code == 200
        assert all(0 <= chance <= 1 for chance in answer["predictions"])
        told = [
            {"id": f"t-{n}", "value": "yes" if chance > 0.5 else "no"} for n, chance in enumerate(answer["predictions"])
        ]
        assert post(f"{url}/outcomes/on_time", {"outcomes": told})[0] == 200
        code, refused = post(f"{url}/outcomes/on_time", {"id": "t-0", "value": "perhaps"})
        assert (code, "no or yes, of which yes is the positive class" in str(refused)) == (422, True), refused
    report = done(everfit(served, "monitor", "on_time", "--json")).json
    assert report["versions"][0]["overall"]["value"] < 0.6


@pytest.mark.parametrize(
    ("label", "column", "said"),
    [
        ('"on_time", known_at="known_at"', pl.col("on_time"), "Write ef.Label(..., positive='no') or ef.Label("),
        ('"on_time", known_at="known_at", positive="Yes"', pl.col("on_time"), "The values are 'no' and 'yes'."),
        (
            '"on_time", known_at="known_at", positive="yes"',
            pl.when(pl.col("weight") < 0.01).then(pl.lit("perhaps")).otherwise("on_time").alias("on_time"),
            "here 'no' and 'yes', but it also is 'perhaps' on",
        ),
        ('"on_time", known_at="known_at"', pl.col("weight").alias("on_time"), "or two texts or integers, but got"),
    ],
)  # fmt: skip
def test_a_label_that_cannot_be_learnt_is_one_sentence(
    tmp_path: Path, now: datetime, label: str, column: pl.Expr, said: str
) -> None:
    definitions = SHIPMENTS.replace('"on_time", known_at="known_at", positive="yes"', label)
    folder = write(tmp_path / "shop", shipments(now).with_columns(column), definitions)
    for words in (("check",), ("train", "on_time"))[: 1 if "Yes" in label else 2]:
        answer = everfit(folder, *words)
        text = " ".join((answer.out + answer.err).split())
        assert (answer.code, said in text, "Traceback" in text) == (1, True, False), text


@pytest.mark.parametrize(
    ("column", "positive", "classes", "told"),
    [
        (pl.when(pl.col("on_time") == "yes").then(1.0).otherwise(0.0), None, [0, 1], [1.0, True, "1", 0]),
        (pl.col("on_time") == "yes", None, [False, True], ["True", "false", True, 0.0]),
        (pl.col("on_time") == "yes", False, [True, False], ["False", "true", 1]),
        (pl.col("on_time").cast(pl.Categorical), "no", ["yes", "no"], ["no", "yes"]),
        (pl.when(pl.col("on_time") == "yes").then(2.0).otherwise(1.0), 2, [1, 2], [2.0, "1", 2]),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_two_values_of_any_type_are_learnt_and_reported_as_they_are(
    tmp_path: Path, now: datetime, column: pl.Expr, positive: object, classes: list[object], told: list[object]
) -> None:
    definitions = SHIPMENTS.replace('positive="yes"', f"positive={positive!r}")
    folder = write(tmp_path / "shop", shipments(now).with_columns(column.alias("on_time")), definitions)
    done(everfit(folder, "check"))
    done(everfit(folder, "train", "on_time"))
    done(everfit(folder, "promote", "on_time"))
    with service(folder) as url:
        for number, value in enumerate(told):
            post(f"{url}/predict/on_time", {"inputs": asked(1), "id": f"o-{number}"})
            assert post(f"{url}/outcomes/on_time", {"id": f"o-{number}", "value": value})[0] == 200, value
        _, described = post(f"{url}/predict/on_time", {"inputs": asked(1)})
        assert len(described["predictions"]) == 1
    report = done(everfit(folder, "monitor", "on_time", "--json")).json
    assert report["versions"][0]["overall"]["labelled"] == len(told)
    assert "new_class" not in {each["kind"] for each in report["findings"]}
