"""Log lines of manual steps: commands have logs of their own, if any, so the controller logs them from the audit."""

from __future__ import annotations

import logging

from everfit.core.event_log import log_event
from everfit.core.release import WATCH
from everfit.delivery.audit import Audit
from everfit.delivery.state_machine import POLICY

_log = logging.getLogger(__name__)


class ManualStepLog:
    """Log of the audit's lines from now on, except those of the policy: whatever carried these out logs them."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._logged = audit.last()

    def write(self) -> None:
        """Log the lines that are new since the last call."""
        newest = self._audit.last()
        for line in self._audit.between(self._logged, newest):
            if line.actor not in {POLICY, WATCH}:
                version = "" if line.version is None else f" version {line.version}"
                model = f"{line.model}: " if line.model else ""
                message = f"{model}{line.actor}: {line.action.replace('_', ' ')}{version}: {line.reason}"
                of, action, actor = line.model, line.action, line.actor
                log_event(_log, "manual_step", message, model=of, version=line.version, action=action, actor=actor)
        self._logged = newest
