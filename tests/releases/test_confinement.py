"""Confined code reaches nothing outside, and what tests and trainings need works."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import psutil
import pytest

from everfit.core.errors import ProcessError, ProcessKilledError, ProcessStoppedError
from everfit.releases.confined_process import filter_program, landlock_abi
from everfit.releases.confinement import confined_command, confined_variables, confinement_gaps, project_reads
from everfit.runtime.subprocess_runner import ProcessLimits, run_child

pytestmark = pytest.mark.skipif(bool(confinement_gaps()), reason=" ".join(confinement_gaps()))

SECRET = "secret-of-the-operator"


class Place:
    """A project with its state, a release's tree and environment, and a home folder beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.state = self.home / ".everfit"
        self.tree = self.state / "releases" / "trees" / "1"
        self.environments = self.state / "releases" / "environments"
        self.environment = self.environments / "1"
        self.scratch = self.state / "releases" / "1" / "scratch"
        self.outside = folder / "outside"
        for made in (self.tree, self.environment, self.scratch, self.outside / ".ssh", self.state / "keys"):
            made.mkdir(parents=True)
        self.state.joinpath("keys", "signing.pem").write_text(SECRET)
        self.outside.joinpath(".ssh", "id_ed25519").write_text(SECRET)
        self.home.joinpath(".env").write_text(SECRET)
        self.home.joinpath("everfit.toml").write_text("[project]\n")
        self.tree.joinpath("project.py").write_text("NAME = 'parcels'\n")
        self.environment.joinpath("module.py").write_text("")
        pl.DataFrame({"id": [1, 2, 3]}).write_parquet(self.home / "rows.parquet")
        self.scratch.joinpath("link").symlink_to(self.state)

    def command(self, *words: str, network: bool = False) -> list[str]:
        return confined_command(
            words,
            reads=[self.tree, self.environment, *project_reads(self.home, {})],
            writes=[self.scratch],
            network=network,
            environments=self.environments,
        )

    def run(self, lines: str, *, network: bool = False) -> subprocess.CompletedProcess[str]:
        """Run Python, which can refer to the folders by their names."""
        names = {name: str(path) for name, path in vars(self).items()}
        program = "import os, socket, sys\n" + "".join(f"{name} = {path!r}\n" for name, path in names.items())
        program += f"port, parent = {os.environ.get('PORT')}, {os.getpid()}\n" + lines
        return self.finished(self.command(sys.executable, "-c", program, network=network), self.scratch)

    def finished(self, command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a command line as it is, with all descriptors of this process that can be inherited."""
        variables = confined_variables(self.scratch)
        return subprocess.run(
            command,
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            close_fds=False,
        )

    def works(self, lines: str, *, network: bool = False) -> str:
        """Run Python that must succeed; return what it printed."""
        done = self.run(lines, network=network)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def untouched(self) -> dict[str, tuple[object, ...]]:
        """Everything but the scratch folder: names, content, modes and times."""
        found: dict[str, tuple[object, ...]] = {}
        for path in sorted(self.folder.rglob("*")):
            if not path.is_relative_to(self.scratch):
                stat = path.lstat()
                content = path.read_bytes() if path.is_file() else b""
                times = stat.st_mtime_ns if path.is_file() else 0
                found[str(path)] = (content, stat.st_mode, times, stat.st_uid, stat.st_nlink)
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


FILES = {
    "write into the home folder": "open(outside + '/new', 'w')",
    "write into the project": "open(home + '/new', 'w')",
    "change a file of the project": "open(home + '/everfit.toml', 'a').write('x')",
    "write into the tree": "open(tree + '/project.py', 'w')",
    "write into the environment": "open(environment + '/module.py', 'w')",
    "make a folder in the tree": "os.mkdir(tree + '/new')",
    "delete from the tree": "os.unlink(tree + '/project.py')",
    "replace a file of the tree": "open('new', 'w'); os.replace('new', tree + '/project.py')",
    "empty a file that it can read": "os.open(home + '/everfit.toml', os.O_RDONLY | os.O_TRUNC)",
    "truncate a file by its path": "os.truncate(home + '/everfit.toml', 0)",
    "link a secret into the scratch folder": "os.link(state + '/keys/signing.pem', 'mine'); open('mine').read()",
    "change the mode of a linked file": "os.link(home + '/everfit.toml', 'mine'); os.chmod('mine', 0o777)",
    "write a file without end": "open('new', 'w').close(); os.truncate('new', 1 << 40)",
    "move a secret into the scratch folder": "os.rename(state + '/keys', 'mine')",
    "read a key of the operator": "open(state + '/keys/signing.pem').read()",
    "list the state": "os.listdir(state)",
    "read another user's key": "open(outside + '/.ssh/id_ed25519').read()",
    "read a hidden file of the project": "open(home + '/.env').read()",
    "read through a link that was there": "open('link/keys/signing.pem').read()",
    "read through a link of its own": "os.symlink(outside, 'own'); open('own/.ssh/id_ed25519').read()",
    "read through /proc/self/root": "open('/proc/self/root' + outside + '/.ssh/id_ed25519').read()",
    "read through /proc/self/cwd": "open('/proc/self/cwd/link/keys/signing.pem').read()",
    "read passwords of the system": "open('/etc/shadow').read()",
    "change a mode": "os.chmod(outside + '/.ssh', 0o777)",
    "change a mode through a link": "os.chmod('link/keys', 0o777)",
    "change a mode by a descriptor": "os.fchmod(os.open(home + '/everfit.toml', os.O_RDONLY), 0o777)",
    "change a mode relative to a folder": "os.chmod('everfit.toml', 0o777, dir_fd=os.open(home, os.O_PATH))",
    "change the time of a file": "os.utime(home + '/everfit.toml', (1, 1))",
    "change an owner": "os.chown(home + '/everfit.toml', 12345, 12345)",
    "change an attribute": "os.setxattr(home + '/everfit.toml', 'user.mark', b'1')",
    "run a program from outside": "import shutil; os.execv(outside + '/program', ['program'])",
    "make a device": "import stat; os.mknod('disk', stat.S_IFBLK | 0o600, os.makedev(254, 0))",
    "write to a setting of the kernel": "open('/proc/sys/kernel/core_pattern', 'w')",
}


@pytest.mark.parametrize("deed", FILES)
def test_files_outside_are_out_of_reach(place: Place, deed: str) -> None:
    program = place.outside / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    before = place.untouched()
    done = place.run(FILES[deed])
    assert done.returncode == 1, done.stdout + done.stderr
    assert "PermissionError" in done.stderr or "OSError" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert place.untouched() == before


PROCESSES = {
    "read the environment of the controller": "print(open(f'/proc/{parent}/environ').read())",
    "read the environment of its supervisor": "print(open(f'/proc/{os.getppid()}/environ').read())",
    "read the memory of the controller": "print(open(f'/proc/{parent}/mem', 'rb').read(1))",
    "open the files of the controller": "print(os.readlink(f'/proc/{parent}/fd/1'))",
    "use what the controller has open": "print(open(f'/proc/{parent}/fd/1', 'w'))",
    "read through the controller's root": "print(open(f'/proc/{parent}/root' + outside + '/.ssh/id_ed25519').read())",
    "stop the controller": "os.kill(parent, 19)",
    "end the controller": "os.kill(parent, 9)",
    "end its supervisor": "os.kill(os.getppid(), 9)",
    "end it by a file": "import signal; signal.pidfd_send_signal(os.pidfd_open(parent), 9)",
    "limit the controller": "import resource; resource.prlimit(parent, resource.RLIMIT_CPU, (1, 1))",
    "slow the controller down": "os.setpriority(os.PRIO_PROCESS, parent, 19)",
    "trace the controller": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(16, parent, 0, 0) < 0: raise OSError(ctypes.get_errno(), 'ptrace')
""",
    "keep a secret in the kernel": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(250, 0, -4, 0) < 0: raise OSError(ctypes.get_errno(), 'keyctl')
""",
    "make a namespace": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x10000000) < 0: raise OSError(ctypes.get_errno(), 'unshare')
""",
    "use an interface around the filter": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(425, 8, ctypes.create_string_buffer(120)) < 0: raise OSError(ctypes.get_errno(), 'io_uring')
""",
    "become another user": "os.setuid(12345)",
}


@pytest.mark.parametrize("deed", PROCESSES)
def test_other_processes_are_out_of_reach(place: Place, deed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", SECRET)
    priority = os.getpriority(os.PRIO_PROCESS, 0)
    done = place.run(PROCESSES[deed])
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Error" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert os.getpriority(os.PRIO_PROCESS, 0) == priority


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, socket.socket]]:
    """One of each kind that listens on this machine."""
    opened = {
        "tcp": socket.create_server(("127.0.0.1", 0)),
        "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "abstract": socket.socket(socket.AF_UNIX),
        "named": socket.socket(socket.AF_UNIX),
        "datagrams": socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    }
    port = opened["tcp"].getsockname()[1]
    opened["udp"].bind(("127.0.0.1", port))
    opened["abstract"].bind(f"\0everfit-{os.getpid()}")
    short = Path("/tmp") / f"everfit-{os.getpid()}"
    opened["named"].bind(f"{short}.stream")
    opened["datagrams"].bind(f"{short}.datagram")
    for name in ("abstract", "named"):
        opened[name].listen()
    for one in opened.values():
        one.settimeout(0.05)
    monkeypatch.setenv("PORT", str(port))
    yield opened
    for one in opened.values():
        one.close()
    for ending in ("stream", "datagram"):
        short.with_suffix(f".{ending}").unlink()


SOCKETS = {
    "connect to a server on this machine": "socket.create_connection(('127.0.0.1', port), 5)",
    "serve on this machine": "socket.create_server(('127.0.0.1', 0))",
    "send a datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', port))",
    "send a datagram by IPv6": "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('::1', port))",
    "look up a name": "socket.getaddrinfo('example.org', 80)",
    "open a raw socket": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
}
UNIX_SOCKETS = {
    "connect to an abstract socket": "socket.socket(socket.AF_UNIX).connect(f'\\0everfit-{parent}')",
    "connect to a socket in the file system": "socket.socket(socket.AF_UNIX).connect(f'/tmp/everfit-{parent}.stream')",
    "send a datagram to a socket in the file system": """
one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
one.sendto(b'x', f'/tmp/everfit-{parent}.datagram')
""",
}


@pytest.mark.parametrize("deed", [*SOCKETS, *UNIX_SOCKETS])
def test_there_is_no_network(place: Place, listener: dict[str, socket.socket], deed: str) -> None:
    done = place.run((SOCKETS | UNIX_SOCKETS)[deed])
    assert done.returncode == 1
    assert "rror" in done.stderr
    for name in ("tcp", "abstract", "named"):
        with pytest.raises(TimeoutError):
            listener[name].accept()
    for name in ("udp", "datagrams"):
        with pytest.raises(TimeoutError):
            listener[name].recv(1)


@pytest.mark.parametrize("deed", UNIX_SOCKETS)
def test_a_network_that_is_allowed_does_not_reach_local_services(
    place: Place, listener: dict[str, socket.socket], deed: str
) -> None:
    """Such as the container engine, the key agent or the bus of the session."""
    assert place.run(UNIX_SOCKETS[deed], network=True).returncode == 1


def test_a_network_that_is_allowed_works(place: Place, listener: dict[str, socket.socket]) -> None:
    place.works("socket.create_connection(('127.0.0.1', port), 5).sendall(b'x')", network=True)
    connected, _ = listener["tcp"].accept()
    assert connected.recv(1) == b"x"
    connected.close()


def test_no_descriptor_is_inherited(place: Place) -> None:
    with place.state.joinpath("keys", "signing.pem").open() as secret:
        os.set_inheritable(secret.fileno(), True)
        command = place.command(sys.executable, "-c", "import os; print(os.listdir('/proc/self/fd'))")
        done = place.finished(command, place.scratch)
    assert done.returncode == 0, done.stderr
    # The last one is the listing itself.
    assert eval(done.stdout) == ["0", "1", "2", "3"]


def test_no_variable_of_the_controller_is_inherited(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EVERFIT_TOKEN", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "PGPASSWORD", "PYTHONPATH"):
        monkeypatch.setenv(name, SECRET)
    printed = place.works("print(dict(os.environ))")
    assert SECRET not in printed
    variables = eval(printed)
    assert not any(name.startswith("EVERFIT") for name in variables)
    assert Path(variables["HOME"]).is_relative_to(place.scratch)
    assert Path(variables["TMPDIR"]).is_relative_to(place.scratch)


def test_the_rights_of_the_superuser_are_gone(place: Place) -> None:
    status = place.works("print(open('/proc/self/status').read())")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) & ~0b1010 == 0
    assert fields["NoNewPrivs"] == "1"
    assert place.works("import resource; print(resource.getrlimit(resource.RLIMIT_CORE))") == "(0, 0)"


DAEMON = """
import time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
open('started.new', 'w').write(str(os.getpid()))
os.rename('started.new', 'started')
while True:
    open('alive', 'w').write(str(time.time()))
    time.sleep(0.02)
"""


def gone(number: int) -> bool:
    try:
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def test_a_background_process_does_not_outlive_the_step(place: Place) -> None:
    """It forks twice and begins a session of its own, as daemons do."""
    started = place.scratch / "started"
    lines = (
        f"import time\nif not os.fork():\n    exec({DAEMON!r})\nwhile not os.path.exists('started'): time.sleep(0.01)"
    )
    place.works(lines)
    number = int(started.read_text())
    wait_until(lambda: gone(number))
    alive = place.scratch.joinpath("alive").read_text()
    time.sleep(0.2)
    assert place.scratch.joinpath("alive").read_text() == alive


LIMITS = ProcessLimits(
    time_s=60, memory_mib=2000, time_setting="[releases] step_seconds", memory_setting="[releases] memory_mib"
)


def run_step(place: Place, lines: str, limits: ProcessLimits = LIMITS) -> None:
    command, variables = place.command(sys.executable, "-c", lines), confined_variables(place.scratch)
    run_child(command, folder=place.scratch, variables=variables, log=place.state / "log", limits=limits)


def test_a_step_that_hangs_is_ended_with_all_that_it_started(place: Place) -> None:
    hanging = ProcessLimits(time_s=3, memory_mib=2000, time_setting="[releases] step_seconds", memory_setting="")
    lines = f"import os, time\nif not os.fork():\n    exec({DAEMON!r})\ntime.sleep(100)"
    with pytest.raises(ProcessStoppedError, match="step_seconds"):
        run_step(place, lines, hanging)
    number = int(place.scratch.joinpath("started").read_text())
    wait_until(lambda: gone(number))


CONTROLLER = """
import sys
from pathlib import Path
from tests.releases.test_confinement import Place, run_step
place = Place.__new__(Place)
vars(place).update({name: Path(path) for name, path in (word.split("=") for word in sys.argv[2:])})
run_step(place, sys.argv[1])
"""


def test_a_step_ends_with_the_controller(place: Place, repository: Path) -> None:
    lines = f"import os, time\nif not os.fork():\n    exec({DAEMON!r})\ntime.sleep(100)"
    words = [f"{name}={path}" for name, path in vars(place).items()]
    controller = subprocess.Popen([sys.executable, "-c", CONTROLLER, lines, *words], cwd=repository)
    wait_until(place.scratch.joinpath("started").exists)
    number = int(place.scratch.joinpath("started").read_text())
    assert not gone(number)
    controller.kill()
    controller.wait()
    wait_until(lambda: gone(number))


def test_the_end_of_the_command_is_the_end_of_the_step(place: Place) -> None:
    run_step(place, "pass")
    with pytest.raises(ProcessError, match=r"the moon.*exit code 3"):
        run_step(place, "print('the moon'); raise SystemExit(3)")
    with pytest.raises(ProcessKilledError, match=f"signal {int(signal.SIGKILL)}"):
        run_step(place, "import os; os.kill(os.getpid(), 9)")


def test_files_can_be_read_and_the_scratch_folder_be_written(place: Place) -> None:
    lines = "import polars; print(polars.scan_parquet(home + '/rows.parquet').collect().height)"
    assert place.works(lines) == "3"
    place.works("""
import shutil, sqlite3, stat, tempfile, zipfile
os.makedirs('a/b'); open('a/b/c', 'w').write('x'); os.rename('a/b/c', 'a/c'); shutil.copy2('a/c', 'a/d')
shutil.copytree('a', 'copy'); shutil.rmtree('a')
os.chmod('copy/d', 0o500); assert stat.S_IMODE(os.stat('copy/d').st_mode) == 0o500
handle = os.open('copy/d', os.O_RDONLY); os.fchmod(handle, 0o640)
assert stat.S_IMODE(os.fstat(handle).st_mode) == 0o640
os.utime('copy/d', (5, 7)); assert os.stat('copy/d').st_mtime == 7
os.utime('copy/d'); assert os.stat('copy/d').st_mtime > 7
os.symlink('copy/d', 'symbolic'); os.utime('symbolic', (3, 3), follow_symlinks=False)
assert os.stat('copy/d').st_mtime > 7
with tempfile.NamedTemporaryFile() as file: assert file.name.startswith(scratch)
base = sqlite3.connect('base.db'); base.execute('PRAGMA journal_mode=WAL')
base.execute('CREATE TABLE t (x)'); base.commit()
os.mkfifo('pipe')
open('/dev/null', 'w').write('x')
""")


def test_a_script_can_be_made_and_run(place: Place) -> None:
    place.works("""
import subprocess
open('tool', 'w').write('#!/bin/sh\\necho made\\n'); os.chmod('tool', 0o755)
assert subprocess.run(['./tool'], capture_output=True, text=True, check=True).stdout == 'made\\n'
assert subprocess.run([sys.executable, '-c', 'print(1)'], start_new_session=True, check=True).returncode == 0
""")


def test_processes_of_python_work(place: Place) -> None:
    place.scratch.joinpath("many.py").write_text("""
import concurrent.futures, multiprocessing, threading

def square(number):
    return number * number

if __name__ == "__main__":
    for kind in ("fork", "spawn"):
        context = multiprocessing.get_context(kind)
        with context.Pool(2) as pool:
            assert pool.map(square, range(3)) == [0, 1, 4]
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
            assert list(executor.map(square, range(3))) == [0, 1, 4]
    queue, lock = multiprocessing.Queue(), multiprocessing.Lock()
    queue.put(1)
    assert queue.get() == 1
    from multiprocessing.shared_memory import SharedMemory
    memory = SharedMemory(create=True, size=10)
    memory.close()
    memory.unlink()
""")
    place.works("import subprocess; subprocess.run([sys.executable, 'many.py'], check=True)")


def test_an_event_loop_works(place: Place) -> None:
    lines = "import asyncio\nasync def main(): return await asyncio.to_thread(lambda: 5)\nprint(asyncio.run(main()))"
    assert place.works(lines) == "5"


def test_models_train_in_several_processes(place: Place) -> None:
    """Loky's processes, joblib's shared arrays, OpenMP; a warning would be an error."""
    place.works("""
import warnings
warnings.simplefilter('error')
import numpy as np
from joblib import Parallel, delayed
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import cross_val_score
X = np.random.default_rng(0).normal(size=(400, 4)); y = X[:, 0] > 0
assert cross_val_score(RandomForestClassifier(n_estimators=5), X, y, n_jobs=2, cv=2).mean() > 0.8
assert HistGradientBoostingClassifier(max_iter=5).fit(X, y).score(X, y) > 0.8
large = np.ones(2_000_000)
assert Parallel(n_jobs=2)(delayed(np.sum)(large) for _ in range(2)) == [2e6, 2e6]
import psutil
assert psutil.Process().memory_info().rss > 0
psutil.Process().children(recursive=True)
""")


def test_a_test_suite_runs(place: Place) -> None:
    place.tree.joinpath("conftest.py").write_text("""
import os
print({name: text for name, text in os.environ.items() if 'SECRET' in name or name.startswith('EVERFIT')})
try:
    print(open(f'/proc/{os.getppid()}/environ').read())
except PermissionError:
    print('refused')
""")
    place.tree.joinpath("test_parcels.py").write_text("""
import project

def test_name(tmp_path, monkeypatch, capsys):
    tmp_path.joinpath('x').write_text(project.NAME)
    monkeypatch.setenv('A', '1')
    assert tmp_path.joinpath('x').read_text() == 'parcels'
""")
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-s", "--rootdir", str(place.tree), str(place.tree))
    done = place.finished(place.command(sys.executable, *words), place.tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "refused" in done.stdout
    assert "{}" in done.stdout


def test_a_program_that_does_not_exist_is_an_error(place: Place) -> None:
    done = place.finished(place.command("/nowhere/python"), place.scratch)
    assert done.returncode != 0
    assert "/nowhere/python cannot be executed" in done.stderr


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("abi", [1, 7])
def test_a_filter_is_within_the_kernels_limit(machine: str, network: bool, abi: int) -> None:
    program = filter_program(machine, network=network, abi=abi)
    assert len(program) % 8 == 0
    assert len(program) // 8 < 4096


def test_the_kernel_says_which_version_it_has() -> None:
    assert landlock_abi() >= 6
