"""Changes of a design record, from real repositories."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.acceptance.shop import everfit
from tests.design.records import FRONT, design
from tests.design.test_record import made
from tests.releases.origin import git

import everfit as ef
from everfit.commands.design_history import DesignHistory, FieldChange, design_history
from everfit.releases.mirror import open_mirror
from everfit.store.active_release import ActiveRelease, ReleaseFolder, change_active, write_release

OWNER = FRONT.replace("owner: The dispatch team\n", "owner: Ada\n", 1)
LIMIT = OWNER.replace("at_most: 0.9", "at_most: 0.8").replace("limits: [Snow]", "limits: [Snow, Ice]")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in a folder of a repository, with four commits: a record, its prose, an owner, a broken one."""
    folder = tmp_path / "repository" / "shop"
    folder.mkdir(parents=True)
    made(folder, front=FRONT)
    git(folder, "init", "--quiet", "--initial-branch=main", "..")
    for number, text in enumerate(
        (design(), design(prose="Other prose.\n"), design(OWNER), design(LIMIT + "purpos: x\n"))
    ):
        (folder / "design.md").write_text(text)
        git(folder, "add", "design.md", "everfit.toml", "project.py")
        git(folder, "commit", "--quiet", "--message", f"change {number}")
    return folder


def history(folder: Path, *, most: int = 50) -> DesignHistory:
    return design_history(ef.open_system(folder), most=most)


def test_every_change_is_told_field_by_field(project: Path) -> None:
    found = history(project)
    assert found.in_git
    assert [change.subject for change in found.changes] == ["change 3", "change 2", "change 0"]
    limit, owner, first = found.changes
    assert limit.fields == (
        FieldChange(field="success.model.at_most", before="0.9", after="0.8"),
        FieldChange(field="limits[1]", before=None, after="Ice"),
    )
    assert owner.fields == (FieldChange(field="owner", before="The dispatch team", after="Ada"),)
    assert (owner.author, owner.commit) == ("Ada", git(project, "rev-parse", "HEAD~1"))
    assert owner.at is not None
    assert all(field.before is None for field in first.fields)
    assert "purpose" in {field.field for field in first.fields}


def test_what_is_not_committed_comes_first(project: Path) -> None:
    (project / "design.md").write_text(design(OWNER))
    newest = history(project).changes[0]
    assert (newest.commit, newest.at) == ("", None)
    assert {field.field for field in newest.fields} == {"success.model.at_most", "limits[1]"}
    (project / "design.md").unlink()
    assert all(field.after is None for field in history(project).changes[0].fields)


def test_only_the_newest_commits_are_looked_at(project: Path) -> None:
    assert [change.subject for change in history(project, most=1).changes] == ["change 3"]
    assert [change.subject for change in history(project, most=3).changes] == ["change 3", "change 2"]


def test_outside_of_git_there_is_no_history(tmp_path: Path) -> None:
    made(tmp_path, front=FRONT)
    found = history(tmp_path)
    assert not found.in_git
    assert [change.commit for change in found.changes] == [""]
    assert "in no git repository" in everfit(tmp_path, "design", "history").out


def test_a_release_has_the_history_of_its_commit(project: Path) -> None:
    toml = (project / "everfit.toml").read_text()
    (project / "everfit.toml").write_text(f'{toml}\n[releases]\nrepository = ".."\nfolder = "shop"\n')
    system = ef.open_system(project)
    mirror = open_mirror(project, system.state, system.project.settings.releases)
    mirror.update()
    commit, tree = git(project, "rev-parse", "HEAD~1"), system.state / "releases" / "trees" / "a" / "shop"
    shutil.copytree(project, tree, ignore=shutil.ignore_patterns(".everfit"))
    (tree / "design.md").write_text(design(OWNER))
    place = tree.relative_to(system.state).as_posix()
    write_release(system.state, ReleaseFolder(number=1, commit=commit, code="sha256:0", tree=place))
    change_active(system.state, lambda _: ActiveRelease(number=1))
    found = history(project)
    assert found.in_git
    assert [change.subject for change in found.changes] == ["change 2", "change 0"]


def test_the_command_prints_each_change(project: Path) -> None:
    printed = everfit(project, "design", "history")
    assert printed.code == 0, printed.err
    assert "success.model.at_most: 0.9 → 0.8" in printed.out
    assert "limits[1]: – → Ice" in printed.out
    assert "Ada: change 2" in printed.out
    assert everfit(project, "design", "history", "--json").json["in_git"] is True
