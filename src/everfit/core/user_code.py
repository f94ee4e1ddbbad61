"""Where in a project's own code something was raised."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

from everfit.core.settings import SETTINGS_FILE

_OWN = Path(__file__).resolve().parent.parent
_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_DEEPEST_FOLDER = 6


def describe_raise(error: BaseException) -> str:
    """An exception as ``ValueError: text at project.py line 41``: the innermost line of code that is not a library's.

    Args:
        error: The exception as it was caught.
    """
    text = f"{type(error).__name__}: {error}".rstrip(": ").rstrip(".")
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
