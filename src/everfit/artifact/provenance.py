"""Provenance of a package: the versions of its code and its libraries."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from msgspec import Struct

_ESTIMATORS = ("catboost", "lightgbm", "onnxruntime", "scikit-learn", "skops", "treelite", "xgboost", "xgboost-cpu")
_LIBRARIES = ("everfit", "cloudpickle", "msgspec", "numpy", "pandas", "polars", "scipy", *_ESTIMATORS)
_IGNORED = frozenset({"__pycache__", "node_modules", "build", "dist"})


class CodeVersion(Struct, frozen=True, kw_only=True):
    """The project's code at the time of training."""

    commit: str
    """The git commit; empty outside a repository."""
    dirty: bool
    """True if files differed from the commit, so that only ``digest`` identifies the code."""
    digest: str
    """``sha256:…`` over the names and contents of the project's ``.py``, ``.toml`` and ``.lock`` files."""


def code_version(root: Path) -> CodeVersion:
    """Identify a project's code."""
    commit = _git(root, "rev-parse", "HEAD")
    dirty = bool(commit) and _git(root, "status", "--porcelain", "--", ".") != ""
    total = hashlib.sha256()
    for relative in _code_files(root):
        total.update(relative.as_posix().encode() + b"\0" + hashlib.sha256((root / relative).read_bytes()).digest())
    return CodeVersion(commit=commit, dirty=dirty, digest=f"sha256:{total.hexdigest()}")


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of installed libraries that predictions may depend on, by distribution."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _code_files(root: Path) -> Iterator[Path]:
    """Yield the project's code by relative path, in order: ``.py``, ``.toml`` and ``.lock`` files, none hidden."""
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        hidden = any(part.startswith(".") or part in _IGNORED for part in relative.parts)
        if not hidden and path.suffix in {".py", ".toml", ".lock"} and path.is_file():
            yield relative


def copy_code(root: Path, target: Path) -> None:
    """Keep a copy of the project's code, so that a version can be trained again long after the project moved on."""
    for relative in _code_files(root):
        (target / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / relative, target / relative)


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "-C", str(root), *arguments],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
