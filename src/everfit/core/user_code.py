"""Calls of the project's own code, and the place in it at which an exception was raised."""

from __future__ import annotations

import inspect
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from everfit.core.errors import EverfitError
from everfit.core.settings import SETTINGS_FILE

_OWN = Path(__file__).resolve().parent.parent
_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_PACKAGES = frozenset({"site-packages", "dist-packages"})
_DEEPEST_FOLDER = 6
_SHOWN_COLUMNS = 8
_POLARS_PLAN = "\n\nResolved plan until failure"
"""Begins what Polars appends to its messages: its own inner plan."""


def describe_raise(error: BaseException) -> str:
    """Return ``ValueError: text at project.py line 41``: the innermost line of code that is not a library's."""
    message = " ".join(str(error).partition(_POLARS_PLAN)[0].split())
    text = f"{type(error).__name__}: {message}".rstrip(": ").rstrip(".")
    own = _users_lines(error)
    return f"{text} at {_shown(own[-1][0])} line {own[-1][1]}" if own else text


def raised_by_users(error: BaseException) -> bool:
    """Return ``True`` if an exception came from, or through, code that is neither Everfit's nor a library's."""
    return bool(_users_lines(error))


def _users_lines(error: BaseException) -> list[tuple[Path, int | None]]:
    lines = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    return [(file, line) for file, line in lines if is_users(file)]


def is_users(file: Path) -> bool:
    """Return ``True`` for a file of the project, or of another project: neither Everfit's nor a library's."""
    # "<string>" and "<frozen importlib>" are no paths. An environment may lend libraries of another one.
    if not file.is_absolute() or _PACKAGES.intersection(file.parts):
        return False
    return not file.is_relative_to(_OWN) and not any(file.is_relative_to(folder) for folder in _LIBRARIES)


def _shown(file: Path) -> str:
    """Return a path relative to the project's folder, if it is in one."""
    for folder in list(file.parents)[:_DEEPEST_FOLDER]:
        if (folder / SETTINGS_FILE).is_file():
            return file.relative_to(folder).as_posix()
    return file.name


def run_users(
    function: Callable[[Any], Any], argument: Any, *, error: type[EverfitError], what: str, place: str
) -> Any:
    """Call a function of the project on a Polars frame, lazy or not.

    What it raises becomes an error of the class ``error``, with file, line, and a description of the frame.

    Args:
        what: The function in words, for example ``an on-demand function``.
        place: Where it is defined, for the message.
    """
    with explaining(f"{what} must not raise", error, place=place, remedy=lambda: _describe_frame(function, argument)):
        return function(argument)


@contextmanager
def explaining(
    rule: str,
    error: type[EverfitError],
    *,
    place: str,
    remedy: Callable[[], str],
    but: type[Exception] | tuple[()] = (),
) -> Iterator[None]:
    """Turn what the project's code raises within into an error with its file and line.

    Raises :class:`EverfitError`: of the class ``error``, if the code did not raise one itself.

    Args:
        rule: What must hold, as a clause.
        place: The code in words, for the message.
        remedy: Makes the remedy, since it may be expensive.
        but: An exception that is passed on.
    """
    try:
        yield
    except EverfitError:
        raise
    except Exception as problem:
        if isinstance(problem, but):
            raise
        raise error(f"{rule}, but raised {describe_raise(problem)}", remedy=remedy(), place=place) from problem


def _describe_frame(function: Callable[[Any], Any], frame: Any) -> str:
    schema = frame.collect_schema()
    columns = [f"{name} {dtype}" for name, dtype in schema.items()]
    more = ", …" if len(columns) > _SHOWN_COLUMNS else ""
    name = next(iter(inspect.signature(function).parameters), "its argument")
    size = f" of shape {frame.shape}" if hasattr(frame, "shape") else ""
    shown = ", ".join(columns[:_SHOWN_COLUMNS])
    return f"{name} is a Polars {type(frame).__name__}{size} with the columns {shown}{more}."
