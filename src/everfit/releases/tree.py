"""Files of a commit as a read-only folder, byte for byte; whatever could lead out of it is refused."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from everfit.core.errors import RepositoryError
from everfit.core.settings import SETTINGS_FILE
from everfit.releases.git import Git
from everfit.releases.mirror import Mirror
from everfit.store.old_folder import delete_folder

_MOST_FILES = 50_000
"""A tree is copied for each release, and holds code, not data; the largest Python projects have some 20,000 files."""
_MOST_BYTES = 1 << 30
_MOST_FILE_BYTES = 100 << 20
"""Limit of GitHub for one file."""
_LISTING_BYTES = _MOST_FILES * 512
"""Largest listing; a tree of few objects can have more files than any memory holds (a "git bomb")."""
_EXECUTABLE, _LINK, _SUBMODULE = "100755", "120000", "160000"
_SHA1_DIGITS = 40
_WRITABLE = 0o222
_POINTERS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_POINTER_BYTES = 1024
"""Pointers are shorter (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md)."""
_DATA_REMEDY = "Keep data outside of the repository, and name its folder in [paths]."


@dataclass(frozen=True, kw_only=True)
class _File:
    """A file of a commit."""

    path: str
    mode: str
    number: str
    """Its id: a digest of its content."""
    size: int


def extract_tree(mirror: Mirror, commit: str, *, trees: Path, folder: str = ".") -> Path:
    """Write the files of a commit to ``trees/<commit>``, and return the project's folder in it.

    A tree that is there is compared byte by byte, and written again if it differs, as after a power failure. Raises
    :class:`RepositoryError` if the commit holds what a release must not, or no project.

    Args:
        mirror: It holds the commit.
        commit: The full id.
        trees: Folder of all trees.
        folder: The project's folder in the repository.
    """
    with mirror.alone() as git:
        files = _listed(git, commit)
        _require_project(files, folder)
        tree = trees / commit
        try:
            if not tree.is_dir() or _difference(tree, files):
                _replace(git, commit, files, tree)
        except OSError as error:
            raise RepositoryError(f"a tree must be writable: {error}", value=str(tree)) from error
    return tree / folder


def remove_tree(tree: Path) -> None:
    """Remove a tree, or what is left of it; nothing if there is none. Raises :class:`RepositoryError` if it cannot."""
    try:
        delete_folder(tree)
    except OSError as error:
        raise RepositoryError(f"a tree must be removable: {error}", value=str(tree)) from error


def _listed(git: Git, commit: str) -> list[_File]:
    """Return the files of a commit; refuse those that no release can have."""
    text = git.run("ls-tree", "-r", "-l", "-z", "--full-tree", commit, most_bytes=_LISTING_BYTES)
    files = [_parsed(entry) for entry in text.split("\0")[:-1]]
    if len(files) > _MOST_FILES:
        rule = f"a commit must not have more than {_MOST_FILES:,} files"
        raise RepositoryError(rule, value=len(files), remedy=_DATA_REMEDY)
    for file in files:
        if file.mode == _SUBMODULE:
            remedy = "Copy its files into the repository (git subtree), or depend on it as a package."
            raise RepositoryError("a release must not have submodules", value=file.path, remedy=remedy)
        if file.size > _MOST_FILE_BYTES:
            rule = f"{file.path} must not be larger than {_MOST_FILE_BYTES >> 20:,} MiB"
            raise RepositoryError(rule, value=f"{file.size >> 20:,} MiB", remedy=_DATA_REMEDY)
    total = sum(file.size for file in files)
    if total > _MOST_BYTES:
        rule = f"the files of a commit must not be larger than {_MOST_BYTES >> 20:,} MiB together"
        raise RepositoryError(rule, value=f"{total >> 20:,} MiB", remedy=_DATA_REMEDY)
    return files


def _parsed(entry: str) -> _File:
    """Return the file of one entry of git's listing."""
    words, _, path = entry.partition("\t")
    mode, _, number, size = words.split()
    try:
        path.encode()
    except UnicodeEncodeError as error:
        rule = "the name of a file must be text in UTF-8"
        raise RepositoryError(rule, value=ascii(path)[1:-1], remedy="Rename the file.") from error
    return _File(path=path, mode=mode, number=number, size=0 if size == "-" else int(size))


def _require_project(files: list[_File], folder: str) -> None:
    """Refuse a folder that is no project's."""
    place = PurePosixPath(folder)
    if place.is_absolute() or ".." in place.parts:
        remedy = "Write [releases] folder as a path that starts at the top of the repository."
        raise RepositoryError("the project's folder must be in the repository", value=folder, remedy=remedy)
    if not any(file.path == str(place / SETTINGS_FILE) and file.mode != _LINK for file in files):
        found = [str(PurePosixPath(file.path).parent) for file in files if file.path.endswith(f"/{SETTINGS_FILE}")]
        remedy = f"Write [releases] folder = '{found[0]}'." if found else f"Commit {SETTINGS_FILE}, and push."
        raise RepositoryError(
            f"the project's folder in the commit must hold {SETTINGS_FILE}", value=folder, remedy=remedy
        )


def _replace(git: Git, commit: str, files: list[_File], tree: Path) -> None:
    """Write a tree beside its place, and move it there once it is whole."""
    fresh = tree.with_name(f"{commit}.new")
    tree.parent.mkdir(parents=True, exist_ok=True)
    for leftover in (fresh, tree):
        remove_tree(leftover)
    try:
        _write(git, commit, fresh)
        _require_harmless(fresh, files)
        _make_read_only(fresh)
        fresh.rename(tree)
    except BaseException:
        remove_tree(fresh)
        raise


def _write(git: Git, commit: str, folder: Path) -> None:
    """Write the files of a commit into a new folder."""
    folder.mkdir()
    index = {"GIT_INDEX_FILE": str(git.folder / "tree.index"), "GIT_WORK_TREE": str(folder)}
    git.run("read-tree", commit, variables=index)
    git.run("checkout-index", "--all", "--quiet", variables=index)


def _require_harmless(tree: Path, files: list[_File]) -> None:
    """Refuse files that are not what they stand for, links out of the tree, and any difference from the commit."""
    top = tree.resolve()
    for file in files:
        path = tree / file.path
        if file.mode == _LINK:
            target = os.readlink(path)
            if target.startswith("/") or not Path(os.path.realpath(path)).is_relative_to(top):
                remedy = "Commit the file itself, or a link to a file of the repository by a relative path."
                rule = f"the link {file.path} must not lead out of the repository"
                raise RepositoryError(rule, value=target, remedy=remedy)
        elif file.size < _POINTER_BYTES and path.read_bytes().startswith(_POINTERS):
            remedy = "Run 'git lfs untrack' for it and commit its content, or keep data in a folder of [paths]."
            raise RepositoryError("a release must not have files of Git LFS", value=file.path, remedy=remedy)
    if different := _difference(tree, files):
        rule = "the files on the disk must be those of the commit; two names may be one on this file system"
        raise RepositoryError(rule, value=different)


def _difference(tree: Path, files: list[_File]) -> str:
    """Return the path of a file that is not as in the commit; empty if there is none."""
    expected = {file.path: file for file in files}
    found = set()
    for path in _files_in(tree):
        name = path.relative_to(tree).as_posix()
        if name not in expected or not _is_equal(path, expected[name]):
            return name
        found.add(name)
    return min(expected.keys() - found, default="")


def _is_equal(path: Path, file: _File) -> bool:
    """Return true if a file has the mode and the content of one of a commit."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode) != (file.mode == _LINK) or status.st_size != file.size:
        return False
    if file.mode == _LINK:
        content = os.fsencode(os.readlink(path))
    elif bool(status.st_mode & stat.S_IXUSR) == (file.mode == _EXECUTABLE):
        content = path.read_bytes()
    else:
        return False
    digest = hashlib.sha1 if len(file.number) == _SHA1_DIGITS else hashlib.sha256
    return digest(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == file.number


def _files_in(tree: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(tree):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        yield from (Path(folder, name) for name in (*names, *links))


def _make_read_only(tree: Path) -> None:
    """Take away the right to write, and put the files on the disk before the tree has its name."""
    for path in _files_in(tree):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~_WRITABLE)
    for folder, _, _ in os.walk(tree, topdown=False):
        Path(folder).chmod(Path(folder).stat().st_mode & ~_WRITABLE)
    os.sync()
