"""The form that most commands share: they get the opened project, and return what is to be printed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Any

import typer

from everfit.cli.options import AsJson, ProjectFolder
from everfit.cli.output import Bars, Output, Terminal, print_json
from everfit.cli.release_process import open_in_release

_GIVEN = {"system", "progress"}


def printed(function: Callable[..., Output]) -> Callable[..., None]:
    """Return the command that prints the output of a function; it has the function's options, and ``--json``.

    An argument ``system`` of the function gets the project that ``--project`` names, and ``progress`` gets bars, which
    are not drawn with ``--json``; without a terminal, it writes a line a minute.
    """
    own = signature(function, eval_str=True).parameters

    @wraps(function)
    def command(*, as_json: bool, **options: Any) -> None:
        if "system" in own:
            options["system"] = open_in_release(options.pop("project"))
        with Bars(quiet=as_json) as progress:
            output = function(**options, **({"progress": progress} if "progress" in own else {}))
        if as_json:
            print_json(output.document)
        else:
            Terminal().show(output.text)
        if output.after is not None:
            sys.stdout.flush()
            output.after()
        raise typer.Exit(output.code)

    options = [option.replace(kind=Parameter.KEYWORD_ONLY) for name, option in own.items() if name not in _GIVEN]
    if "system" in own:
        options.append(Parameter("project", Parameter.KEYWORD_ONLY, default=None, annotation=ProjectFolder))
    options.append(Parameter("as_json", Parameter.KEYWORD_ONLY, default=False, annotation=AsJson))
    # Typer reads the options from here.
    vars(command)["__signature__"] = signature(function).replace(parameters=options)
    return command
