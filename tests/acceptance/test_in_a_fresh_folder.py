"""What a user types in the first hour, in a fresh folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.acceptance.shop import AS_OF, DEFINITIONS, everfit, make_project

NOISE = """    import ctypes, os, subprocess
    print("a print of Python's")
    os.write(1, b"a write to the descriptor\\\\n")
    subprocess.run(["echo", "a child's line"], check=True)
    ctypes.CDLL(None).printf(b"a line of native code, buffered\\\\n")
    return HistGradient"""


@pytest.mark.slow
def test_two_trainings_at_once_in_a_fresh_project_print_one_json_document_each(tmp_path: Path) -> None:
    noisy = "print('imported')\n" + DEFINITIONS.replace("    return HistGradient", NOISE)
    folder = make_project(tmp_path / "shop", definitions=noisy)
    line = [sys.executable, "-m", "everfit", "train", *AS_OF, "--trials", "1", "--json"]
    processes = [
        subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in processes:
        out, err = process.communicate(timeout=180)
        assert process.returncode == 0, err
        assert json.loads(out)["model"] == "late"
        for said in ("imported", "a print of", "a write to", "a child's line", "a line of native code"):
            assert said in err
    assert {each["state"] for each in everfit(folder, "orders", "list", "--json").json} == {"registered"}


@pytest.mark.parametrize(
    "words",
    [
        ("check", "--as-of", "now"),
        ("features", "get", "shop_record", "shop-1", "--as-of", "now"),
        ("features", "materialize", "--until", "NOW"),
        ("train", "--start", "2031-01-01", "--end", "now", "--as-of", "now"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_now_is_an_instant(own: Path, words: tuple[str, ...]) -> None:
    answer = everfit(own, *words)
    assert answer.code in {0, 1}
    assert "must be now" not in answer.err
    assert "Traceback" not in answer.err
