"""Second act of ``everfit demo``: two pushes of code, of which one is refused, and one delivers a new champion."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from everfit.cli.demo_replay import MODEL, POLL_S, DemoReplay
from everfit.cli.demo_repository import WorkingCopy
from everfit.cli.output import bold
from everfit.cli.timeline import Event, Page
from everfit.commands.releases import find_release, follow
from everfit.core.errors import ProjectError
from everfit.core.release import Release
from everfit.releases.hook import install_hook
from everfit.replay.replaying import ReplayPlan
from everfit.replay.result import ReplayReport
from everfit.system import System
from everfit.triggers.signals import is_caused_by_release

_LASTS = timedelta(days=3)
_TRAINED_TIMEOUT_S = 600.0
_INTRODUCTION = (
    "Second act: new code. The same system watches a git repository, by four lines of everfit.toml (level full)."
)
_HOOK = "A push of main is tried at once, and its author sees the result."
_REFUSED, _REASON = "kitchen: use reports sooner", "Reports would be used before the service has them."
_DELIVERED, _REVERT = "trainer: learn from the newest 10,000 orders", "git revert --no-edit HEAD"
_FILE = "deliveries.py"
_LEAK = {'pl.col("created").max(),  # known once the last': 'pl.col("created").min(),  # known once the first'}
"""A feature that would use reports before they have arrived; a test of the project says so."""
_TRAINER = {
    "    return HistGradientBoostingClassifier(": "    X, y = X[-10_000:], y[-10_000:]\n"
    "    return HistGradientBoostingClassifier("
}
"""The rows of a training are in order of time: most of those that are left are from after the road works began."""
_REMOTE = "remote:"


class PushesReport(Struct, frozen=True, kw_only=True):
    """Result of the pushes."""

    releases: tuple[Release, ...]
    timeline: tuple[Event, ...]
    replay: ReplayReport


class DemoPushes:
    """The pushes, against the system of the first act."""

    def __init__(self, system: System, page: Page, playing: DemoReplay, copy: WorkingCopy) -> None:
        self._system = system
        self._page = page
        self._playing = playing
        self._copy = copy

    def run(self, start: datetime) -> PushesReport:
        """Push twice, and replay what follows. Raises :class:`ProjectError` if a push does not end as it must."""
        page, before = self._page, len(self._playing.shown)
        page.show(["", _INTRODUCTION, ""])
        self._install_hook()
        champion = self._served()
        refused = self._push(_REFUSED, _LEAK, wanted="refused")
        page.show(["", f"{_REASON} Nothing has changed: version {self._served()} goes on serving.", ""])
        self._copy.revert()
        active = self._push(_DELIVERED, _TRAINER, command=_REVERT, wanted="active")
        page.line()
        self._wait_until_trained(active)
        plan = ReplayPlan(start=start, end=start + _LASTS, watch_every=timedelta(hours=6), against=champion, by="day")
        replay = self._playing.play(plan)
        return PushesReport(
            releases=(refused, self._system.releases.one(active.number)),
            timeline=self._playing.shown[before:],
            replay=replay,
        )

    def _install_hook(self) -> None:
        system, repository = self._system, self._copy.repository
        settings = system.project.settings.releases
        install_hook(repository, system.project.root, system.state, settings, interpreter=sys.executable)
        self._page.step(f"everfit releases hook ../{repository.name}", _HOOK)

    def _push(self, subject: str, changes: Mapping[str, str], *, wanted: str, command: str = "") -> Release:
        """Commit and push changes, and print what the author sees; return the release once it has ended."""
        page, copy = self._page, self._copy
        copy.replace(_FILE, changes)
        commit = copy.commit(subject)
        typed = " && ".join(filter(None, (command, f'git commit -am "{subject}"', "git push")))
        page.line(bold(f"$ {typed}"))
        for line in copy.last_change():
            page.line(f"  {line}", wrap=False)
        with copy.push() as lines:
            for line in lines:
                page.quote(_REMOTE, line) if line.startswith(_REMOTE) else page.line(line)
        release = find_release(self._system, commit)
        # It has ended, unless the hook could not wait so long.
        for _ in follow(self._system, release.number, starts=lambda step: None):  # noqa: ARG005
            pass
        release = self._system.releases.one(release.number)
        if release.state != wanted:
            raise ProjectError(f"the push '{subject}' must be {wanted}", value=release.sentence)
        return release

    def _served(self) -> int:
        with self._playing.client() as client:
            return client.models()[MODEL]

    def _wait_until_trained(self, release: Release) -> None:
        """Wait until the version that a release gave rise to is rolled out, or its order has ended otherwise."""
        deadline_s = time.monotonic() + _TRAINED_TIMEOUT_S
        with self._page.busy("training"):
            while not self._is_trained(release):
                self._playing.print_new_events()
                if time.monotonic() > deadline_s:
                    raise ProjectError("a release must lead to a training", value=release.name)
                time.sleep(POLL_S)
        self._playing.print_new_events()
        self._page.line()

    def _is_trained(self, release: Release) -> bool:
        system = self._system
        orders = [one for one in system.orders.of(MODEL) if is_caused_by_release(one.order.cause, release.code)]
        rolled_out = {rollout.version for rollout in system.rollouts.of(MODEL)}
        return bool(orders) and (orders[-1].ended or orders[-1].version in rolled_out)
