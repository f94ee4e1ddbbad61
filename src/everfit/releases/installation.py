"""Place of this installation of Everfit: its packages, its interpreter, and the tools beside it.

A process that runs in the environment of a release has that environment's packages on its path as well; they are no
part of the installation.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import everfit
from everfit.core.errors import EnvironmentBuildError

_SITE_FOLDERS = ("site-packages", "dist-packages")


def package_folders(environments: Path) -> list[Path]:
    """Return the folders that Everfit and its dependencies are imported from, in the order of the path.

    The first one is Everfit's own, which is no site folder if it is an editable install.

    Args:
        environments: Folder of the releases' environments, whose packages are left out.
    """
    own = Path(everfit.__file__).parents[1]
    found = [own, *(Path(entry) for entry in sys.path if Path(entry).name in _SITE_FOLDERS)]
    return [folder for folder in dict.fromkeys(found) if folder.is_dir() and not folder.is_relative_to(environments)]


def find_uv(environments: Path) -> str:
    """Return the path of ``uv``: the one that is installed with Everfit, else the one on ``PATH``.

    Raises :class:`EnvironmentBuildError` if there is none.
    """
    for folder in package_folders(environments):
        # lib/python3.11/site-packages: the commands of its packages are in bin.
        command = folder.parents[min(2, len(folder.parents) - 1)] / "bin" / "uv"
        if folder.name in _SITE_FOLDERS and command.is_file():
            return str(command)
    if command_on_path := shutil.which("uv"):
        return command_on_path
    rule = "a project with a uv.lock needs uv, beside Everfit or on PATH"
    raise EnvironmentBuildError(rule, remedy="Install it where Everfit is installed: pip install uv.")
