"""Webhooks of a source repository: verified, remembered, and turned into the signal to look at the repository now."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.core.clock import Clock
from everfit.core.errors import RequestTooLargeError, SettingsError, StoreError, UnsignedRequestError
from everfit.core.secret import Secret
from everfit.serving.inference.prediction_handler import Admission
from everfit.serving.webhook import verify_webhook
from everfit.store.active_release import RELEASES_FOLDER
from everfit.store.look_signal import signal_look
from everfit.store.seen_messages import SeenMessages
from everfit.store.webhook_secrets import WebhookSecrets

if TYPE_CHECKING:
    from everfit.serving.http.connection import HttpRequest

_MOST_BYTES = 1 << 20
"""Largest body, in bytes."""
_MOST_WAITING = 8
"""Requests that are verified at once, up to a megabyte each; further ones get 503, and predictions are not affected."""

_log = logging.getLogger(__name__)


class ReleaseWebhook:
    """Receiver of webhooks. Nothing of a body is used but its digest.

    Args:
        state: The folder that holds the secrets, the memory and the signal.
        clock: The machine's: signed times are real ones, in a replay as well.
    """

    def __init__(self, state: Path, clock: Clock) -> None:
        self.admission = Admission(_MOST_WAITING)
        self._state = state
        self._clock = clock
        self._file = WebhookSecrets(state / "keys")
        self._seen = SeenMessages(state / RELEASES_FOLDER / "webhooks")
        self._secrets: tuple[Secret, ...] = ()
        self._stamp: tuple[int, int, int] | None = None

    def has_secret(self) -> bool:
        """Return true if there is a secret, reading the file again if it has changed; without one there is no webhook.

        A file that cannot be used counts as none, and is an error in the log.
        """
        stamp = self._file.stamp()
        if stamp != self._stamp:
            self._stamp, self._secrets = stamp, ()
            try:
                self._secrets = self._file.read()
            except SettingsError as error:
                _log.error("webhooks are not received: %s", error)
        return bool(self._secrets)

    def receive(self, http: HttpRequest) -> None:
        """Verify a request and give the signal; blocks for the time that hashing the body takes.

        Raises :class:`UnsignedRequestError` if it is not verified or was received before, and then nothing has changed;
        :class:`RequestTooLargeError` if its body is too large; :class:`StoreError` if the signal cannot be given.
        """
        if len(http.body) > _MOST_BYTES:
            rule, remedy = f"a webhook's body may have at most {_MOST_BYTES} bytes", "The next poll finds the commit."
            raise RequestTooLargeError(rule, value=len(http.body), remedy=remedy, place="body")
        message = verify_webhook(http.headers, http.body, self._secrets, now_s=self._clock.now().timestamp())
        if not self._seen.add(message):
            raise UnsignedRequestError("a webhook must not have been received before")
        try:
            signal_look(self._state)
        except StoreError:
            self._seen.discard(message)
            raise
        _log.info("a webhook gives the signal to look at the source repository")
