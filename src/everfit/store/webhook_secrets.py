"""Secrets that sign webhooks: a file with one secret a line, the oldest first, which only its owner can read.

A file and not a setting: it can be changed while the service runs, and neither a process listing, nor a child's
environment, nor a page of settings shows it.
"""

from __future__ import annotations

import binascii
import os
import secrets
import stat
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path

from everfit.core.errors import SettingsError, StoreError
from everfit.core.secret import Secret
from everfit.store.atomic_file import replace_file

STANDARD_PREFIX = "whsec_"
"""Begins a secret of Standard Webhooks; the rest is its key in base64."""
_NEW_KEY_BYTES = 32
_SHORTEST = 16
"""Characters; chosen: a random text of 16 letters cannot be guessed from a signature."""
_SHORTEST_KEY_BYTES = 24
"""Of Standard Webhooks."""
_MOST = 8
"""Each wrong signature is compared with every secret."""


class WebhookSecrets:
    """The file of the secrets."""

    def __init__(self, keys: Path) -> None:
        self.path = keys / "webhook.secrets"

    def read(self) -> tuple[Secret, ...]:
        """Return the secrets, oldest first; none if there is no file.

        Raises :class:`SettingsError` if others can read the file, or one of its lines is no usable secret; no message
        contains a secret.
        """
        try:
            with self.path.open(encoding="utf-8") as file:
                mode = os.fstat(file.fileno()).st_mode
                if stat.S_IMODE(mode) & 0o077:
                    remedy = f"chmod 600 {self.path}; if others may have read it, replace the secrets."
                    rule = "only its owner may read the file of webhook secrets"
                    raise SettingsError(rule, value=f"{stat.S_IMODE(mode):o}", remedy=remedy, place=str(self.path))
                lines = file.read().splitlines()
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError) as error:
            rule = f"the file of webhook secrets must be readable text ({type(error).__name__})"
            raise SettingsError(rule, place=str(self.path)) from None
        self._require_usable(lines)
        return tuple(map(Secret, lines))

    def rotate(self) -> Secret:
        """Add a new secret and return it; those before stay valid until they are removed.

        Raises :class:`SettingsError` as :meth:`read` or if there are too many, :class:`StoreError` if the file cannot
        be written.
        """
        present = self.read()
        if len(present) >= _MOST:
            remedy = "Remove the oldest one: everfit releases secret --remove."
            raise SettingsError(f"at most {_MOST} webhook secrets may be valid", value=len(present), remedy=remedy)
        made = Secret(STANDARD_PREFIX + b64encode(secrets.token_bytes(_NEW_KEY_BYTES)).decode())
        self._write((*present, made))
        return made

    def remove_oldest(self) -> bool:
        """Remove the oldest secret, and the file with the last one; return false if there is none.

        Raises :class:`SettingsError` and :class:`StoreError` as :meth:`rotate`.
        """
        present = self.read()
        if len(present) > 1:
            self._write(present[1:])
        elif present:
            self.path.unlink(missing_ok=True)
        return bool(present)

    def stamp(self) -> tuple[int, int, int]:
        """Return a value that changes with the file or its mode; cheap."""
        try:
            found = self.path.stat()
        except OSError:
            return 0, 0, 0
        return found.st_ctime_ns, found.st_ino, found.st_mode

    def _write(self, kept: Sequence[Secret]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            content = "".join(f"{secret.reveal()}\n" for secret in kept)
            replace_file(self.path, content.encode(), durable=True, mode=0o600)
        except OSError as error:
            rule = f"the file of webhook secrets must be writable: {error.strerror}"
            raise StoreError(rule, value=str(self.path)) from error

    def _require_usable(self, lines: Sequence[str]) -> None:
        if not 1 <= len(lines) <= _MOST:
            remedy = "Delete the file, and make a secret: everfit releases secret --rotate."
            rule = f"the file of webhook secrets must hold 1 to {_MOST} of them"
            raise SettingsError(rule, value=len(lines), remedy=remedy, place=str(self.path))
        for number, line in enumerate(lines, start=1):
            if line != line.strip() or len(line) < _SHORTEST or not line.isprintable():
                rule = f"a webhook secret must have at least {_SHORTEST} printable characters, and no blank at an end"
                raise SettingsError(rule, place=f"{self.path}, line {number}")
            if line.startswith(STANDARD_PREFIX) and len(standard_key(line)) < _SHORTEST_KEY_BYTES:
                rule = (
                    f"a webhook secret with {STANDARD_PREFIX} must hold {_SHORTEST_KEY_BYTES} bytes or more in base64"
                )
                raise SettingsError(rule, place=f"{self.path}, line {number}")


def standard_key(secret: str) -> bytes:
    """Return the key of a secret of Standard Webhooks; empty for one of another form."""
    if not secret.startswith(STANDARD_PREFIX):
        return b""
    try:
        return b64decode(secret.removeprefix(STANDARD_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""
