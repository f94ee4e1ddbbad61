"""From an empty folder to a served model with one command, which says what it does while it does it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from tests.acceptance.shop import everfit


@contextmanager
def up(folder: Path, log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """``everfit up`` with all that it prints in a file; Ctrl-C must end it cleanly."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "everfit", "up", "--port", "0", *options],
            cwd=folder, stdout=sink, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0


def wait_for_line(log: Path, text: str, seconds: float = 150.0) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = next((line for line in log.read_text().splitlines() if text in line), None)
        if found is not None:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{text!r} was not printed:\n{log.read_text()}")


@pytest.mark.slow
def test_up_trains_delivers_and_prints_every_transition(tmp_path: Path) -> None:
    assert everfit(tmp_path, "init", "bakery", fresh=True).code == 0
    folder, log = tmp_path / "bakery", tmp_path / "up.log"
    with up(folder, log):
        url = wait_for_line(log, "is up at").split(" is up at ")[1].split(",")[0]
        wait_for_line(log, "this worker serves version 1")
        row = {"shop": "north", "opens_at": f"{datetime.now(UTC):%Y-%m-%d}T06:00:00Z", "price": 3.4, "promotion": False}
        request = Request(f"{url}/predict/demand", json.dumps({"inputs": [row]}).encode())
        with urlopen(request, timeout=30) as response:
            answer = json.load(response)
        assert answer["version"] == 1
        assert 20 < answer["predictions"][0] < 150
        assert everfit(folder, "promote", "demand", "1", "--reason", "the baker\nlikes it").code == 0
        assert "the baker likes it" in wait_for_line(log, "promote version 1")
    lines = log.read_text().splitlines()
    assert "Traceback" not in log.read_text()
    wanted = (
        "worker 0 starts as process",
        "demand: order 1 is open: No version is deployed yet",
        "demand: order 1 is carried out",
        "demand: order 1: the training has ended",
        "of 15 gates passed, none refused",
        "demand: version 1 is registered",
        "demand: order 1 has passed its gates",
        "demand: version 1 is champion now",
        "demand: deployment 1: version 1 is deployed",
        "demand: order 1 has shipped",
        "demand: this worker serves version 1",
        "stopping",
    )
    for sentence in wanted:
        assert sum(sentence in line for line in lines) == 1, f"{sentence}:\n{log.read_text()}"


@pytest.mark.slow
def test_a_refused_first_training_is_told_in_json_and_tried_again_with_newer_data(tmp_path: Path) -> None:
    assert everfit(tmp_path, "init", "bakery", fresh=True).code == 0
    folder, log = tmp_path / "bakery", tmp_path / "up.log"
    data = folder / "data" / "sales.csv"
    whole = data.read_text().splitlines(keepends=True)
    data.write_text("".join(whole[: 1 + 4 * 400]))
    with up(folder, log, "--json"):
        refused = json.loads(wait_for_line(log, '"event": "gates_refused"'))
        assert (refused["model"], refused["order"], refused["process"]) == ("demand", 1, "controller")
        assert "freshness" in refused["message"]
        opened = json.loads(wait_for_line(log, '"event": "incident_opened"'))
        assert (opened["incident"], opened["kind"]) == (1, "candidate_refused") or opened["kind"]
        data.write_text("".join(whole))
        loaded = json.loads(wait_for_line(log, '"event": "version_loaded"'))
        assert (loaded["model"], loaded["version"], loaded["process"]) == ("demand", 1, "worker 0")
    orders = everfit(folder, "orders", "list", "--json").json
    assert [order["state"] for order in orders] == ["refused", "shipped"]
