"""Verification of a webhook over the body as it was sent. Pure.

| scheme | headers | signed |
| --- | --- | --- |
| Standard Webhooks | ``webhook-id``, ``webhook-timestamp``, ``webhook-signature: v1,…`` | id, time, body |
| GitHub | ``X-Hub-Signature-256: sha256=…`` | body |
| Gitea, Forgejo | ``X-Gitea-Signature`` | body |
| Bitbucket | ``X-Hub-Signature: sha256=…`` | body |
| GitLab | ``X-Gitlab-Token``: the secret itself | nothing |

A request is verified by the first scheme of this table that it has a header of: the one that proves most. Only Standard
Webhooks sign an id and a time. The others' ids, such as ``X-GitHub-Delivery``, are as easily changed as copied, so that
not ids are remembered but digests of what was signed.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from hmac import compare_digest, digest

from everfit.core.errors import UnsignedRequestError
from everfit.core.secret import Secret
from everfit.store.webhook_secrets import standard_key

TOLERANCE_S = 300.0
"""Largest difference between a signed time and the clock, in seconds; that of Standard Webhooks' own libraries."""
_STANDARD = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
_OF_THE_BODY = ((b"x-hub-signature-256", b"sha256="), (b"x-gitea-signature", b""), (b"x-hub-signature", b"sha256="))
_TOKEN, _EVENT = b"x-gitlab-token", b"x-gitlab-event-uuid"
_LONGEST_ID = 256
_LONGEST_TIME = 12
"""Digits; seconds since 1970 have 10 until the year 2286."""
_MOST_SIGNATURES = 16


def verify_webhook(
    headers: Iterable[tuple[bytes, bytes]], body: bytes, secrets: Sequence[Secret], *, now_s: float
) -> str:
    """Return the digest of what the sender proved to have sent, in hexadecimal; equal for a replayed request.

    Raises :class:`UnsignedRequestError` if no secret verifies it. Signatures are compared in constant time, each with
    every secret.

    Args:
        headers: Names in lower case.
        secrets: None verifies nothing.
        now_s: Seconds since 1970.
    """
    found: dict[bytes, bytes] = {}
    relevant = {*_STANDARD, *(name for name, _ in _OF_THE_BODY), _TOKEN, _EVENT}
    for name, value in headers:
        if name in relevant:
            if name in found:
                raise UnsignedRequestError("a header that proves the sender must be sent once", place=name.decode())
            found[name] = value
    if not found.keys().isdisjoint(_STANDARD):
        return _verify_standard(found, body, secrets, now_s)
    for name, prefix in _OF_THE_BODY:
        if name in found:
            expected = [prefix + _mac(secret.reveal().encode(), body).hex().encode() for secret in secrets]
            _require_match([found[name]], expected, name)
            return _digest(b"body", body)
    if _TOKEN in found:
        # Of digests: the comparison of texts of two lengths would show the length.
        expected = [sha256(secret.reveal().encode()).digest() for secret in secrets]
        _require_match([sha256(found[_TOKEN]).digest()], expected, _TOKEN)
        return _digest(b"token", found.get(_EVENT, b""), body)
    raise UnsignedRequestError("a webhook must be signed")


def _verify_standard(found: Mapping[bytes, bytes], body: bytes, secrets: Sequence[Secret], now_s: float) -> str:
    identity, time, signatures = (found.get(name, b"") for name in _STANDARD)
    # A full stop separates what is signed: one within the id would let parts change places.
    if not 0 < len(identity) <= _LONGEST_ID or b"." in identity:
        raise UnsignedRequestError("an id must be there, and have no full stop", place="webhook-id")
    if not time.isdigit() or len(time) > _LONGEST_TIME:
        raise UnsignedRequestError("a time must be seconds since 1970", place="webhook-timestamp")
    content = b".".join((identity, time, body))
    keys = filter(None, (standard_key(secret.reveal()) for secret in secrets))
    expected = [b"v1," + b64encode(_mac(key, content)) for key in keys]
    _require_match(signatures.split(b" ")[:_MOST_SIGNATURES], expected, b"webhook-signature")
    # Afterwards, so that the log tells an old message from a forged one.
    if abs(now_s - int(time)) > TOLERANCE_S:
        rule = f"a webhook's time must be within {TOLERANCE_S:g} seconds of this machine's clock"
        raise UnsignedRequestError(rule, value=int(time), place="webhook-timestamp")
    return _digest(b"standard", content)


def _require_match(given: Iterable[bytes], expected: Sequence[bytes], header: bytes) -> None:
    """Compare each with each, whether one has matched or not, so that the time shows neither which nor how much."""
    matches = [compare_digest(signature, wanted) for signature in given for wanted in expected]
    if not any(matches):
        raise UnsignedRequestError("a signature must be made with one of the webhook secrets", place=header.decode())


def _mac(key: bytes, content: bytes) -> bytes:
    return digest(key, content, "sha256")


def _digest(*parts: bytes) -> str:
    return sha256(b"\0".join(parts)).hexdigest()
