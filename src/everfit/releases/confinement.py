"""Confinement of code that is not released yet: the command line and the variables of a process that can reach nothing.

It can read and write what is granted here, and has no credentials, no network unless it is allowed, and no access to
other processes. :mod:`everfit.releases.confined_process` is executed before it and takes the rights away.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from everfit.releases.confined_process import has_filter, landlock_abi
from everfit.releases.installation import package_folders

_SCRIPT = Path(__file__).with_name("confined_process.py")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/proc", "/sys")
"""Folders of the system that programs need; of ``/proc`` the kernel refuses what concerns other processes' memory,
environment and files."""
_CONFIGURATION = (
    *("alternatives", "ca-certificates", "crypto-policies", "fonts", "gai.conf", "group", "host.conf", "hosts"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime", "magic", "mime.types", "nsswitch.conf"),
    *("os-release", "passwd", "pki/ca-trust", "pki/tls/certs", "protocols", "resolv.conf", "services", "ssl/cert.pem"),
    *("ssl/certs", "ssl/openssl.cnf", "timezone"),
)
"""Entries of ``/etc`` that are granted; others hold secrets."""
_RESOLVER = "/run/systemd/resolve"
_KEPT_VARIABLES = (
    *(
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
        "LD_LIBRARY_PATH",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "LOKY_MAX_CPU_COUNT",
    ),
    *("OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "POLARS_MAX_THREADS", "NUMEXPR_NUM_THREADS"),
)
"""Variables of this process that a confined one has as well."""


def confined_command(
    command: Sequence[str],
    *,
    reads: Iterable[Path],
    writes: Iterable[Path],
    network: bool,
    environments: Path,
) -> list[str]:
    """Return the command line that runs a command confined.

    The system, the Python of this process and Everfit's packages can be read always. Where there is no Linux, that is
    the command itself; see :func:`confinement_gaps`.

    Args:
        command: The command, with the path of its program.
        reads: Further files and folders that it can read and execute.
        writes: Folders that it can also write to.
        network: Lets it connect to the network; otherwise not even to this machine.
        environments: Folder of the releases' environments; see :func:`package_folders`.
    """
    if platform.system() != "Linux":
        return list(command)
    granted = [*_system_reads(environments, network=network), *reads]
    specification = {"reads": _paths(granted), "writes": _paths(writes), "network": network}
    return [sys.executable, "-I", "-S", str(_SCRIPT), json.dumps(specification), *command]


def confined_variables(scratch: Path, interpreter: str = sys.executable) -> dict[str, str]:
    """Return all environment variables of a confined process, and make the folders that they name.

    Args:
        scratch: Folder that it can write to.
        interpreter: Python whose commands are found first.
    """
    folders = {
        "HOME": "home",
        "TMPDIR": "tmp",
        "XDG_CACHE_HOME": "home/.cache",
        "XDG_CONFIG_HOME": "home/.config",
        "MPLCONFIGDIR": "home/.config/matplotlib",
        # The other place that joblib knows is the shared memory, which confined code cannot list.
        "JOBLIB_TEMP_FOLDER": "tmp",
    }
    for folder in folders.values():
        (scratch / folder).mkdir(parents=True, exist_ok=True)
    return {
        "LANG": "C.UTF-8",
        **{name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
        **{name: str(scratch / folder) for name, folder in folders.items()},
        "PATH": os.pathsep.join([str(Path(interpreter).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def project_reads(home: Path, paths: Mapping[str, str]) -> list[Path]:
    """Return what confined code can read of a project's folder: all but hidden entries, and the folders of ``[paths]``.

    Hidden are the state with its keys, ``.env`` and ``.git``. The folder itself cannot be listed.
    """
    visible = [entry for entry in home.iterdir() if not entry.name.startswith(".")]
    return [*sorted(visible), *((home / path).resolve() for path in paths.values())]


def confinement_gaps() -> tuple[str, ...]:
    """Return what confined code can do because this kernel is too old, as sentences; none on Linux 6.12 or newer."""
    abi = landlock_abi()
    gaps = []
    if not abi:
        gaps.append("There is no Landlock here: code that is tested can read and write what this user can.")
    if abi and abi < 6:
        gaps.append(f"Landlock {abi} does not limit signals: code that is tested can end this user's processes.")
    if not has_filter():
        gaps.append("System calls are not filtered here: code that is tested can use sockets other than TCP.")
    return tuple(gaps)


def _system_reads(environments: Path, *, network: bool) -> list[Path]:
    packages = package_folders(environments)
    # bin/python and pyvenv.cfg of the virtual environment that Everfit is installed in.
    roots = [folder.parents[2] for folder in packages if len(folder.parents) > 2]
    return [
        *map(Path, _SYSTEM),
        *(Path("/etc") / name for name in _CONFIGURATION),
        *([Path(_RESOLVER)] if network else []),
        *packages,
        *(root for root in roots if (root / "pyvenv.cfg").is_file()),
        Path(sys.prefix),
        Path(sys.base_prefix),
    ]


def _paths(paths: Iterable[Path]) -> list[str]:
    return [str(path) for path in dict.fromkeys(paths)]
