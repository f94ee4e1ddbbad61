"""The files of a commit: what is written is the commit, and nothing leads out of it."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.releases.origin import EXECUTABLE, LINK, PROJECT, SUBMODULE, Origin, make_origin, mirror_of

from everfit.core.errors import RepositoryError
from everfit.releases.mirror import Mirror
from everfit.releases.tree import extract_tree, remove_tree

SHARED_COMMIT = "1" * 40

names = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=12).filter(
    lambda name: name not in {".", ".."} and not re.match(r"\.?git", name, re.IGNORECASE) and len(name.encode()) < 99
)
attributes = st.sampled_from(
    [
        b"* text eol=crlf ident\n",
        b"* export-ignore\n*.py export-subst\n",
        b"* filter=evil working-tree-encoding=UTF-16\n",
        b"* text=auto\n",
    ]
)
contents = st.one_of(
    # Hypothesis also tries constants that it finds in the code, such as the beginning of a pointer of LFS.
    st.binary(max_size=20),
    st.sampled_from([b"a\r\nb\n", b"$Id$\n", b"$Format:%H$", b"", b"\xff\xfe\0", b"x" * 70_000]),
)


def release(mirror: Mirror, commit: str, folder: str = ".") -> Path:
    """Fetch a commit and write its files."""
    mirror.resolve(commit)
    return extract_tree(mirror, commit, trees=mirror.folder.parent / "trees", folder=folder)


def written(tree: Path) -> dict[str, tuple[bytes, bool]]:
    """Content and executable bit of every file of a tree."""
    return {
        path.relative_to(tree).as_posix(): (path.read_bytes(), bool(path.stat().st_mode & stat.S_IXUSR))
        for path in tree.rglob("*")
        if not path.is_dir()
    }


@pytest.mark.slow
@settings(max_examples=25)
@given(
    files=st.dictionaries(st.tuples(st.sampled_from(["", "a/", "a/ü/"]), names).map("".join), contents, max_size=6),
    executable=st.sets(st.integers(0, 5)),
    rules=attributes,
)
def test_a_tree_has_the_bytes_of_the_commit(files: dict[str, bytes], executable: set[int], rules: bytes) -> None:
    """Whatever the attributes say: filters, line ends, encodings and `export-ignore` are for people's checkouts."""
    files = {path: content for path, content in files.items() if path not in {"a", "everfit.toml"}}
    files = {path: content for path, content in files.items() if path != "a/ü"}
    files |= PROJECT | {".gitattributes": rules}
    modes = {path: EXECUTABLE for place, path in enumerate(sorted(files)) if place in executable}
    with tempfile.TemporaryDirectory() as folder:
        origin = make_origin(Path(folder, "origin.git"))
        commit = origin.commit(files, modes=modes)
        mirror = mirror_of(origin.folder, Path(folder, "home", ".everfit"))
        try:
            tree = release(mirror, commit)
            assert written(tree) == {path: (content, path in modes) for path, content in files.items()}
        finally:
            remove_tree(mirror.folder.parent / "trees" / commit)


def test_a_filter_runs_nothing(origin: Origin, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver is configured by the user, or by the repository's own configuration: neither is read."""
    ran = tmp_path / "ran"
    home = tmp_path / "user"
    home.mkdir()
    driver = f'[filter "evil"]\n\tsmudge = touch {ran}; cat\n\trequired = true\n[core]\n\tfsmonitor = touch {ran}\n'
    (home / ".gitconfig").write_text(driver)
    with (origin.folder / "config").open("a") as config:
        config.write(driver)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", f"'filter.evil.smudge=touch {ran}'")
    commit = origin.commit(PROJECT | {".gitattributes": b"* filter=evil\n", "a.txt": b"as it is"})
    assert (release(mirror, commit) / "a.txt").read_bytes() == b"as it is"
    assert not ran.exists()


def test_a_tree_is_read_only_and_a_folder_of_its_own(origin: Origin, mirror: Mirror) -> None:
    tree = release(mirror, origin.commit(PROJECT | {"code/run.sh": b"#!/bin/sh\n"}, modes={"code/run.sh": EXECUTABLE}))
    paths = [tree, *tree.rglob("*")]
    assert len(paths) == 4
    assert not [path for path in paths if path.stat().st_mode & 0o222]
    assert os.access(tree / "code/run.sh", os.X_OK)
    assert {path.stat().st_nlink for path in paths if path.is_file()} == {1}
    assert not tree.joinpath(".git").exists()
    remove_tree(tree)
    remove_tree(tree)
    assert not tree.exists()


def test_a_tree_that_is_complete_stays(origin: Origin, mirror: Mirror) -> None:
    commit = origin.commit(PROJECT | {"a.py": b"1", "link": b"a.py"}, modes={"link": LINK})
    first = release(mirror, commit).stat().st_ino
    tree = release(mirror, commit)
    assert tree.stat().st_ino == first


@pytest.mark.parametrize("damage", ["changed", "missing", "added", "mode", "link"])
def test_a_tree_that_differs_is_written_again(origin: Origin, mirror: Mirror, damage: str) -> None:
    commit = origin.commit(PROJECT | {"a.py": b"1", "link": b"a.py"}, modes={"link": LINK})
    tree = release(mirror, commit)
    tree.chmod(0o700)
    tree.joinpath("a.py").chmod(0o600)
    if damage == "changed":
        tree.joinpath("a.py").write_bytes(b"2")
    elif damage == "missing":
        tree.joinpath("a.py").unlink()
    elif damage == "added":
        tree.joinpath("conftest.py").touch()
    elif damage == "mode":
        tree.joinpath("a.py").chmod(0o700)
    else:
        tree.joinpath("link").unlink()
        tree.joinpath("link").symlink_to("/etc")
    release(mirror, commit)
    assert written(tree) == {"everfit.toml": (b"", False), "a.py": (b"1", False), "link": (b"1", False)}
    assert not os.access(tree / "a.py", os.X_OK)


def test_what_a_killed_process_left_is_replaced(origin: Origin, mirror: Mirror) -> None:
    commit = origin.commit(PROJECT | {"a.py": b"1"})
    left = mirror.folder.parent / "trees" / f"{commit}.new"
    left.joinpath("half").mkdir(parents=True)
    left.joinpath("half", "a.py").touch()
    left.joinpath("half").chmod(0o555)
    assert written(release(mirror, commit)).keys() == {"a.py", "everfit.toml"}
    assert not left.exists()


def test_a_submodule_is_refused(origin: Origin, mirror: Mirror) -> None:
    commit = origin.commit(PROJECT | {"lib": SHARED_COMMIT.encode()}, modes={"lib": SUBMODULE})
    with pytest.raises(RepositoryError, match=r"submodules, but got 'lib'.*git subtree"):
        release(mirror, commit)
    assert not list(mirror.folder.parent.glob("trees/*"))


def test_a_pointer_of_lfs_is_refused(origin: Origin, mirror: Mirror) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"
    commit = origin.commit(PROJECT | {"data/rows.parquet": pointer})
    with pytest.raises(RepositoryError, match=r"Git LFS, but got 'data/rows.parquet'.*git lfs untrack"):
        release(mirror, commit)
    assert not list(mirror.folder.parent.glob("trees/*"))


@pytest.mark.parametrize(
    "links",
    [
        {"out": "/etc/passwd"},
        {"out": "../../../../../etc/passwd"},
        {"a/b": "..", "out": "a/b/../.."},
        {"up": "folder/..", "folder": ".", "out": "up/../../home"},
        {"out": ".."},
        {"a/out": "../../sibling"},
    ],
)
def test_a_link_out_of_the_tree_is_refused(origin: Origin, mirror: Mirror, links: dict[str, str]) -> None:
    files = {name: target.encode() for name, target in links.items()}
    commit = origin.commit(PROJECT | files, modes=dict.fromkeys(links, LINK))
    with pytest.raises(RepositoryError, match=r"link .*out must not lead out of the repository"):
        release(mirror, commit)
    assert not list(mirror.folder.parent.glob("trees/*"))


def test_a_link_within_the_tree_stays_one(origin: Origin, mirror: Mirror) -> None:
    files = {"a/code.py": b"1", "b/code.py": b"../a/code.py", "again": b"b", "round": b"round", "later": b"not/there"}
    links = dict.fromkeys(("b/code.py", "again", "round", "later"), LINK)
    tree = release(mirror, origin.commit(PROJECT | files, modes=links))
    assert tree.joinpath("again/code.py").read_bytes() == b"1"
    assert os.readlink(tree / "later") == "not/there"


@pytest.mark.parametrize("name", [b".git", b".GIT", b".gi\xe2\x80\x8ct", b"GIT~1", b"..", b".", b"a/b"])
def test_a_dangerous_name_is_refused(origin: Origin, mirror: Mirror, name: bytes) -> None:
    """Unpacked, it would be configuration of git, or outside; the check of received objects finds it."""
    inner = origin.tree(("100644", b"config", origin.blob(b"[core]\n\tfsmonitor = touch /tmp/ran\n")))
    commit = origin.tree_commit(origin.tree(("40000", name, inner), ("100644", b"everfit.toml", origin.blob(b""))))
    with pytest.raises(RepositoryError, match=r"git fetch' must succeed"):
        release(mirror, commit)


def test_a_name_that_is_no_text_is_refused(origin: Origin, mirror: Mirror) -> None:
    commit = origin.commit(PROJECT | {os.fsdecode(b"caf\xe9.py"): b""})
    with pytest.raises(RepositoryError, match="must be text in UTF-8") as refused:
        release(mirror, commit)
    assert str(refused.value).isascii()


def test_a_tree_of_trees_is_refused_before_it_fills_the_memory(origin: Origin, mirror: Mirror) -> None:
    """Ten objects, ten thousand million files."""
    level = origin.tree(("100644", b"everfit.toml", origin.blob(b"")))
    for _ in range(10):
        level = origin.tree(*(("40000", b"%d" % place, level) for place in range(10)))
    with pytest.raises(RepositoryError, match="must not write more than 24 MiB"):
        release(mirror, origin.tree_commit(level))


def test_too_many_files_are_refused(origin: Origin, mirror: Mirror) -> None:
    empty = origin.blob(b"")
    commit = origin.tree_commit(origin.tree(*(("100644", b"%06d" % place, empty) for place in range(50_001))))
    with pytest.raises(RepositoryError, match=r"more than 50,000 files, but got 50001.*\[paths\]"):
        release(mirror, commit)


@pytest.mark.slow
def test_too_large_files_are_refused(origin: Origin, mirror: Mirror) -> None:
    large = origin.blob(bytes((100 << 20) + 1))
    commit = origin.tree_commit(origin.tree(("100644", b"data.csv", large)))
    with pytest.raises(RepositoryError, match=r"data.csv must not be larger than 100 MiB.*\[paths\]"):
        release(mirror, commit)
    almost = origin.blob(bytes(100 << 20))
    commit = origin.tree_commit(origin.tree(*(("100644", b"%02d" % place, almost) for place in range(11))))
    with pytest.raises(RepositoryError, match=r"larger than 1,024 MiB together, but got '1,100 MiB'"):
        release(mirror, commit)


def test_the_project_may_be_in_a_folder(origin: Origin, mirror: Mirror) -> None:
    commit = origin.commit({"models/churn/everfit.toml": b"", "shared/common.py": b"1"})
    assert release(mirror, commit, "models/churn").joinpath("everfit.toml").is_file()
    with pytest.raises(RepositoryError, match=r"must hold everfit.toml.*folder = 'models/churn'"):
        release(mirror, commit)
    for outside in ("../churn", "/etc", "models/../.."):
        with pytest.raises(RepositoryError, match="must be in the repository"):
            release(mirror, commit, outside)


def test_a_project_without_settings_is_refused(origin: Origin, mirror: Mirror) -> None:
    link = origin.commit({"everfit.toml": b"x", "x": b""}, modes={"everfit.toml": LINK})
    for commit in (origin.commit({"README.md": b""}), link):
        with pytest.raises(RepositoryError, match=r"must hold everfit.toml.*Commit everfit.toml"):
            release(mirror, commit)


def test_a_place_that_cannot_be_written_is_an_error(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    commit = origin.commit(PROJECT)
    mirror.resolve(commit)
    tmp_path.joinpath("file").touch()
    with pytest.raises(RepositoryError, match="a tree must be writable"):
        extract_tree(mirror, commit, trees=tmp_path / "file" / "trees")
    with pytest.raises(RepositoryError, match="the mirror must be writable"):
        mirror_of(origin.folder, tmp_path / "file" / ".everfit").update()


def test_a_repository_with_sha256(tmp_path: Path) -> None:
    origin = make_origin(tmp_path / "new.git", object_format="sha256")
    commit = origin.commit(PROJECT)
    assert len(commit) == 64
    mirror = mirror_of(origin.folder, tmp_path / "home" / ".everfit")
    assert mirror.update().commit is not None
    assert release(mirror, commit).is_dir()
    other = make_origin(tmp_path / "old.git")
    assert release(mirror_of(other.folder, tmp_path / "home" / ".everfit"), other.commit(PROJECT)).is_dir()
