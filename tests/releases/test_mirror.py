"""The private copy of a source repository: what is new, what a ref names, and what the source cannot do to it."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import psutil
import pytest
from tests.programs import write_program
from tests.releases.origin import PROJECT, Origin, git, make_origin, mirror_of
from tests.serving.test_deployment import wait_for

from everfit.core.errors import ProcessKilledError, RepositoryError
from everfit.releases.git import Git
from everfit.releases.mirror import Mirror
from everfit.releases.tree import extract_tree

ROOT = Path(__file__).parents[2]


def test_a_branch_advances(origin: Origin, mirror: Mirror) -> None:
    first = origin.commit(PROJECT, message="first: a \u00fc\n\nbody\n")
    tip = mirror.update()
    assert tip.change == "first"
    assert tip.commit is not None
    assert (tip.commit.id, tip.commit.subject, tip.commit.author) == (first, "first: a ü", "Ada Lovelace")
    assert tip.commit.committed_at.isoformat() == "2023-11-14T22:13:20+00:00"
    assert mirror.update(since=first).change == "unchanged"
    second = origin.commit(PROJECT, message="second\n")
    assert mirror.tip() == second
    tip = mirror.update(since=first)
    assert tip.change == "advanced"
    assert tip.commit is not None
    assert tip.commit.id == second


def test_a_forced_push_and_a_deleted_branch_are_results(origin: Origin, mirror: Mirror) -> None:
    first = origin.commit(PROJECT)
    second = origin.commit(PROJECT | {"a": b"1"})
    assert mirror.update(since=first).change == "advanced"
    origin.git("update-ref", "refs/heads/main", first)
    assert mirror.update(since=second).change == "rewritten"
    other = origin.commit(PROJECT | {"a": b"2"}, onto="")
    tip = mirror.update(since=second)
    assert tip.change == "rewritten"
    assert tip.commit is not None
    assert tip.commit.id == other
    origin.git("update-ref", "-d", "refs/heads/main")
    origin.git("gc", "--prune=now", "--quiet")
    assert mirror.tip() == ""
    assert mirror.update(since=other).change == "deleted"
    # What was fetched stays, for the releases that were made of it.
    assert mirror.commit(second).id == second
    assert mirror.resolve(second).id == second
    third = origin.commit(PROJECT | {"a": b"3"}, onto="")
    assert mirror.update(since=other).commit == mirror.commit(third)


def test_a_branch_that_is_not_there_has_a_remedy(tmp_path: Path) -> None:
    origin = make_origin(tmp_path / "origin.git")
    mirror = mirror_of(origin.folder, tmp_path / "home" / ".everfit")
    with pytest.raises(RepositoryError, match=r"branch must exist, but got 'main'. Push a commit"):
        mirror.update()
    origin.commit(PROJECT, ref="refs/heads/master")
    origin.git("symbolic-ref", "HEAD", "refs/heads/master")
    with pytest.raises(RepositoryError, match=r'branch = "master"'):
        mirror.update()


def test_a_ref_is_a_branch_a_tag_or_a_commit(origin: Origin, mirror: Mirror) -> None:
    main = origin.commit(PROJECT)
    topic = origin.commit(PROJECT | {"a": b"1"}, ref="refs/heads/ada/topic", onto=main)
    origin.git("-c", "user.name=A", "-c", "user.email=a@b.c", "tag", "-a", "-m", "one", "v1", topic)
    origin.git("tag", "light", main)
    hidden = origin.commit(PROJECT | {"a": b"2"}, ref="refs/hidden/x", onto=main)
    for ref, commit in {
        "main": main,
        "HEAD": main,
        "ada/topic": topic,
        "refs/heads/ada/topic": topic,
        "v1": topic,
        "light": main,
        "refs/tags/light": main,
        hidden: hidden,
        main[:7]: main,
        topic[:12]: topic,
    }.items():
        assert mirror.resolve(ref).id == commit
    origin.git("tag", "main", topic)
    with pytest.raises(RepositoryError, match=r"not a branch and a tag.*Write refs/heads/main or refs/tags/main"):
        mirror.resolve("main")


def test_a_ref_that_moved_or_was_deleted_is_read_anew(origin: Origin, mirror: Mirror) -> None:
    first = origin.commit(PROJECT)
    origin.git("tag", "v1", first)
    assert mirror.resolve("v1").id == first
    second = origin.commit(PROJECT | {"a": b"1"})
    origin.git("tag", "-f", "v1", second)
    assert mirror.resolve("v1").id == second
    origin.git("tag", "-d", "v1")
    with pytest.raises(RepositoryError, match="must name a branch, a tag or a commit, but got 'v1'"):
        mirror.resolve("v1")


@pytest.mark.parametrize(
    "ref",
    [
        "-x",
        "--upload-pack=touch ran",
        "a..b",
        "HEAD~1",
        "a b",
        "@{-1}",
        "x.lock",
        "",
        "a\0b",
        "main:refs/heads/x",
        "+main",
    ],
)
def test_a_ref_like_an_option_or_an_expression_is_refused(
    origin: Origin, mirror: Mirror, ref: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    origin.commit(PROJECT)
    with pytest.raises(RepositoryError, match="a ref must"):
        mirror.resolve(ref)
    with pytest.raises(RepositoryError, match=r"must have a name|branch must exist"):
        mirror_of(origin.folder, tmp_path / "home" / ".everfit", branch=ref).update()
    assert not list(tmp_path.rglob("ran"))


def test_an_id_that_names_no_commit_is_refused(origin: Origin, mirror: Mirror) -> None:
    origin.commit(PROJECT)
    blob = origin.blob(b"content")
    origin.git("tag", "content", blob)
    for ref in ("0" * 40, "deadbeef", blob, "content"):
        with pytest.raises(RepositoryError, match=r"must succeed|must name"):
            mirror.resolve(ref)


def test_a_time_beyond_the_calendar_is_refused(origin: Origin, mirror: Mirror) -> None:
    commit = origin.commit(PROJECT, author="Ada <a@b.c> 999999999999 +0000")
    with pytest.raises(RepositoryError, match="years 1 to 9999"):
        mirror.resolve(commit)


def test_two_pushes_between_two_looks(origin: Origin, mirror: Mirror) -> None:
    """The commit that was looked up is the one that is fetched, also if it is gone from the branch by then."""
    first = origin.commit(PROJECT)
    mirror.update()
    second = origin.commit(PROJECT | {"a": b"1"})
    seen = mirror.tip()
    origin.commit(PROJECT | {"a": b"2"}, onto="")
    assert mirror.resolve(seen).id == second
    assert mirror.update(since=first).change == "rewritten"


def test_a_long_history_is_fetched_in_part(origin: Origin, mirror: Mirror) -> None:
    first = origin.commit(PROJECT)
    stream = b"".join(
        b"commit refs/heads/main\ncommitter A <a@b.c> %d +0000\ndata 0\n%sM 100644 inline n\ndata 5\n%05d\n"
        % (1_700_000_000 + n, b"from %s\n" % first.encode() if n == 0 else b"", n)
        for n in range(1500)
    )
    origin.git("fast-import", "--quiet", content=stream)
    middle = origin.git("rev-parse", "main~600")
    origin.git("update-ref", "refs/heads/main", middle)
    assert mirror.update().commit == mirror.commit(middle)
    assert git(mirror.folder, "rev-list", "--count", middle) == "901"
    origin.git("update-ref", "refs/heads/main", origin.git("rev-parse", "main"))
    tip = origin.commit(PROJECT | {"n": b"last"})
    assert mirror.update(since=middle).change == "advanced"
    assert int(git(mirror.folder, "rev-list", "--count", tip)) <= 1000
    assert mirror.resolve(first).id == first


def test_nothing_of_the_source_or_of_the_caller_runs(
    origin: Origin, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hooks, templates with hooks, and commands in the configuration of the repository and of the user."""
    ran, home = tmp_path / "ran", tmp_path / "user"
    hooks = tmp_path / "template" / "hooks"
    hooks.mkdir(parents=True)
    for folder in (origin.folder / "hooks", hooks):
        folder.mkdir(exist_ok=True)
        for name in ("post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc", "post-rewrite"):
            write_program(folder / name, f"#!/bin/sh\necho {name} >> {ran}\n")
    config = (
        f"[core]\n\thooksPath = {hooks}\n\tsshCommand = touch {ran}\n\tfsmonitor = touch {ran}\n\tpager = touch {ran}\n"
        f"[init]\n\ttemplateDir = {hooks.parent}\n[uploadpack]\n\tpackObjectsHook = touch {ran}; false\n"
        f"[gc]\n\trecentObjectsHook = touch {ran}\n[credential]\n\thelper = !touch {ran}\n"
    )
    home.mkdir()
    home.joinpath(".gitconfig").write_text(config)
    with (origin.folder / "config").open("a") as file:
        file.write(config)
    monkeypatch.setenv("HOME", str(home))
    for name, value in {
        "GIT_TEMPLATE_DIR": str(hooks.parent),
        "GIT_DIR": str(origin.folder),
        "GIT_SSH_COMMAND": f"touch {ran}",
        "GIT_ALLOW_PROTOCOL": "ext:file",
        "GIT_EXEC_PATH": str(tmp_path),
        "GIT_TRACE": str(ran),
        "GIT_OBJECT_DIRECTORY": str(tmp_path / "elsewhere"),
    }.items():
        monkeypatch.setenv(name, value)
    commit = origin.commit(PROJECT)
    ran.unlink(missing_ok=True)
    assert mirror.update().commit == mirror.resolve(commit)
    extract_tree(mirror, commit, trees=tmp_path / "trees")
    assert not ran.exists()
    assert not tmp_path.joinpath("elsewhere").exists()
    assert not list(mirror.folder.glob("hooks/*"))


def test_objects_are_copied(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    """Also those that the source only refers to (alternates): the mirror stands alone."""
    commit = origin.commit(PROJECT | {"a": b"1"})
    git(tmp_path, "clone", "--quiet", "--bare", "--shared", str(origin.folder), "shared.git")
    assert (tmp_path / "shared.git" / "objects" / "info" / "alternates").is_file()
    mirror = mirror_of(tmp_path / "shared.git", tmp_path / "home" / ".everfit")
    mirror.update()
    files = [path for path in mirror.folder.rglob("*") if path.is_file()]
    assert {path.stat().st_nlink for path in files} == {1}
    assert not (mirror.folder / "objects" / "info" / "alternates").exists()
    origin.folder.rename(tmp_path / "gone.git")
    assert extract_tree(mirror, commit, trees=tmp_path / "trees").joinpath("a").read_bytes() == b"1"


def test_locks_of_a_killed_process_do_not_block(origin: Origin, mirror: Mirror) -> None:
    first = origin.commit(PROJECT)
    mirror.update()
    for name in (
        "packed-refs",
        "shallow",
        "HEAD",
        "config",
        f"refs/everfit/commits/{first}",
        "objects/info/commit-graph",
    ):
        path = mirror.folder / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    leftover = mirror.folder / "objects" / "pack" / "tmp_pack_x"
    leftover.write_bytes(b"PACK")
    second = origin.commit(PROJECT | {"a": b"1"})
    assert mirror.update(since=first).change == "advanced"
    assert mirror.resolve(second).id == second
    assert not list(mirror.folder.rglob("*.lock"))
    assert not leftover.exists()


@pytest.mark.parametrize("damaged", ["refs/everfit/commits/*", "objects/pack/*.pack", "objects/pack/*", "config"])
def test_a_damaged_mirror_is_fetched_again(origin: Origin, mirror: Mirror, damaged: str) -> None:
    first = origin.commit(PROJECT)
    mirror.update()
    for path in mirror.folder.glob(damaged):
        path.chmod(0o600)
        path.write_bytes(b"")
    tip = origin.commit(PROJECT | {"a": b"1"})
    assert mirror.update(since=first).change == "advanced"
    assert extract_tree(mirror, tip, trees=mirror.folder.parent / "trees").joinpath("a").read_bytes() == b"1"


UPDATE = """
import sys
from pathlib import Path
from tests.releases.origin import mirror_of
from everfit.releases.tree import extract_tree
mirror = mirror_of(sys.argv[1], Path(sys.argv[2]))
print("begun", flush=True)
commit = mirror.update().commit
print(extract_tree(mirror, commit.id, trees=Path(sys.argv[2]) / "trees"), flush=True)
"""


def updating(origin: Origin, state: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", UPDATE, str(origin.folder), str(state)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on(origin: Origin, mirror: Mirror, tmp_path: Path) -> None:
    state = mirror.folder.parents[1]
    for life in range(25):
        files = {f"{place}.bin": os.urandom(20_000) for place in range(50)}
        commit = origin.commit(PROJECT | files)
        process = updating(origin, state)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.02 * life)
        process.kill()
        process.communicate()
        assert mirror.resolve("main").id == commit
        tree = extract_tree(mirror, commit, trees=state / "trees")
        assert {path.name: path.read_bytes() for path in tree.iterdir()} == PROJECT | files
    assert not [path for path in (state / "trees").iterdir() if path.suffix]
    assert git(mirror.folder, "fsck", "--strict") == ""


def test_two_processes_share_it(origin: Origin, mirror: Mirror) -> None:
    commit = origin.commit(PROJECT | {f"{place}": os.urandom(1000) for place in range(200)})
    state = mirror.folder.parents[1]
    processes = [updating(origin, state) for _ in range(3)]
    answers = {process.communicate(timeout=120)[0].splitlines()[-1] for process in processes}
    assert answers == {str(state / "trees" / commit)}
    assert [process.returncode for process in processes] == [0, 0, 0]


def test_a_process_that_waits_does_not_make_it(origin: Origin, mirror: Mirror) -> None:
    """The one that holds the lock may just be making it anew, and finds its folder deleted."""
    commit = origin.commit(PROJECT)
    with ThreadPoolExecutor(1) as pool:
        with mirror.alone():
            waiting = pool.submit(mirror.update)
            assert not wait([waiting], timeout=1).done
            assert not mirror.folder.exists()
        tip = waiting.result()
    assert tip.commit is not None
    assert tip.commit.id == commit


def test_a_git_that_is_killed_is_no_verdict(tmp_path: Path) -> None:
    """As by a machine short of memory; it is no fault of the repository."""

    def kill() -> None:
        until_s = time.monotonic() + 20
        while time.monotonic() < until_s:
            for child in psutil.Process().children():
                if child.name() == "git":
                    child.kill()
                    return

    killer = Thread(target=kill)
    killer.start()
    with pytest.raises(ProcessKilledError, match="must not be ended from outside"):
        Git(folder=tmp_path, time_s=30).succeeds("-c", "alias.wait=!sleep 20", "wait")
    killer.join()


def test_a_mirror_that_another_process_keeps_is_an_error(origin: Origin, mirror: Mirror) -> None:
    origin.commit(PROJECT)
    hasty = mirror_of(origin.folder, mirror.folder.parents[1], time_s=0.5)
    with mirror.alone(), pytest.raises(RepositoryError, match=r"leave the mirror of the repository within 0.5 s"):
        hasty.update()
    assert mirror.update().change == "first"


@pytest.fixture
def slow_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `ssh` that never answers, and writes its arguments and its process id."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    write_program(
        program, f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\nsleep 600 &\necho $! > {tmp_path}/pid\nwait\n'
    )
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path


def test_a_server_that_hangs_is_left_after_the_time_limit(slow_ssh: Path) -> None:
    mirror = mirror_of("ssh://git@forge.example/ada/flights.git", slow_ssh / "home" / ".everfit", time_s=1.5)
    with pytest.raises(RepositoryError, match=r"'git ls-remote' must end within 1.5 s.*step_seconds"):
        mirror.update()
    assert "-oBatchMode=yes" in (slow_ssh / "arguments").read_text()
    number = int((slow_ssh / "pid").read_text())
    # Killed with its whole group, and reaped by the process that adopted it.
    wait_for(lambda: not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE)


def test_a_server_that_refuses_is_answered_with_a_remedy(slow_ssh: Path) -> None:
    write_program(slow_ssh / "bin" / "ssh", "#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n")
    mirror = mirror_of("ssh://git@forge.example/ada/flights.git", slow_ssh / "home" / ".everfit")
    told = r"succeed: Host key verification failed.; Could not read from remote repository, .*Connect once by ssh"
    with pytest.raises(RepositoryError, match=told):
        mirror.update()


def test_git_must_not_write_more_than_allowed(origin: Origin, tmp_path: Path) -> None:
    origin.commit(PROJECT | {"large": os.urandom(300_000)})
    target = make_origin(tmp_path / "target.git")
    words = ("fetch", "--quiet", "--", origin.folder.as_uri(), "main:refs/heads/main")
    with pytest.raises(RepositoryError, match=r"must not write more than 0 MiB.*\[paths\]"):
        Git(folder=target.folder, time_s=60).run(*words, most_bytes=100_000, variables={"GIT_ALLOW_PROTOCOL": "file"})


LOGIN = "Basic " + base64.b64encode(b"ada:token").decode()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """URL of the folder's repositories over HTTP, by git's own CGI program."""
    backend = Path(git(tmp_path, "--exec-path"), "git-http-backend")
    own = {"GIT_PROJECT_ROOT": str(tmp_path), "GIT_HTTP_EXPORT_ALL": "1", "GIT_CONFIG_GLOBAL": os.devnull}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path.startswith("/private") and self.headers.get("Authorization") != LOGIN:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="forge"')
                self.end_headers()
                return
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = {
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path.removeprefix("/private"),
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(content)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            done = subprocess.run(
                [backend], input=content, env=os.environ | own | asked, capture_output=True, check=False
            )
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            lines = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self.send_response(int(lines.pop("Status", "200").split()[0]))
            for name, value in lines.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_over_http(origin: Origin, served: str, tmp_path: Path) -> None:
    commit = origin.commit(PROJECT)
    mirror = mirror_of(f"{served}/origin.git", tmp_path / "home" / ".everfit")
    assert mirror.update().commit == mirror.resolve(commit)
    tip = origin.commit(PROJECT | {"a": b"1"})
    assert mirror.update(since=commit).change == "advanced"
    assert mirror.resolve(tip[:8]).id == tip
    with pytest.raises(RepositoryError, match=r"'git ls-remote' must succeed: .*not found"):
        mirror_of(f"{served}/other.git", tmp_path / "home" / ".everfit").update()


def test_a_login_is_read_from_netrc(
    origin: Origin, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = origin.commit(PROJECT)
    home, asked = tmp_path / "user", tmp_path / "asked"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SSH_ASKPASS", f"/usr/bin/touch {asked}")
    home.joinpath(".gitconfig").write_text(f"[credential]\n\thelper = !touch {asked}\n")
    mirror = mirror_of(f"{served}/private/origin.git", tmp_path / "home" / ".everfit")
    for content in ("", "machine 127.0.0.1 login ada password wrong\n"):
        home.joinpath(".netrc").write_text(content)
        with pytest.raises(RepositoryError, match=r"prompts disabled, .*Write the right login and token to ~/.netrc"):
            mirror.update()
    assert not asked.exists()
    home.joinpath(".netrc").write_text("machine 127.0.0.1 login ada password token\n")
    assert mirror.update().commit == mirror.resolve(commit)


def test_a_repository_of_another_user(origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to another user")
    commit = origin.commit(PROJECT)
    for path in (origin.folder, *origin.folder.rglob("*")):
        os.chown(path, 65534, 65534)
    home = tmp_path / "user"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(RepositoryError, match=r"trusted by that user.*safe.directory /.*origin.git"):
        mirror_of(origin.folder, tmp_path / "home" / ".everfit").update()
    git(tmp_path, "config", "--file", str(home / ".gitconfig"), "safe.directory", str(origin.folder))
    tip = mirror_of(origin.folder, tmp_path / "home" / ".everfit").update()
    assert tip.commit is not None
    assert tip.commit.id == commit
