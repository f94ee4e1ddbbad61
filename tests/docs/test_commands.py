"""Every command and option that a page shows exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everfit.cli.main import command_group

_BLOCK = re.compile(r"^```sh\n(.*?)^```$|^((?:    everfit .*\n)+)", re.DOTALL | re.MULTILINE)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def shown(page: str) -> Iterator[list[str]]:
    """The words of every command of everfit in a block of commands."""
    for block in _BLOCK.finditer(page):
        text = _QUOTED.sub("quoted", block[1] or block[2])
        for part in re.split(r"\n|&&|\|", re.sub(r"\\\n|#.*", "", text)):
            words = part.split()
            if words[:1] == ["everfit"]:
                yield words[1:]


def problem(words: list[str]) -> str:
    """The word that does not exist; empty if all do."""
    command: Any = command_group()
    rest = list(words)
    while rest and not rest[0].startswith("-") and hasattr(command, "commands"):
        if rest[0] not in command.commands:
            return rest[0]
        command = command.commands[rest.pop(0)]
    if hasattr(command, "load"):
        command = command.load()
    elif not rest:
        return f"{words[-1]} needs a command"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return next((word for word in rest if word.startswith("--") and word.split("=")[0] not in {*known, "--help"}), "")


def test_every_command_of_every_page_exists(repository: Path) -> None:
    pages = [repository / "README.md", *(repository / "docs").rglob("*.md"), *(repository / "examples").rglob("*.md")]
    wrong = [
        f"{page.relative_to(repository)}: everfit {' '.join(words)}: {found}"
        for page in pages
        for words in shown(page.read_text(encoding="utf-8"))
        if (found := problem(words))
    ]
    assert not wrong


@pytest.mark.parametrize("line", ["everfit trian", "everfit train --fast", "everfit orders"])
def test_others_do_not(line: str) -> None:
    assert problem(line.split()[1:])
