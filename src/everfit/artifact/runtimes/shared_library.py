"""Shared library of a Python package, loaded without importing the package."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path


def load_shared_library(package: str) -> ctypes.CDLL:
    """Load the library in the folder ``lib`` of a package.

    Raises:
        ImportError: If the package is not installed, or has no library.
    """
    found = importlib.util.find_spec(package)  # does not import it
    if found is None or not found.submodule_search_locations:
        raise ImportError(f"{package} is not installed")
    folder = Path(found.submodule_search_locations[0]) / "lib"
    files = sorted(folder.glob(f"*{package}.*"))
    if not files:
        names = ", ".join(sorted(file.name for file in folder.glob("*"))) or "nothing"
        raise ImportError(f"{folder} holds no library of {package}, but {names}")
    return ctypes.CDLL(str(files[0]))
