"""Environments of releases, made by hand: a library of their own, and behind it everything that this one has."""

from __future__ import annotations

import sysconfig
import venv
from pathlib import Path


def make_environment(folder: Path, *, number: float) -> Path:
    """Make an environment with a tinylib whose ``NUMBER`` is this one."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    packages = next(folder.glob("lib/python*/site-packages"))
    packages.joinpath("tinylib.py").write_text(f"NUMBER = {number}\n")
    own = sysconfig.get_path("purelib")
    packages.joinpath("everfit.pth").write_text(f"import site; site.addsitedir({own!r})\n")
    return folder
