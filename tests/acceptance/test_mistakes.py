"""Every mistake ends in one clear message and its exit code, with nothing half-registered."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from tests.acceptance.shop import AS_OF, DEFINITIONS, Answer, everfit, make_project, orders
from tests.tracking import count_versions


def assert_one_message(answer: Answer, code: int, *words: str) -> None:
    assert answer.code == code, answer
    assert "Traceback" not in answer.err + answer.out
    for word in words:
        assert word in answer.err, answer.err


def assert_nothing_registered(folder: Path) -> None:
    assert count_versions(folder) == 0


def test_an_unknown_key_in_everfit_toml(tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    (folder / "everfit.toml").write_text("[training]\ntrails = 3\n")
    assert_one_message(everfit(folder, "check"), 2, "'trails'", "Did you mean 'trials'?")


def test_no_project_here(tmp_path: Path) -> None:
    assert_one_message(everfit(tmp_path, "train"), 2, "everfit.toml", "everfit init")


def test_a_module_that_raises(tmp_path: Path) -> None:
    folder = make_project(tmp_path, definitions=DEFINITIONS + "\n1 / 0\n")
    assert_one_message(everfit(folder, "check"), 2, "ZeroDivisionError", "shop.py:")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (orders().drop("distance_km"), ("distance_km",)),
        (orders().with_columns(pl.col("ordered_at").dt.replace_time_zone(None)), ("ordered_at", "time zone")),
        (pl.concat([orders(), orders().tail(1)]), ("order_id must be unique", "order-2999")),
        (orders().with_columns(late=pl.lit(value=False)), ("one class", "late")),
        (orders().head(3), ("rows",)),
    ],
    ids=["missing column", "naive time stamp", "duplicate id", "one class", "hardly any rows"],
)
def test_data_that_cannot_be_trained_on(tmp_path: Path, data: pl.DataFrame, words: tuple[str, ...]) -> None:
    folder = make_project(tmp_path, data=data)
    assert_one_message(everfit(folder, "train"), 1, *words)
    assert_nothing_registered(folder)


def test_an_empty_training_window(tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    answer = everfit(folder, "train", "--start", "2031-01-01", "--end", "2031-02-01", "--as-of", "2031-02-01")
    assert_one_message(answer, 1, "2031-01-01", "The source has events from 2026-01-01")
    assert_nothing_registered(folder)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise RuntimeError('out of luck')", ("RuntimeError", "out of luck", "train")),
        ("return None", ("None",)),
        ("return object()", ("predict",)),
    ],
)
def test_a_trainer_that_fails(tmp_path: Path, body: str, words: tuple[str, ...]) -> None:
    broken = re.sub(r"    return HistGradient.*", f"    {body}", DEFINITIONS)
    folder = make_project(tmp_path, definitions=broken)
    assert_one_message(everfit(folder, "train"), 1, *words)
    assert_nothing_registered(folder)


def test_an_estimator_that_cannot_predict_the_newest_rows(tmp_path: Path) -> None:
    """What training has never seen comes first in the rows that a candidate is judged by."""
    linear = re.sub(
        r"    return HistGradient.*",
        "    from sklearn.linear_model import LogisticRegression\n    return LogisticRegression().fit(X, y)",
        DEFINITIONS,
    ).replace("[shop_record, ", "[")
    newest = pl.int_range(pl.len()) >= 2_900
    data = orders().with_columns(distance_km=pl.when(~newest).then("distance_km"))
    folder = make_project(tmp_path, definitions=linear, data=data)
    answer = everfit(folder, "train", *AS_OF)
    assert_one_message(answer, 1, "rows of the hold-out", "Input X contains NaN", "distance_km in 97", "impute")
    assert_nothing_registered(folder)


def test_a_candidate_that_learnt_nothing_is_refused(tmp_path: Path) -> None:
    dull = re.sub(
        r"    return HistGradient.*",
        "    from sklearn.dummy import DummyClassifier\n    return DummyClassifier(strategy='prior').fit(X, y)",
        DEFINITIONS,
    )
    folder = make_project(tmp_path, definitions=dull)
    answer = everfit(folder, "train", *AS_OF, "--json")
    assert answer.code == 1
    failed = [each["gate"] for each in answer.json["report"]["verdicts"] if each["outcome"] == "failed"]
    assert failed == ["beats_baseline"]
    assert_nothing_registered(folder)


def test_json_errors_are_json(tmp_path: Path) -> None:
    folder = make_project(tmp_path, data=orders().drop("distance_km"))
    answer = everfit(folder, "train", "--json")
    assert answer.code == 1
    assert answer.json["error"]["kind"] == "SourceError"
    assert "distance_km" in answer.json["error"]["rule"] + answer.json["error"]["value"]


def test_a_corrupted_package_is_neither_served_nor_promoted(own: Path) -> None:
    package = next((own / ".everfit" / "artifacts").rglob("MLmodel")).parent
    victim = next(path for path in (package / "model").iterdir() if path.is_file())
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(bytes(content))
    assert_one_message(everfit(own, "serve", "--port", "0", timeout_s=60), 1, victim.name, "digest")
    assert everfit(own, "doctor").code == 1


def test_nothing_promoted_nothing_served(tmp_path: Path) -> None:
    folder = make_project(tmp_path)
    assert_one_message(everfit(folder, "serve", "--port", "0", timeout_s=60), 1, "everfit promote")


def test_an_unknown_model_and_version(trained: Path) -> None:
    assert_one_message(everfit(trained, "train", "latte"), 2, "'latte'", "Defined are: late")
    assert_one_message(everfit(trained, "promote", "late", "9"), 1, "'9'", "Known are: 1 (champion)")
    assert_one_message(everfit(trained, "rollback", "late"), 1, "one before it")


def test_a_service_that_is_not_there(trained: Path) -> None:
    answer = everfit(trained, "predict", "late", "{}", "--url", "http://127.0.0.1:9")
    assert_one_message(answer, 1, "everfit serve")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("X, y, feature_names, learning_rate, seed", ("feature_names", "Did you mean 'names'?")),
        ("X, y, rounds, learning_rate, seed", ("rounds", "Available are")),
        ("X, y, seed, rate=0.1", ("learning_rate", "must be an argument of the trainer")),
    ],
    ids=["misspelt", "neither tuned nor offered", "tuned but no argument"],
)
def test_check_refuses_the_arguments_that_a_training_refuses(
    tmp_path: Path, arguments: str, words: tuple[str, ...]
) -> None:
    folder = make_project(tmp_path, definitions=DEFINITIONS.replace("X, y, learning_rate, seed", arguments))
    checked = everfit(folder, "check", *AS_OF)
    assert checked.code == 1
    assert "Traceback" not in checked.out + checked.err
    for word in words:
        assert word in checked.out, checked.out
