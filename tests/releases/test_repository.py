"""The names of a source repository: what is accepted, and what is refused with a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.releases.origin import git, make_origin

from everfit.core.errors import RepositoryError
from everfit.releases.repository import find_repository


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/ada/flights.git",
        "ssh://git@github.com/ada/flights",
        "ssh://git@forge.example:2222/~ada/flights",
        "https://ada@forge.example/flights",
        "http://localhost:3000/ada/flights",
        "http://127.0.0.1/flights",
        "http://[::1]:3000/flights",
    ],
)
def test_a_url_is_taken_as_it_is(url: str, tmp_path: Path) -> None:
    found = find_repository(url, tmp_path)
    assert (found.url, found.folder, found.options) == (url, None, ())


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("ext::sh -c 'touch ran'", "https://, ssh://"),
        ("fd::17", "https://, ssh://"),
        ("-u./ran", "https://, ssh://"),
        ("--upload-pack=touch ran", "https://, ssh://"),
        ("git://forge.example/flights", "https://, ssh://"),
        ("ftp://forge.example/flights", "https://, ssh://"),
        ("HTTPS+ext://forge.example/flights", "https://, ssh://"),
        ("https://-oProxyCommand=x/flights", "https://, ssh://"),
        ("ssh://-oProxyCommand=x/flights", "https://, ssh://"),
        ("ssh://-l@forge.example/flights", "https://, ssh://"),
        ("https:///flights", "https://, ssh://"),
        ("https://forge.example/a\nb", "https://, ssh://"),
        ("http://forge.example/flights", "Write https://forge.example/flights."),
        ("git@github.com:ada/flights.git", "Write ssh://git@github.com/ada/flights.git."),
        ("forge:flights", "Write ssh://forge/flights."),
        ("missing", "git init"),
        ("file:///missing", "git init"),
        ("~nobody-of-that-name/flights", "git init"),
        ("a\0b", "https://, ssh://"),
    ],
)
def test_what_is_no_repository_is_refused(text: str, remedy: str, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError) as refused:
        find_repository(text, tmp_path)
    assert remedy in refused.value.remedy


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="must be readable: File name too long"):
        find_repository("x" * 300, tmp_path)


def test_a_password_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(
        RepositoryError, match=r"must not hold a password.*netrc: machine forge.example login ada"
    ) as refused:
        find_repository("https://ada:secret@forge.example/flights", tmp_path)
    assert "secret" not in str(refused.value)


def test_a_folder_is_relative_to_the_project(tmp_path: Path) -> None:
    origin = make_origin(tmp_path / "a b%20ü#.git")
    home = tmp_path / "home"
    git(tmp_path, "init", "--quiet", "home")
    for text in ("../a b%20ü#.git", str(origin.folder), origin.folder.as_uri()):
        assert find_repository(text, home).folder == origin.folder
    assert find_repository(".", home).url == home.as_uri()


def test_a_folder_in_a_repository_is_answered_with_the_settings(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    home = tmp_path / "models" / "churn"
    home.mkdir(parents=True)
    with pytest.raises(RepositoryError) as refused:
        find_repository(".", home)
    assert f"repository = '{tmp_path}', and folder = 'models/churn'" in refused.value.remedy
