"""Names, values, reasons and arguments are printed as they are: never as markup, never as a terminal's commands."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.acceptance.shop import AS_OF, DEFINITIONS, Answer, everfit, make_project, orders

from everfit.cli.main import command_group, main

HOSTILE = "[/x] [red]r[/] [bold]\x1b[31m\x9b2J\u202e\nforged: line :smile:"
SHOWN = r"[/x] [red]r[/] [bold]\x1b[31m\x9b2J\u202e\nforged: line :smile:"
COLUMN = "km[/x][red]"


def assert_harmless(answer: Answer) -> None:
    text = answer.out + answer.err
    assert "Traceback" not in text, text
    assert "MarkupError" not in text, text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text), text
    assert not any(line.startswith("forged") for line in text.splitlines()), text
    assert "☺" not in text
    assert "😄" not in text


def commands() -> dict[str, Any]:
    """Every command that can be typed, hidden ones included, by its path."""
    root: Any = command_group()
    found: dict[str, Any] = {}
    for name, command in root.commands.items():
        inner = getattr(command, "commands", None)
        found |= (
            {name: command.load()} if inner is None else {f"{name} {key}": sub.load() for key, sub in inner.items()}
        )
    return found


def hostile_calls() -> Iterator[tuple[str, ...]]:
    """Every command with the hostile text in each of its places for text or a path."""
    for path, command in commands().items():
        if command.hidden:  # these end the process that they run in; below they have one
            continue
        needed = [each for each in command.params if each.required]
        for parameter in command.params:
            kind = parameter.type_descriptor.annotation
            # The demo would run, for minutes.
            if (path, parameter.name) == ("demo", "folder") or kind not in {str, Path, datetime}:
                continue
            words = [word for each in needed if each is not parameter for word in _given(each)]
            yield (*path.split(), *words, *_given(parameter, HOSTILE))


def _given(parameter: Any, text: str = "1") -> list[str]:
    return [text] if parameter.param_type_name == "argument" else [parameter.opts[0], text]


@pytest.mark.slow
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_every_place_for_text_of_every_command(
    as_json: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(make_project(tmp_path / "shop"))
    monkeypatch.setattr(sys, "stdin", io.StringIO(HOSTILE))
    calls = list(hostile_calls())
    assert len(calls) > 50
    for words in calls:
        monkeypatch.setattr(sys, "argv", ["everfit", *words, *(["--json"] if as_json else [])])
        with pytest.raises(SystemExit) as ended:
            main()
        answer = Answer(int(ended.value.code or 0), *capfd.readouterr())
        assert answer.code in {0, 1, 2}, (words, answer)
        assert_harmless(answer)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A champion whose request field, categories and reasons all hold what must not be obeyed."""
    definitions = DEFINITIONS.replace('"distance_km"', repr(COLUMN))
    data = orders().rename({"distance_km": COLUMN}).with_columns(shop=pl.lit(HOSTILE + " ") + pl.col("shop"))
    folder = make_project(tmp_path_factory.mktemp("hostile") / "shop", definitions=definitions, data=data)
    for words in (
        ("train", *AS_OF, "--reason", HOSTILE),
        ("promote", "--reason", HOSTILE),
        ("features", "materialize"),
    ):
        answer = everfit(folder, *words)
        assert answer.code == 0, answer
        assert_harmless(answer)
    return folder


@pytest.fixture(scope="module")
def served(hostile: Path) -> Iterator[str]:
    """The service's address, after it was asked a question and told its outcome."""
    line = [sys.executable, "-m", "everfit", "serve", "--port", "0", "--json"]
    with subprocess.Popen(line, cwd=hostile, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = ""
        while not text.endswith("}\n") or text.count("{") != text.count("}"):
            text += process.stdout.readline()
        yield json.loads(text)["url"]
        process.terminate()


ROW = {"shop": HOSTILE, COLUMN: 3.5, "ordered_at": "2026-01-21T20:00:00Z", "id": "1[/x]"}
SAID: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "init": (("abc", "--in", "[/x] new"), ("[/x] new/abc",)),
    "check": ((), ("0 errors",)),
    "design new": (("--purpose", HOSTILE), ("design.md",)),
    "design show": ((), (SHOWN,)),
    "design history": ((), ("in no git repository",)),
    "design fallback": ((), ()),
    "card": ((), (COLUMN,)),
    "docs": (("--output", "[/x] site"), ("[/x] site",)),
    "features list": ((), ("shop",)),
    "features materialize": ((), ("shop_record",)),
    "materialize-version": (
        ("[/x]", "--package", "[/x]", "--until", "2026-01-20", "--result", "[/x]", "--project", "[/x]"),
        (),
    ),
    "features get": (("shop_record", HOSTILE), (SHOWN,)),
    "features parity": ((), ()),
    "train": (("--start", "2031-01-01", "--reason", HOSTILE), ()),
    "models": (("--history",), ()),
    "orders give": (("--reason", HOSTILE), ("Training order 3",)),
    "orders list": ((), ("[/x]", "[red]r[/]")),
    "orders cancel": (("3", "--reason", HOSTILE), ("Training order 3",)),
    "orders show": (("1",), ("[/x] [red]r[/]",)),
    "incidents list": ((), ()),
    "incidents show": (("1",), ()),
    "rollouts list": ((), ()),
    "rollouts begin": (("late", "champion", "--reason", HOSTILE), ()),
    "rollouts approve": (("--reason", HOSTILE), ()),
    "rollouts pause": (("--reason", HOSTILE), ()),
    "rollouts resume": (("--reason", HOSTILE), ()),
    "promote": (("late", "1", "--reason", HOSTILE), ()),
    "rollback": (("--reason", HOSTILE), ()),
    "release": (("[/x]",), ()),
    "releases list": ((), ()),
    "releases show": (("1",), ()),
    "releases follow": (("[/x]",), ("[/x]",)),
    "releases cancel": (("1", "--reason", HOSTILE), ()),
    "releases leave": (("--reason", HOSTILE), ()),
    "releases hook": (("[/x] repository",), ("[/x] repository",)),
    "releases secret": ((), ("No webhook secrets",)),
    "audit": ((), ("[/x]", "[red]r[/]")),
    "predict": (("late", "rows.json", "--id", "id", "--url", "URL"), ("1[/x]  0.",)),
    "outcomes": (("late", "outcomes.csv", "--url", "URL"), ("1 outcomes of late",)),
    "journal ship": ((), ("Shipped",)),
    "journal status": ((), ("predictions",)),
    "explain": (("1[/x]",), (COLUMN, SHOWN, "1[/x], row 0")),
    "monitor": (("--html", "[/x].html"), ("The page is [/x].html.",)),
    "backtest": (("--from", "2026-01-10", "--to", "2026-01-12", "--policies", "[/x]"), ("[/x]",)),
    "replay": (("--from", "2026-01-20", "--to", "2026-01-21", "--url", "URL"), ()),
    "reproduce": ((), ("late version 1",)),
    "status": ((), ("champion version 1",)),
    "level": ((), ("shop is configured for level semi;",)),
    "doctor": ((), ("shop in ",)),
    "serve": (("--host", "[/x]"), ("[/x]",)),
    "up": (("--host", "[/x]"), ("[/x]",)),
    "demo": (("--data", "[/x]"), ("[/x]",)),
    "worker": (("--slot", "0", "--listener", "0", "--ready", "1", "--project", "[/x]"), ("[/x]",)),
    "controller": (("--ready", "1", "--project", "[/x]"), ("[/x]",)),
    "make-candidate": (("--folder", "[/x]", "--project", "[/x]"), ()),
    "champion-predictions": (("--folder", "[/x]", "--project", "[/x]"), ()),
    "release-trial": (("[/x]", "--folder", "[/x]"), ()),
    "predictor": (("--folder", "[/x]", "--socket", "1"), ()),
}  # fmt: skip
"""How each command is run in the hostile project, in this order, and what it must print."""


def test_every_command_is_tried() -> None:
    assert set(SAID) == set(commands())


@pytest.mark.slow
def test_every_command_prints_what_the_project_holds(hostile: Path, served: str) -> None:
    (hostile / "outcomes.csv").write_text("id,value\n1[/x],true\n")
    (hostile / "rows.json").write_text(json.dumps([ROW]))
    for command, (words, said) in SAID.items():
        answer = everfit(hostile, *command.split(), *(served if word == "URL" else word for word in words))
        assert answer.code in {0, 1, 2}, (command, answer)
        assert_harmless(answer)
        for text in said:
            assert text in answer.out + answer.err, (command, text, answer)


@pytest.mark.slow
def test_a_reason_that_looks_like_markup(own: Path) -> None:
    assert everfit(own, "promote", "late", "1", "--reason", "[/x] [red]hot\x1b[31m").code == 0
    answer = everfit(own, "audit")
    assert answer.code == 0
    assert "[/x]" in answer.out
    assert r"[red]hot\x1b[31m" in answer.out
    assert_harmless(answer)


def test_check_names_a_misspelt_column_and_its_remedy(tmp_path: Path) -> None:
    definitions = DEFINITIONS.replace('pl.col("late").mean()', 'pl.col("[/late]").mean()')
    answer = everfit(make_project(tmp_path / "shop", definitions=definitions), "check")
    assert answer.code == 1
    assert "[/late]" in answer.out
    assert_harmless(answer)


def test_doctor_names_the_extras(tmp_path: Path) -> None:
    """Packages that are not there are hidden by a finder, as if they had not been installed."""
    code = """
import importlib.util, sys
find_spec = importlib.util.find_spec
absent = {"psycopg", "onnxruntime", "uvicorn"}
importlib.util.find_spec = lambda name, *more: None if name in absent else find_spec(name, *more)
sys.argv = ["everfit", "doctor"]
from everfit.cli.main import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "not installed: everfit[onnx], everfit[sql], everfit[asgi]" in done.stdout
