"""Hook of a source repository: a push of the watched branch is found at once, and the pusher sees its release.

Git runs it after the push, with the pusher's rights, and sends what it prints to the pusher (``remote: …``).
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from string import Template

from everfit.core.errors import RepositoryError, SettingsError
from everfit.core.settings import ReleaseSettings
from everfit.releases.git import require_ref
from everfit.releases.repository import find_repository, git_folder, user_settings
from everfit.store.look_signal import look_file

_MARK = "# Everfit's hook, made by 'everfit releases hook'; with --remove it is removed.\n"
_FOLLOW_S = 900
"""Longest time that a pusher waits for the result; chosen."""
_SCRIPT = Template(
    "#!/bin/sh\n"
    + _MARK
    + r"""project=$project
python=$python
branch=$branch
look=$look

pushed=
while read -r _ new ref; do
    if [ "$$ref" = "$$branch" ]; then pushed=$$new; fi
done
[ -n "$$pushed" ] || exit 0

# Git sets them for its hooks; here they would name the wrong repository.
for name in $$(env | sed -n 's/^\(GIT_[A-Z0-9_]*\)=.*/\1/p'); do unset "$$name"; done

# A new file, since the present one may be another user's.
if ! { touch "$$look.$$$$" && mv -f "$$look.$$$$" "$$look"; } 2>/dev/null || ! [ -x "$$python" ]; then
    echo "Everfit: $$(id -un) cannot write to $$project/.everfit; the next poll of the repository finds this push."
    exit 0
fi
# The id of a branch that was deleted is zeros.
case $$pushed in *[!0]*) ;; *) exit 0 ;; esac
cd /
"$$python" -P -m everfit releases follow "$$pushed" --seconds $seconds --project "$$project" </dev/null
exit 0
"""
)


def install_hook(repository: Path, root: Path, state: Path, settings: ReleaseSettings, *, interpreter: str) -> Path:
    """Write the hook ``post-receive``, and return its path; the project's own older one is replaced.

    Raises :class:`RepositoryError` if there is no repository, another hook, or a setting of git keeps it from running;
    :class:`SettingsError` if the project watches another repository.

    Args:
        repository: Folder of a repository on this machine, bare or not.
        root: The project's folder.
        state: The project's state folder.
        settings: The repository and the branch that are watched.
        interpreter: The Python that Everfit is installed in.
    """
    own = _own_folder(repository)
    _require_watched(own, repository, root, settings)
    require_ref(settings.branch)
    hook = own / "hooks" / "post-receive"
    _require_replaceable(hook, root)
    elsewhere = user_settings("core.hooksPath", own)
    if elsewhere and (own / elsewhere[-1]).resolve() != hook.parent.resolve():
        rule = "git must look for hooks in the repository; its setting core.hooksPath names another folder"
        remedy = f"Run: git --git-dir {shlex.quote(str(own))} config core.hooksPath {shlex.quote(str(hook.parent))}"
        raise RepositoryError(rule, value=elsewhere[-1], remedy=remedy)
    look = look_file(state)
    script = _SCRIPT.substitute(
        project=_project(root),
        python=shlex.quote(interpreter),
        branch=shlex.quote(f"refs/heads/{settings.branch}"),
        look=shlex.quote(str(look)),
        seconds=_FOLLOW_S,
    )
    try:
        look.parent.mkdir(parents=True, exist_ok=True)
        hook.parent.mkdir(exist_ok=True)
        fresh = hook.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(script, encoding="utf-8")
        fresh.chmod(0o755)
        fresh.rename(hook)
    except OSError as error:
        raise RepositoryError(f"the hook must be writable: {error}", value=str(hook)) from error
    return hook


def remove_hook(repository: Path, root: Path) -> Path:
    """Remove the project's hook, and return its path.

    Raises :class:`RepositoryError` if there is no repository or hook, or the hook is another one.
    """
    hook = _own_folder(repository) / "hooks" / "post-receive"
    if not hook.exists():
        raise RepositoryError("there must be a hook of this project", value=str(hook))
    _require_replaceable(hook, root)
    try:
        hook.unlink()
    except OSError as error:
        raise RepositoryError(f"the hook must be removable: {error}", value=str(hook)) from error
    return hook


def _own_folder(repository: Path) -> Path:
    found = git_folder(repository)
    if found is None:
        remedy = "Name the folder of a repository on this machine; for others, set up a webhook."
        raise RepositoryError("there must be a git repository", value=str(repository), remedy=remedy)
    return found


def _require_watched(own: Path, repository: Path, root: Path, settings: ReleaseSettings) -> None:
    """Refuse a repository that is not the one of the settings; whether a URL means it is not known."""
    try:
        watched = find_repository(settings.repository, root).folder
    except RepositoryError:
        watched = root
    if watched is not None and git_folder(watched) != own:
        rule = "the hook must be in the repository that is watched"
        remedy = f"Write [releases] repository = '{repository.resolve()}' in everfit.toml."
        raise SettingsError(rule, value=settings.repository, remedy=remedy)


def _require_replaceable(hook: Path, root: Path) -> None:
    """Refuse a hook that is not this project's own."""
    try:
        text = hook.read_text(encoding="utf-8", errors="replace") if hook.exists() or hook.is_symlink() else None
    except OSError as error:
        raise RepositoryError(f"the hook must be readable: {error}", value=str(hook)) from error
    if text is not None and f"{_MARK}project={_project(root)}\n" not in text:
        remedy = "Remove it, or let it touch the file .everfit/releases/look of the project."
        raise RepositoryError("a hook of another program or project is not changed", value=str(hook), remedy=remedy)


def _project(root: Path) -> str:
    return shlex.quote(str(root))
