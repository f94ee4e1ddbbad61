"""Script that runs a command confined: ``python -I -S confined_process.py SPECIFICATION COMMAND ...``.

It needs the standard library alone, since it runs before anything that is installed may. This process, the supervisor,
stays outside, and ends all that the command started once the command or the parent process has ended. Its child gives
up every right that the specification does not grant, then executes the command:

- Landlock: files, TCP, signals and abstract sockets.
- A seccomp filter: what Landlock does not cover, such as UDP, sockets in the file system, ``ptrace`` and kernel keys.
- ``chmod`` and ``utime``, which neither can limit to a folder, are carried out by the supervisor.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import platform
import resource
import select
import signal
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import RawIOBase
from typing import Any, NoReturn

_LIBC = ctypes.CDLL(None, use_errno=True)

# linux/prctl.h, linux/capability.h
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 1, 38, 47, 4
_CAP_DAC_OVERRIDE, _CAP_FOWNER, _CAPABILITY_VERSION_3 = 1, 3, 0x20080522
_OPEN_FILES, _FILE_BYTES = 4096, 4 << 30

# linux/landlock.h; these numbers are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = 1, 2, 4, 8, 16, 32
_MAKE_DIR, _MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_SYM = 128, 256, 512, 1024, 4096
_FIRST_RIGHTS, _REFER, _TRUNCATE, _IOCTL_DEV = (1 << 13) - 1, 1 << 13, 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READS = _EXECUTE | _READ_FILE | _READ_DIR
_WRITES = (
    _READS | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SOCK | _MAKE_FIFO | _MAKE_SYM
)
_WRITES |= _REFER | _TRUNCATE
_TCP, _SCOPES = 3, 3
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# Semaphores and shared memory of multiprocessing. Names of others cannot be listed there.
_SHARED = {"/dev/shm": _READ_FILE | _WRITE_FILE | _MAKE_REG | _REMOVE_FILE | _TRUNCATE}  # noqa: S108 - its one place

# linux/seccomp.h, linux/audit.h
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
_ALLOW, _ERRNO, _NOTIFY = 0x7FFF0000, 0x00050000, 0x7FC00000
_RECEIVE, _SEND, _ID_VALID = 0xC0502100, 0xC0182101, 0x40082102
_NOTIFICATION, _RESPONSE = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06

_AT_FDCWD, _AT_SYMLINK_NOFOLLOW = -100, 0x100
_TIMES_BYTES = 32
_LONGEST_PATH = _PAGE = 4096

# Numbers of system calls on x86-64 and on AArch64 (asm/unistd_64.h, asm-generic/unistd.h); 0: there is none.
_DENIED = (
    *((101, 117), (310, 270), (311, 271), (312, 272), (438, 438), (440, 440)),  # ptrace and its relatives
    *((321, 280), (298, 241), (323, 282), (250, 219), (248, 217), (249, 218)),  # bpf, perf, userfaultfd, keys
    *((304, 265), (308, 268), (272, 97)),  # open_by_handle_at, setns, unshare
    *((29, 194), (30, 196), (68, 186), (64, 190), (240, 180)),  # IPC of System V, message queues
    *((92, 0), (93, 55), (94, 0), (260, 54), (469, 469)),  # owners and attributes of files
    *((188, 5), (189, 6), (190, 7), (463, 463), (197, 14), (198, 15), (199, 16), (466, 466)),
    *((132, 0), (235, 0), (261, 0)),  # utime, utimes, futimesat: old forms of utimensat
)
_ABSENT = ((425, 425), (452, 452), (437, 437))  # io_uring_setup, fchmodat2, openat2: programs do without
_WITHOUT_EFFECT = ((112, 157), (109, 154))  # setsid, setpgid: all processes stay in one group, which is ended as one
_CHMOD, _FCHMOD, _FCHMODAT, _UTIMENSAT = (90, 0), (91, 52), (268, 53), (280, 88)
_SUPERVISED = (_CHMOD, _FCHMOD, _FCHMODAT, _UTIMENSAT)
_SOCKET, _SOCKETPAIR, _IOCTL, _PRLIMIT, _SETPRIORITY, _OPEN, _OPENAT, _TRUNCATE_PATH = (
    *((41, 198), (53, 199), (16, 29), (302, 261), (141, 140), (2, 0), (257, 56), (76, 45)),
)
_TERMINAL_INPUT, _SET_FLAGS, _SET_EXTENDED_FLAGS = 0x5412, 0x40086602, 0x401C5820


def landlock_abi() -> int:
    """Return the version of Landlock in this kernel; 0 if there is none."""
    if platform.system() != "Linux":
        return 0
    return max(int(_LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)), 0)


def has_filter() -> bool:
    """Return whether system calls can be filtered on this machine."""
    return platform.system() == "Linux" and platform.machine() in _SECCOMP


def restrict_files(reads: Iterable[str], writes: Iterable[str], *, network: bool, abi: int) -> None:
    """Give up every right to files and TCP that is not granted. Raises :class:`OSError` if the kernel refuses."""
    handled = _FIRST_RIGHTS | (_REFER * (abi >= 2)) | (_TRUNCATE * (abi >= 3)) | (_IOCTL_DEV * (abi >= 5))
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    attributes = struct.pack("=QQQ", handled, 0 if network else _TCP, _SCOPES)[:size]
    ruleset = _checked(_LIBC.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0))
    granted = [(path, _READS) for path in reads] + [(path, _WRITES) for path in writes] + list(_SHARED.items())
    granted += [(path, _READ_FILE | _WRITE_FILE | _TRUNCATE) for path in _DEVICES]
    for path, rights in granted:
        with suppress(OSError):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            allowed = rights & handled & (-1 if os.path.isdir(path) else _OF_FILES)
            _checked(_LIBC.syscall(_ADD_RULE, ruleset, 1, struct.pack("=Qi", allowed, place), 0))
            os.close(place)
    _checked(_LIBC.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def filter_program(machine: str, *, network: bool, abi: int) -> bytes:
    """Return the seccomp filter as instructions of classic BPF."""
    column = 0 if machine == "x86_64" else 1
    denied = _ERRNO | errno.EPERM

    def one(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    def called(numbers: tuple[int, int], then: bytes) -> bytes:
        """Return instructions that run ``then`` if a system call has that number."""
        if not numbers[column]:
            return b""
        return one(_LOAD, 0) + one(_JUMP_EQUAL, numbers[column], 0, len(then) // 8) + then

    def argument(place: int, mask: int = 0xFFFFFFFF) -> bytes:
        return one(_LOAD, 16 + 8 * place) + one(_AND, mask)

    def refuse(place: int, *values: int, mask: int = 0xFFFFFFFF) -> bytes:
        return argument(place, mask) + b"".join(
            one(_JUMP_EQUAL, value, 0, 1) + one(_RETURN, denied) for value in values
        )

    def demand(place: int, *values: int) -> bytes:
        passing = b"".join(one(_JUMP_EQUAL, value, len(values) - at) for at, value in enumerate(values))
        return argument(place) + passing + one(_RETURN, denied)

    internet = (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK) if network else ()
    program = one(_LOAD, 4) + one(_JUMP_EQUAL, _ARCHITECTURE[machine], 1, 0) + one(_RETURN, denied)
    if machine == "x86_64":  # The calls of the x32 variant have other numbers.
        program += one(_LOAD, 0) + one(_JUMP_AT_LEAST, 0x40000000, 0, 1) + one(_RETURN, denied)
    for numbers in _DENIED:
        program += called(numbers, one(_RETURN, denied))
    for numbers in _ABSENT:
        program += called(numbers, one(_RETURN, _ERRNO | errno.ENOSYS))
    for numbers in _WITHOUT_EFFECT:
        program += called(numbers, one(_RETURN, _ERRNO))
    for numbers in _SUPERVISED:
        program += called(numbers, one(_RETURN, _NOTIFY))
    program += called(_SOCKET, demand(0, *internet))
    # A pair of datagram sockets could still send to any socket that has a name.
    program += called(_SOCKETPAIR, refuse(1, socket.SOCK_DGRAM, mask=0xF))
    program += called(_IOCTL, refuse(1, _TERMINAL_INPUT, _SET_FLAGS, _SET_EXTENDED_FLAGS))
    program += called(_PRLIMIT, demand(0, 0)) + called(_SETPRIORITY, demand(1, 0))
    if abi < 3:  # Landlock has no right of truncation yet.
        for numbers, place in ((_OPEN, 1), (_OPENAT, 2)):
            program += called(numbers, refuse(place, os.O_TRUNC, mask=os.O_TRUNC | os.O_ACCMODE))
        program += called(_TRUNCATE_PATH, one(_RETURN, denied))
    return program + one(_RETURN, _ALLOW)


def filter_calls(program: bytes) -> int:
    """Install a filter in this process, and return the file to receive notifications from."""
    content = ctypes.create_string_buffer(program, len(program))
    pointer = struct.pack("@HP", len(program) // 8, ctypes.addressof(content))
    return _checked(_LIBC.syscall(_SECCOMP[platform.machine()], _SET_MODE_FILTER, _NEW_LISTENER, pointer))


class CallBroker:
    """Carries out calls that change a file's mode or times, if the file is in a folder that may be written to."""

    def __init__(self, listener: int, writes: Iterable[str]) -> None:
        self._listener = listener
        self._folders = [os.path.realpath(path) for path in writes]
        self._column = 0 if platform.machine() == "x86_64" else 1

    def answer(self) -> None:
        """Receive one call, carry it out or refuse it, and let the caller continue."""
        received = bytearray(_NOTIFICATION.size)
        fcntl.ioctl(self._listener, _RECEIVE, received)
        number, caller, _, call, _, _, *arguments = _NOTIFICATION.unpack(received)
        code = 0
        try:
            self._carry_out(number, caller, call, arguments)
        except OSError as error:
            code = error.errno or errno.EPERM
        fcntl.ioctl(self._listener, _SEND, _RESPONSE.pack(number, 0, -code, 0))

    def _carry_out(self, number: int, caller: int, call: int, arguments: list[int]) -> None:
        column = self._column
        memory = os.open(f"/proc/{caller}/mem", os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(memory, "rb", buffering=0) as file:
            # The caller may have ended, and its number may belong to another process.
            fcntl.ioctl(self._listener, _ID_VALID, struct.pack("=Q", number))
            if call == _CHMOD[column]:
                with self._opened(caller, _AT_FDCWD, _text(file, arguments[0]), 0) as path:
                    os.chmod(path, arguments[1] & 0o777)
            elif call == _FCHMOD[column]:
                with self._opened(caller, arguments[0], "", 0) as path:
                    os.chmod(path, arguments[1] & 0o777)
            elif call == _FCHMODAT[column]:
                with self._opened(caller, arguments[0], _text(file, arguments[1]), 0) as path:
                    os.chmod(path, arguments[2] & 0o777)
            else:
                text = _text(file, arguments[1]) if arguments[1] else ""
                with self._opened(caller, arguments[0], text, arguments[3]) as path:
                    _set_times(path, file, arguments[2])

    @contextmanager
    def _opened(self, caller: int, folder: int, path: str, flags: int) -> Iterator[str]:
        """Open what a caller means, and yield a path of it that means nothing else; refuse what is outside."""
        folder = ctypes.c_int(folder & 0xFFFFFFFF).value
        base = f"/proc/{caller}/cwd" if folder == _AT_FDCWD else f"/proc/{caller}/fd/{folder}"
        where = os.path.join(base, path) if path else base
        follow = not path or not flags & _AT_SYMLINK_NOFOLLOW
        handle = os.open(where, os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
        try:
            opened = f"/proc/self/fd/{handle}"
            real = os.readlink(opened)
            if not any(real == root or real.startswith(root + "/") for root in self._folders):
                raise PermissionError(errno.EPERM, "outside of the folders that may be written to")
            yield opened
        finally:
            os.close(handle)


def _text(memory: RawIOBase, address: int) -> str:
    """Return the text that ends with a zero at an address, which may be near the end of what can be read."""
    content = b""
    while b"\0" not in content and len(content) < _LONGEST_PATH:
        memory.seek(address + len(content))
        content += memory.read(_PAGE - (address + len(content)) % _PAGE) or b"\0"
    return os.fsdecode(content.partition(b"\0")[0])


def _set_times(path: str, memory: RawIOBase, address: int) -> None:
    """Set the two times that are at an address, as ``utimensat`` takes them; no address: now."""
    times = None
    if address:
        memory.seek(address)
        times = memory.read(_TIMES_BYTES)
    _checked(_LIBC.utimensat(_AT_FDCWD, os.fsencode(path), times, 0))


def _execute(specification: dict[str, Any], command: list[str], parent: int, channel: socket.socket) -> NoReturn:
    """Confine this process, send the file of notifications to the supervisor, and become the command."""
    # A group of its own, but the supervisor's session: by that, its rest is found if the supervisor is killed.
    os.setpgid(0, 0)
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # It is killed before what serves.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = _OPEN_FILES if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    os.dup2(channel.fileno(), 3, inheritable=False)
    os.closerange(4, 1 << 20)
    network, abi = bool(specification["network"]), landlock_abi()
    _checked(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _drop_capabilities()
    if abi:
        restrict_files(specification["reads"], specification["writes"], network=network, abi=abi)
    listener: list[int] = []
    if has_filter():
        try:
            listener = [filter_calls(filter_program(platform.machine(), network=network, abi=abi))]
        except OSError as error:
            os.write(2, f"system calls are not filtered: {error}\n".encode())
    with socket.socket(fileno=3) as end:
        socket.send_fds(end, [b"."], listener)
    for number in listener:
        os.close(number)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the caller's own command
    except OSError as error:
        sys.exit(f"{command[0]} cannot be executed: {error}")


def _drop_capabilities() -> None:
    """Keep of the superuser's rights only access to files, which Landlock limits."""
    _LIBC.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    present = ctypes.create_string_buffer(24)
    _checked(_LIBC.capget(header, present))
    kept = 1 << _CAP_DAC_OVERRIDE | 1 << _CAP_FOWNER
    effective, permitted, *_ = struct.unpack("=6I", present.raw)
    rights = struct.pack("=6I", effective & kept, permitted & kept, 0, 0, 0, 0)
    _checked(_LIBC.capset(header, ctypes.create_string_buffer(rights)))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _supervise(child: int, broker: CallBroker | None, listener: int) -> None:
    """Wait until the command has ended; carry out calls meanwhile."""
    if broker is None:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        return
    ended = os.pidfd_open(child)
    waiting = select.poll()
    waiting.register(ended, select.POLLIN)
    waiting.register(listener, select.POLLIN)
    while ended not in (ready := dict(waiting.poll())):
        if ready.get(listener, 0) & select.POLLIN:
            with suppress(OSError):  # The caller is gone.
                broker.answer()
        else:
            waiting.unregister(listener)


def main() -> None:
    """Run the command; end as it ended, and let nothing that it started live on."""
    specification, command = json.loads(sys.argv[1]), sys.argv[2:]
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    own, others = socket.socketpair()
    parent = os.getpid()
    child = os.fork()
    if not child:
        _execute(specification, command, parent, others)

    def end(*_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)

    signal.signal(signal.SIGTERM, end)
    others.close()
    _, listeners, _, _ = socket.recv_fds(own, 1, 1)
    try:
        broker = CallBroker(listeners[0], specification["writes"]) if listeners else None
        _supervise(child, broker, listeners[0] if listeners else -1)
    finally:
        end()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        with suppress(OSError):
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
