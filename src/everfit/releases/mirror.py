"""Private bare copy of the source repository, from which releases are made: it has no hooks, filters or working tree.

A commit is fetched by its id and kept under a ref of its own, so that neither a forced push nor a deleted branch takes
away what a release was made of.
"""

from __future__ import annotations

import fcntl
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from msgspec import Struct

from everfit.core.errors import RepositoryError
from everfit.core.settings import ReleaseSettings
from everfit.releases.git import Git, require_ref
from everfit.releases.repository import Repository, find_repository
from everfit.store.active_release import RELEASES_FOLDER

_DEPTH = 1000
"""Newest commits of a history that are fetched; chosen, so that a repository of any age costs a bounded fetch."""
_LONGEST_SUBJECT = 200
_POLL_S = 0.05
_ATTRIBUTES = "* -text -eol -ident -filter !working-tree-encoding\n"
"""No attribute of the repository may change the bytes of its files; this file has the last word."""
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ABBREVIATED = re.compile(r"[0-9a-f]{4,63}")
_IDS = {40: "sha1", 64: "sha256"}
_MOST_PACKS = 50


class Commit(Struct, frozen=True, kw_only=True):
    """A commit of the source repository."""

    id: str
    """The full id."""
    subject: str
    author: str
    committed_at: datetime


class BranchTip(Struct, frozen=True, kw_only=True):
    """Newest commit of a branch, compared with one that was known."""

    change: Literal["first", "unchanged", "advanced", "rewritten", "deleted"]
    """`rewritten`: the known commit is not among the newest commits of the branch any more, as after a forced push."""
    commit: Commit | None = None
    """``None`` if the branch was deleted."""


def kept_mirror(state: Path, settings: ReleaseSettings) -> Mirror:
    """Return the mirror for reading what it holds: it has no repository to fetch from."""
    return Mirror(
        folder=_folder(state), repository=Repository(url=""), branch=settings.branch, time_s=settings.step_seconds
    )


def open_mirror(root: Path, state: Path, settings: ReleaseSettings) -> Mirror:
    """Return the mirror of a project's source repository.

    Raises :class:`RepositoryError` if the settings name no repository.
    """
    return Mirror(
        folder=_folder(state),
        repository=find_repository(settings.repository, root),
        branch=settings.branch,
        time_s=settings.step_seconds,
    )


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """Mirror of one repository. Every method raises :class:`RepositoryError` if git fails or takes too long."""

    folder: Path
    repository: Repository
    branch: str
    """The branch that is watched."""
    time_s: float
    """Longest time of one of git's commands."""

    def holds(self, commit: str) -> bool:
        """Return true if a commit was fetched, by its full id, and is still there."""
        return self._is_made and self._git().succeeds(
            "rev-parse", "--verify", "--quiet", f"{_kept_ref(commit)}^{{commit}}"
        )

    def tip(self) -> str:
        """Return the id of the watched branch's newest commit; empty if there is no such branch.

        Only refs are read. Raises :class:`RepositoryError`.
        """
        require_ref(self.branch)
        return self._refs("HEAD", f"refs/heads/{self.branch}").get(f"refs/heads/{self.branch}", "")

    def update(self, *, since: str = "") -> BranchTip:
        """Fetch the watched branch.

        Raises :class:`RepositoryError`, also if the branch does not exist and never did.

        Args:
            since: The newest commit of the branch that is known; empty for none.
        """
        tip = self.tip()
        if not tip and since:
            return BranchTip(change="deleted")
        if not tip:
            raise self._no_branch()
        self._fetch(tip)
        commit = self.commit(tip)
        if not since or tip == since:
            return BranchTip(change="unchanged" if since else "first", commit=commit)
        is_ancestor = self._git().succeeds("merge-base", "--is-ancestor", since, tip)
        return BranchTip(change="advanced" if is_ancestor else "rewritten", commit=commit)

    def resolve(self, ref: str) -> Commit:
        """Fetch the commit that a branch, a tag, or a full or abbreviated commit id names.

        Raises :class:`RepositoryError` if there is none, or two.
        """
        require_ref(ref)
        if _COMMIT.fullmatch(ref):
            self._fetch(ref)
            return self.commit(ref)
        names = [ref] if ref == "HEAD" or ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
        refs = self._refs(*names)
        found = [name for name in names if name in refs]
        if len(found) == 2:
            remedy = f"Write {found[0]} or {found[1]}."
            raise RepositoryError("a ref must name one commit, not a branch and a tag", value=ref, remedy=remedy)
        if found:
            self._fetch(refs[found[0]])
            return self.commit(refs[found[0]])
        return self._abbreviated(ref)

    def commit(self, ref: str) -> Commit:
        """Return a commit of the mirror. Raises :class:`RepositoryError` if it is not there or is no commit."""
        git = self._git()
        commit = git.run("rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}").strip()
        # Not `git show`, which compares trees even if it prints no difference.
        text = git.run("rev-list", "--max-count=1", "--no-commit-header", "--format=%s%x00%an%x00%ct", commit)
        subject, author, seconds = text.encode(errors="replace").decode().removesuffix("\n").split("\0")
        try:
            committed_at = datetime.fromtimestamp(int(seconds), UTC)
        except (OverflowError, ValueError, OSError) as error:
            raise RepositoryError("a commit's time must be within the years 1 to 9999", value=seconds) from error
        return Commit(id=commit, subject=subject[:_LONGEST_SUBJECT], author=author, committed_at=committed_at)

    @contextmanager
    def alone(self) -> Iterator[Git]:
        """Yield git on the mirror, which no other process changes in the meantime.

        The lock is the kernel's: it ends with the last process that holds it, git's own included, so that lock files
        that are found now are left over from a process that was killed. Raises :class:`RepositoryError` if another
        process keeps the mirror for too long.
        """
        try:
            # Not the mirror itself, which the process that holds the lock may just be making anew.
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            lock = self.folder.with_suffix(".lock").open("w")
        except OSError as error:
            raise RepositoryError(f"the mirror must be writable: {error}", value=str(self.folder)) from error
        with lock:
            _wait_for(lock.fileno(), self.time_s)
            for pattern in ("*.lock", "objects/**/tmp_*"):
                for leftover in self.folder.rglob(pattern):
                    leftover.unlink(missing_ok=True)
            yield Git(folder=self.folder, time_s=self.time_s, held=(lock.fileno(),))

    @property
    def _attributes(self) -> Path:
        return self.folder / "info" / "attributes"

    @property
    def _is_made(self) -> bool:
        return self._attributes.is_file()

    def _git(self) -> Git:
        return Git(folder=self.folder, time_s=self.time_s)

    def _refs(self, *names: str) -> dict[str, str]:
        """Return ids of refs of the repository by name; those that do not exist are left out."""
        git = Git(time_s=self.time_s)
        words = ("ls-remote", *self.repository.options, "--", self.repository.url, *names)
        lines = git.run(*words, variables=self.repository.variables).splitlines()
        found = {name: number for number, _, name in (line.partition("\t") for line in lines)}
        return {name: found[name] for name in names if name in found}

    def _fetch(self, commit: str) -> None:
        """Fetch a commit, or a tag, by its id, unless it is there."""
        with self.alone() as git:
            self._make(git, _IDS[len(commit)])
            kept = _kept_ref(commit)
            if git.succeeds("rev-parse", "--verify", "--quiet", f"{kept}^{{commit}}"):
                return
            try:
                self._receive(git, commit, kept)
            except RepositoryError:
                if git.succeeds("fsck", "--connectivity-only"):
                    raise
                # The mirror is damaged, as after a power failure; all that it holds can be fetched again.
                shutil.rmtree(self.folder)
                self._make(git, _IDS[len(commit)])
                self._receive(git, commit, kept)
            with suppress(RepositoryError):
                # Only upkeep: without it, git slows down after some hundred fetches.
                git.run("-c", "gc.auto=1000", "-c", f"gc.autoPackLimit={_MOST_PACKS}", "gc", "--auto", "--quiet")

    def _receive(self, git: Git, commit: str, kept: str) -> None:
        """Fetch an object and its history, and keep it under a ref."""
        options = ("--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", f"--depth={_DEPTH}", "--quiet")
        words = (*options, *self.repository.options, "--", self.repository.url, f"{commit}:{kept}")
        git.run("fetch", *words, variables=self.repository.variables)

    def _make(self, git: Git, object_format: str) -> None:
        """Make the mirror, unless it exists; one of a repository with other ids is made anew."""
        with suppress(RepositoryError):
            if self._is_made and git.run("rev-parse", "--show-object-format").strip() == object_format:
                return
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir()
        git.run("init", "--quiet", "--bare", "--template=", f"--object-format={object_format}")
        self._attributes.parent.mkdir(exist_ok=True)
        # Written last: without it, the mirror is made anew.
        self._attributes.write_text(_ATTRIBUTES)

    def _abbreviated(self, ref: str) -> Commit:
        """Return the commit that an abbreviated id names."""
        remedy = "Write the name of a branch or tag of the repository, or the full id of a commit."
        unknown = RepositoryError("a ref must name a branch, a tag or a commit", value=ref, remedy=remedy)
        if not _ABBREVIATED.fullmatch(ref):
            raise unknown
        with suppress(RepositoryError):
            self.update()
        if not self._git().succeeds("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"):
            raise unknown
        return self.commit(ref)

    def _no_branch(self) -> RepositoryError:
        """Return the error of a branch that does not exist; it names the one that HEAD does."""
        words = ("ls-remote", "--symref", *self.repository.options, "--", self.repository.url, "HEAD")
        text = Git(time_s=self.time_s).run(*words, variables=self.repository.variables)
        head = re.search(r"^ref: refs/heads/(.+)\tHEAD$", text, re.MULTILINE)
        remedy = "Push a commit to it."
        if head is not None:
            remedy = (
                f'Write [releases] branch = "{head[1]}", which is the repository\'s own branch, or push {self.branch}.'
            )
        return RepositoryError("the watched branch must exist", value=self.branch, remedy=remedy)


def _folder(state: Path) -> Path:
    return state / RELEASES_FOLDER / "mirror.git"


def _kept_ref(commit: str) -> str:
    """Return the ref that keeps a commit from git's own collection."""
    return f"refs/everfit/commits/{commit}"


def _wait_for(lock: int, time_s: float) -> None:
    """Lock a file."""
    until_s = time.monotonic() + time_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > until_s:
                rule = f"another process must leave the mirror of the repository within {time_s:g} s"
                raise RepositoryError(rule, remedy="End it, or try again.") from error
            time.sleep(_POLL_S)
        else:
            return
