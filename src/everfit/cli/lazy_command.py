"""Commands whose modules are imported when they are invoked or completed, not for the list of commands."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer import Context
from typer.core import TyperCommand


class Lazy(NamedTuple):
    """Entry of the table of commands: everything that ``everfit --help`` shows of a command."""

    function: str
    """``module:function``, the module below ``everfit.cli``."""
    help: str
    """First line of the function's docstring; a test compares the two."""
    hidden: bool = False


class LazyCommand(TyperCommand):
    """Placeholder of a command; a context of it is one of the real command."""

    def __init__(self, name: str, entry: Lazy) -> None:
        super().__init__(name, help=entry.help, hidden=entry.hidden, rich_markup_mode=None)
        self._function = entry.function

    def load(self) -> Any:
        """Import the module and return the real command."""
        module, _, function = self._function.partition(":")
        # Rich's help costs 0.3 s on every start; plain help costs nothing.
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(self.name, hidden=self.hidden)(getattr(import_module(f"everfit.cli.{module}"), function))
        return typer.main.get_command(app)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Context:
        """Import the module and return the context of the real command."""
        context: Context = self.load().make_context(info_name, args, parent=parent, **extra)
        return context
