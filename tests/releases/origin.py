"""A source repository for tests, made by the machine's own git."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from everfit.core.settings import ReleaseSettings
from everfit.releases.mirror import Mirror, open_mirror

EXECUTABLE, LINK, SUBMODULE = "100755", "120000", "160000"
PROJECT = {"everfit.toml": b""}
_AUTHOR = "Ada Lovelace <ada@example.org> 1700000000 +0100"


def git(folder: Path, *words: str, content: bytes | None = None, **variables: str) -> str:
    """Run git in a folder without anybody's configuration; return what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "protocol.file.allow=always")
    command = ["git", "-C", str(folder), *identity, *words]
    done = subprocess.run(command, input=content, capture_output=True, env=kept | own | variables, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(errors="surrogateescape").strip()


@dataclass(frozen=True)
class Origin:
    """A bare repository; commits are written as they are, also those that git itself would not make."""

    folder: Path

    def commit(
        self,
        files: Mapping[str, bytes],
        *,
        ref: str = "refs/heads/main",
        modes: Mapping[str, str] | None = None,
        onto: str | None = None,
        author: str = _AUTHOR,
        message: str = "change\n",
    ) -> str:
        """Add a commit with exactly these files; return its id.

        Args:
            modes: Git's modes of files that are not regular ones; a submodule's content is a commit id.
            onto: The parent; by default the ref's commit, and with an empty text none.
        """
        said = message.encode()
        stream = b"commit %s\ncommitter %s\ndata %d\n%s\n" % (ref.encode(), author.encode(), len(said), said)
        parent = onto if onto is not None else self.head(ref)
        stream += b"from %s\n" % parent.encode() if parent else b""
        stream += b"deleteall\n"
        for path, content in files.items():
            mode = (modes or {}).get(path, "100644")
            if mode == SUBMODULE:
                stream += b"M %s %s %s\n" % (mode.encode(), content, _quoted(path))
            else:
                stream += b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), _quoted(path), len(content), content)
        if not parent:
            stream = b"reset %s\n" % ref.encode() + stream
        git(self.folder, "fast-import", "--quiet", "--force", content=stream)
        return self.head(ref)

    def head(self, ref: str = "refs/heads/main") -> str:
        """Return the commit of a ref; empty if there is none."""
        return git(self.folder, "for-each-ref", "--format=%(objectname)", ref)

    def git(self, *words: str, content: bytes | None = None) -> str:
        """Run git in it."""
        return git(self.folder, *words, content=content)

    def tree_commit(self, tree: str, ref: str = "refs/heads/main") -> str:
        """Add a commit of a tree object without parents; return its id."""
        commit = self.git("commit-tree", tree, content=b"hostile\n")
        self.git("update-ref", ref, commit)
        return commit

    def tree(self, *entries: tuple[str, bytes, str]) -> str:
        """Write a tree object of (mode, name, id), unchecked; return its id."""
        body = b"".join(b"%s %s\0%s" % (mode.encode(), name, bytes.fromhex(number)) for mode, name, number in entries)
        return self.git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", content=body)

    def blob(self, content: bytes) -> str:
        """Write a blob; return its id."""
        return self.git("hash-object", "-w", "--stdin", content=content)


def make_origin(folder: Path, *, object_format: str = "sha1") -> Origin:
    """Return a new bare repository."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", f"--object-format={object_format}")
    return Origin(folder)


def mirror_of(repository: Path | str, state: Path, *, branch: str = "main", time_s: float = 60.0) -> Mirror:
    """Return the mirror of a repository, as a project beside ``state`` would have it."""
    settings = ReleaseSettings(repository=str(repository), branch=branch, step_seconds=time_s)
    return open_mirror(state.parent, state, settings)


def _quoted(path: str) -> bytes:
    """Return a path in C quotes, as fast-import reads it."""
    return b'"' + b"".join(b"\\%03o" % byte for byte in os.fsencode(path)) + b'"'
