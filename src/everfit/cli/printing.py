"""The form that most commands share: they return what is to be printed."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Any

import typer

from everfit.cli.options import AsJson
from everfit.cli.output import Output, Terminal, print_json
from everfit.cli.progress_bars import Bars


def printed(function: Callable[..., Output]) -> Callable[..., None]:
    """Return the command that prints the output of a function; it has the function's options, and ``--json``.

    The argument ``progress`` of a function gets bars, which are not drawn with ``--json``.
    """

    @wraps(function)
    def command(*, as_json: bool, **options: Any) -> None:
        with Bars(quiet=as_json) as progress:
            output = function(**options, **({"progress": progress} if "progress" in own else {}))
        if as_json:
            print_json(output.document)
        else:
            Terminal().show(output.text)
        raise typer.Exit(output.code)

    own = signature(function, eval_str=True).parameters
    as_json = Parameter("as_json", Parameter.KEYWORD_ONLY, default=False, annotation=AsJson)
    options = [option for name, option in own.items() if name != "progress"]
    # Typer reads the options from here.
    vars(command)["__signature__"] = signature(function).replace(parameters=[*options, as_json])
    return command
