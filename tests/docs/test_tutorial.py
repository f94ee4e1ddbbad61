"""The tutorial and the README, followed as a reader would: every file, every change, every command, every output."""

from __future__ import annotations

import doctest
import os
from pathlib import Path

import docs.walk
import pytest
from docs.walk import Walker, WalkError, fits, recorded, steps

_LONG = pytest.mark.skipif("EVERFIT_TEST_REPLAYS" not in os.environ, reason="minutes: set EVERFIT_TEST_REPLAYS=1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["README.md", "docs/tutorial.md", pytest.param("docs/howto/first-release.md", marks=_LONG)]
)
def test_a_page_is_as_it_says(name: str, repository: Path, tmp_path: Path) -> None:
    Walker(tmp_path).follow((repository / name).read_text(encoding="utf-8"))


def test_the_tutorial_shows_what_every_command_prints(repository: Path) -> None:
    found = steps((repository / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    silent = [step.text for step in found if step.kind == "run" and step.output is None]
    assert silent == ["python make_data.py\n"] or not silent
    assert [step.name for step in found if step.kind == "save"] == ["make_data.py", "everfit.toml", *["project.py"] * 4]
    assert sum(step.text.startswith("everfit train") for step in found) == 3


def test_the_mask_has_examples() -> None:
    assert doctest.testmod(docs.walk).attempted


def test_numbers_may_differ_and_words_may_not() -> None:
    assert fits("version 1 in 0.2 s", "version 3\n  in 12 s")
    assert not fits("version 1 answers", "version 1 fails")
    assert fits("a 1\n…\nc 3\n", "a 2\nb\nc 4\nd\n")
    assert not fits("a 1\n…\nx\n", "a 2\nb\nc 4\n")


def test_a_recorded_output_keeps_its_elisions() -> None:
    assert recorded("one 1\n…\nthree 3\n", "one 4\ntwo 5\nthree 6\n") == "one 4\n…\nthree 6\n"
    with pytest.raises(WalkError, match="begins as 'four 4'"):
        recorded("four 4\n…\n", "one 4\n")


def test_files_changes_commands_and_outputs_are_followed(tmp_path: Path) -> None:
    page = (
        "<!-- include: a/b.txt -->\n```text\none\ntwo\n```\n\n"
        "<!-- change: b.txt -->\n```diff\n one\n-two\n+three\n```\n\n"
        "```sh\ncat b.txt\n```\n\n```text\n```\n\n<!-- undo: b.txt -->\n\n"
        "<!-- exit: 3 -->\n```sh\ncat b.txt; exit 3\n```\n\n```text\n```\n\n<!-- not run -->\n```sh\nexit 9\n```\n"
    )
    followed = Walker(tmp_path).follow(page, record=True)
    assert "```text\none\nthree\n```" in followed
    assert "```text\none\ntwo\n```\n\n<!-- not run -->" in followed
    again = tmp_path / "again"
    again.mkdir()
    assert Walker(again).follow(followed) == followed


def test_the_next_script_begins_where_the_last_one_ended(tmp_path: Path) -> None:
    page = "```sh\nmkdir inner && cd inner\n```\n\n```sh\nbasename $PWD; exit 0\n```\n\n```text\ninner\n```\n"
    Walker(tmp_path).follow(page)


def test_another_exit_code_or_output_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WalkError, match="exit code 1"):
        Walker(tmp_path).follow("```sh\nfalse\n```\n")
    with pytest.raises(WalkError, match="The page shows:\nother"):
        Walker(tmp_path).follow("```sh\necho some\n```\n\n```text\nother\n```\n")
