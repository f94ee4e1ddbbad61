"""State of a process that monitors one model: from pass to pass in memory, from process to process in a snapshot."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from everfit.definitions.label_digest import label_digest
from everfit.definitions.model import Model
from everfit.journal.prediction_history import PredictionHistory
from everfit.loop.label_intake import LabelIntake
from everfit.loop.live_monitoring import LiveMonitoring, MonitoringState
from everfit.monitoring.cache import VersionCache
from everfit.store.deployment import Deployed
from everfit.store.ledger import is_writable
from everfit.store.snapshot import read_snapshot, write_snapshot
from everfit.system import System

_CATCH_UP_S = 2.0
_log = logging.getLogger(__name__)
_SNAPSHOT = 3
"""Number of the form of snapshots; another one is not read."""
_SAVE_S, _SAVE_SHARE = 60.0, 0.02


@dataclass
class MonitoringCache:
    """State of a process that evaluates one model repeatedly; it notices changes by itself.

    It holds some hundred bytes for each prediction that waits for its label, and for each of the last hundred thousand
    that have one; while there is a rollout also for all others, two million of them at most.
    """

    versions: VersionCache = field(default_factory=VersionCache)
    _champion: LiveMonitoring | None = None
    _labels: LabelIntake | None = None
    _history: PredictionHistory | None = None
    _save_at_s: float = 0.0
    _announced: bool = False
    """It is in the log that there is much to read."""

    @property
    def is_behind(self) -> bool:
        """There is more to read at once."""
        return self._champion is None or self._champion.live.is_behind

    def champion(self, system: System, definition: Model, now: datetime) -> LiveMonitoring:
        """Return the monitoring of the champion, caught up with the log and with the events' source.

        If there is much to read, as for a new champion, it is still behind when this returns after two seconds; the
        next call goes on. Raises :class:`StoreError`, :class:`PackageError` if the champion's package cannot be read,
        and :class:`SourceError` if the source cannot be read.
        """
        until_s = time.monotonic() + _CATCH_UP_S
        deployment = system.deployment.of(definition.name)
        deployed = None if deployment is None else deployment.champion
        if self._champion is None or self._champion.champion != deployed or self._champion.live.is_void:
            self._champion = self._begun(system, definition, deployed)
        self._labels = self._labels or LabelIntake(system, definition)
        live = self._champion.live
        while live.is_behind:
            live.catch_up()
            if live.is_void:
                return self.champion(system, definition, now)
            if live.is_behind:
                self._champion.advance(now)
                if time.monotonic() >= until_s:
                    if not self._announced:
                        _log.info("%s: many predictions are read; nothing is evaluated until all are", definition.name)
                    self._announced = True
                    return self._champion
        self._announced = False
        self._labels.take(live, now)
        if live.is_void:
            return self.champion(system, definition, now)
        self._champion.advance(now)
        return self._champion

    def _begun(self, system: System, definition: Model, deployed: Deployed | None) -> LiveMonitoring:
        """Return the monitoring of a champion as a process left it, or from the beginning."""
        is_void = self._champion is not None and self._champion.live.is_void
        begun = LiveMonitoring.begin(system, definition, deployed, self.versions)
        path, key = snapshot_of(system, definition, deployed)
        state = None if is_void or deployed is None else read_snapshot(path, key, MonitoringState)
        if state is not None:
            begun.resume(state)
        return begun

    def resumed(self, system: System, definition: Model, now: datetime) -> LiveMonitoring | None:
        """Return the champion's monitoring as another process saved it, caught up; ``None`` if there is none.

        That is also where no rows were settled, and where what was read is void: then all rows must be read. Nothing
        is saved. Raises what :meth:`champion` raises.
        """
        deployment = system.deployment.of(definition.name)
        if deployment is None:
            return None
        self._champion = begun = self._begun(system, definition, deployment.champion)
        if not begun.settled.rows:
            return None
        self.champion(system, definition, now)
        while self._champion is begun and begun.live.is_behind:
            self.champion(system, definition, now)
        return begun if self._champion is begun else None

    def close(self) -> None:
        """Seal the labels that were recorded, so that they are shipped."""
        if self._labels is not None:
            self._labels.close()

    def save(self, system: System, definition: Model, *, now: bool = False) -> None:
        """Write what the next process goes on from: once a minute, at 2 % of the time at most, or ``now``.

        Raises :class:`StoreError` if the disk refuses.
        """
        began_s, monitoring = time.monotonic(), self._champion
        if monitoring is None or monitoring.champion is None or self.is_behind or not is_writable(system.ledger):
            return
        if began_s >= self._save_at_s or now:
            write_snapshot(*snapshot_of(system, definition, monitoring.champion), monitoring.state())
            ended_s = time.monotonic()
            self._save_at_s = ended_s + max(_SAVE_S, (ended_s - began_s) / _SAVE_SHARE)

    def history(self, system: System, definition: Model) -> PredictionHistory:
        """Return the model's predictions and labels, caught up with the log; raises :class:`StoreError`."""
        if self._history is None:
            self._history = LabelIntake(system, definition).history()
        self._history.catch_up()
        return self._history

    def forget_history(self) -> None:
        """Let go of the predictions and labels that a rollout needed."""
        self._history = None


def snapshot_of(system: System, definition: Model, champion: Deployed | None) -> tuple[Path, str]:
    """Return the file of a monitoring's snapshot, and the key of what it depends on."""
    parts = (_SNAPSHOT, definition.name, label_digest(definition), champion, definition.watches, definition.metric)
    path = system.state / "monitoring" / f"{definition.name}.snapshot"
    return path, hashlib.sha256(repr(parts).encode()).hexdigest()
