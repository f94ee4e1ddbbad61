"""Provenance of a package: the versions of its code and its libraries."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import msgspec
from msgspec import Struct

from everfit.core.design_record import DESIGN_FILE, DESIGN_FOLDER
from everfit.core.front_matter import split_front_matter
from everfit.core.settings import CODE_SECTIONS, SETTINGS_FILE

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
    """``sha256:…`` over the names and contents of the project's ``.py``, ``.toml`` and ``.lock`` files; of everfit.toml
    only the sections that belong to the code count."""


def code_version(root: Path, *, commit: str = "") -> CodeVersion:
    """Identify a project's code; in a release's folder, which is no repository, its ``commit`` is given."""
    dirty = False
    if not commit and (commit := git_text(root, "rev-parse", "HEAD")):
        dirty = git_text(root, "status", "--porcelain", "--", ".") != ""
    return CodeVersion(commit=commit, dirty=dirty, digest=code_digest(root))


def code_digest(root: Path) -> str:
    """Return the digest of a project's code, as in :class:`CodeVersion`, without running git."""
    total = hashlib.sha256()
    for relative in code_files(root):
        total.update(relative.as_posix().encode() + b"\0" + hashlib.sha256(_content(root, relative)).digest())
    return f"sha256:{total.hexdigest()}"


def _content(root: Path, relative: Path) -> bytes:
    """Return the content of a file, and of everfit.toml only what belongs to the code: a port trains no other model."""
    content = (root / relative).read_bytes()
    if relative.name != SETTINGS_FILE:
        return content
    try:
        settings = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return content
    return msgspec.json.encode({name: settings.get(name, {}) for name in CODE_SECTIONS}, order="sorted")


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of installed libraries that predictions may depend on, by distribution."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def code_files(root: Path) -> Iterator[Path]:
    """Yield the project's code by relative path, in order: ``.py``, ``.toml`` and ``.lock`` files, none hidden."""
    found: list[Path] = []
    for folder, folders, files in os.walk(root):
        # The state is not entered: environments have thousands of files, and others come and go.
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _IGNORED]
        names = (name for name in files if not name.startswith(".") and name.endswith((".py", ".toml", ".lock")))
        found += [Path(folder, name).relative_to(root) for name in names]
    yield from (relative for relative in sorted(found) if (root / relative).is_file())


def release_digest(root: Path) -> str:
    """Return ``sha256:…`` over a project's code and the front matters of its design records.

    Two releases with the same one need not be told apart. The prose of a record does not count.
    """
    total = hashlib.sha256(code_version(root, commit="-").digest.encode())
    for relative in _design_files(root):
        text = (root / relative).read_text(encoding="utf-8", errors="replace")
        matter = split_front_matter(text).yaml
        if matter is not None:
            total.update(f"\0{relative.as_posix()}\0{matter}".encode())
    return f"sha256:{total.hexdigest()}"


def _design_files(root: Path) -> Iterator[Path]:
    """Yield the files of design records by relative path, in order."""
    for path in (root / DESIGN_FILE, *sorted((root / DESIGN_FOLDER).glob("*.md"))):
        if path.is_file():
            yield path.relative_to(root)


def copy_code(root: Path, target: Path) -> None:
    """Keep a copy of the project's code and design, so that a version can be trained again long afterwards."""
    for relative in (*code_files(root), *_design_files(root)):
        (target / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / relative, target / relative)


def git_text(root: Path, *arguments: str) -> str:
    """Return what the user's git prints in a folder, without blanks around it; empty if it fails."""
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
