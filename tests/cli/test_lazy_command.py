"""The table of commands is what the commands themselves say, and help imports none of them."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator

import pytest

from everfit.cli.lazy_command import LazyCommand
from everfit.cli.main import command_group


def lazy_commands() -> Iterator[LazyCommand]:
    for command in command_group().commands.values():
        for leaf in getattr(command, "commands", {"": command}).values():
            assert isinstance(leaf, LazyCommand)
            yield leaf


@pytest.mark.parametrize("command", list(lazy_commands()), ids=lambda command: command.name)
def test_the_table_has_the_first_line_of_every_command(command: LazyCommand) -> None:
    real = command.load()
    assert inspect.cleandoc(real.help).splitlines()[0] == command.help
    assert (real.name, real.hidden) == (command.name, command.hidden)


def test_every_line_of_help_fits_a_terminal() -> None:
    for command in lazy_commands():
        assert not command.get_short_help_str(63).endswith("..."), command.name


@pytest.mark.parametrize("words", [["--help"], ["orders", "--help"]])
def test_help_imports_no_command(words: list[str]) -> None:
    code = f"""
import sys
from everfit.cli.main import command_group
command_group()({words}, standalone_mode=False)
assert not {{"everfit.cli.train", "everfit.cli.orders", "everfit.wiring", "rich"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage:" in done.stdout


def test_completion_finds_the_options_of_a_command() -> None:
    group = command_group()
    with group.make_context("everfit", ["train"], resilient_parsing=True) as context:
        _, command, rest = group.resolve_command(context, ["train"])
        assert command is not None
        found = command.make_context("train", rest, parent=context, resilient_parsing=True).command
    assert "--trials" in {option for parameter in found.params for option in parameter.opts}
