"""This system's own key: packages that execute code on load are accepted only with its signature."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from everfit.core.errors import StoreError, UntrustedPackageError

_PRIVATE = "private.pem"
_PUBLIC = "trusted"


class Trust:
    """The public keys whose code this system executes: raw Ed25519 keys, in hexadecimal."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._keys = frozenset(keys)

    @property
    def keys(self) -> list[str]:
        """The keys, in order."""
        return sorted(self._keys)

    def verify(self, message: bytes, *, signature: str, key: str, place: str) -> None:
        """Verify that a trusted key signed a message; ``signature`` (empty for none) and ``key`` are hexadecimal.

        Raises :class:`~everfit.core.errors.UntrustedPackageError` if it is unsigned, the key is unknown, or the
        signature is of another message.
        """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        if not signature or key not in self._keys:
            raise UntrustedPackageError(
                "loading this package executes code, so one of the trusted keys must have signed it",
                value=key[:16] or "no signature",
                remedy=f"Train it here, or put the key's file into the folder {_PUBLIC!r} beside this system's keys.",
                place=place,
            )
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), message)
        except (InvalidSignature, ValueError) as problem:
            raise UntrustedPackageError(
                "the signature must be of this very package", value=signature[:16], place=place
            ) from problem


class Signer:
    """Signs packages with an Ed25519 private key, of which ``seed`` are the 32 bytes."""

    def __init__(self, seed: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._private = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def key(self) -> str:
        """The public key, in hexadecimal."""
        return self._private.public_key().public_bytes_raw().hex()

    def sign(self, message: bytes) -> str:
        """Return the Ed25519 signature of a message, in hexadecimal."""
        return self._private.sign(message).hex()


def open_keys(folder: Path) -> tuple[Signer, Trust]:
    """Read this system's key pair, or make it.

    The folder holds the private key (mode 0600) and the folder ``trusted`` with one ``.key`` file, a public key in
    hexadecimal, for every key that is trusted; this system's own is always among them. Raises
    :class:`~everfit.core.errors.StoreError` if there is no key, and none can be made.
    """
    try:
        signer = Signer(_private_key(folder))
        own = folder / _PUBLIC / "own.key"
        if not own.exists():
            own.parent.mkdir(parents=True, exist_ok=True)
            own.write_text(f"{signer.key}\n")
    except OSError as error:
        raise StoreError(
            f"the system's keys must be there, or a folder in which they can be made: {error.strerror}",
            value=str(folder),
            remedy="Run a command once where the project's folder can be written.",
        ) from error
    return signer, Trust([signer.key, *_trusted(folder)])


def read_trust(folder: Path) -> Trust:
    """Read the keys that a system trusts, without its private key; none if the folder does not exist."""
    return Trust(_trusted(folder))


def _trusted(folder: Path) -> list[str]:
    return [path.read_text().strip() for path in sorted((folder / _PUBLIC).glob("*.key"))]


def _private_key(folder: Path) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / _PRIVATE
    if not path.exists():
        text = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        fresh = folder / f"{_PRIVATE}.{os.getpid()}"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(text)
        try:
            os.link(fresh, path)  # the first of two processes wins, and both read the winner's key
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(private, Ed25519PrivateKey):
        raise UntrustedPackageError("the system's key must be an Ed25519 key", value=str(path))
    return private.private_bytes_raw()
