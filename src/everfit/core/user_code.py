"""Location in the project's own code at which an exception was raised."""

from __future__ import annotations

import inspect
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from everfit.core.errors import EverfitError
from everfit.core.settings import SETTINGS_FILE

_OWN = Path(__file__).resolve().parent.parent
_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_DEEPEST_FOLDER = 6
_SHOWN_COLUMNS = 8
_POLARS_PLAN = "\n\nResolved plan until failure"
"""Begins what Polars appends to its messages: its own inner plan."""


def describe_raise(error: BaseException) -> str:
    """An exception as ``ValueError: text at project.py line 41``: the innermost line of code that is not a library's.

    Args:
        error: The exception as it was caught.
    """
    said = " ".join(str(error).partition(_POLARS_PLAN)[0].split())
    text = f"{type(error).__name__}: {said}".rstrip(": ").rstrip(".")
    lines = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [(file, line) for file, line in lines if _is_users(file)]
    return f"{text} at {_shown(own[-1][0])} line {own[-1][1]}" if own else text


def _is_users(file: Path) -> bool:
    if not file.is_absolute():  # "<string>", "<frozen importlib>"
        return False
    return not file.is_relative_to(_OWN) and not any(file.is_relative_to(folder) for folder in _LIBRARIES)


def _shown(file: Path) -> str:
    """Relative to the project's folder, where it lies in one."""
    for folder in list(file.parents)[:_DEEPEST_FOLDER]:
        if (folder / SETTINGS_FILE).is_file():
            return file.relative_to(folder).as_posix()
    return file.name


def run_users(
    function: Callable[[Any], Any], argument: Any, *, error: type[EverfitError], what: str, place: str
) -> Any:
    """Call a function of the project, and explain what it raises: with file, line, and what it was given.

    Args:
        function: Takes a Polars frame, lazy or not.
        argument: The frame.
        error: The class of error for whatever it raises.
        what: The function in words, for example ``an on-demand function``.
        place: Where it is defined, for the message.

    Raises:
        EverfitError: Of the class ``error``.
    """
    try:
        return function(argument)
    except EverfitError:
        raise
    except Exception as problem:
        raise error(
            f"{what} must not raise, but raised {describe_raise(problem)}",
            remedy=_describe_frame(function, argument),
            place=place,
        ) from problem


def _describe_frame(function: Callable[[Any], Any], frame: Any) -> str:
    schema = frame.collect_schema()
    columns = [f"{name} {dtype}" for name, dtype in schema.items()]
    more = ", …" if len(columns) > _SHOWN_COLUMNS else ""
    name = next(iter(inspect.signature(function).parameters), "its argument")
    size = f" of shape {frame.shape}" if hasattr(frame, "shape") else ""
    shown = ", ".join(columns[:_SHOWN_COLUMNS])
    return f"{name} is a Polars {type(frame).__name__}{size} with the columns {shown}{more}."
