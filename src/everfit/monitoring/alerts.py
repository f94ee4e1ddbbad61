"""Alerts: one message for all that is new, through the channels of ``[alerts] urls``, outside the quiet hours.

The state that people were notified of is kept with each incident, so that a message that could not be sent, or had to
wait for the end of the quiet hours, is sent by a later evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from everfit.core.errors import AlertError
from everfit.core.finding import SEVERITIES, Incident
from everfit.core.printable import printable
from everfit.core.settings import AlertSettings

RESOLVED = "resolved"
"""The state of an incident that has ended; of others it is their severity."""
REOPENS_WITHIN = timedelta(days=1)
"""An incident that is found again within this after its end is the same incident; only then its end is notified."""

_SIGNS = {"info": "·", "warning": "!", "critical": "‼", RESOLVED: "✓"}


class Unnotified(Struct, frozen=True, kw_only=True):
    """An incident whose present state people may have to be notified of."""

    incident: Incident
    notified: str
    """The state that people were notified of last; empty if none."""

    @property
    def state(self) -> str:
        """The present one."""
        return RESOLVED if self.incident.resolved_at is not None else self.incident.finding.severity

    def is_due(self, now: datetime) -> bool:
        """Return whether to notify: not of one that came and went in between, of one that eased, or a fresh end."""
        ended = self.incident.resolved_at
        if ended is not None:
            return self.notified not in {"", RESOLVED} and now - ended >= REOPENS_WITHIN
        return self.notified not in SEVERITIES or _rank(self.state) > _rank(self.notified)


class Message(Struct, frozen=True, kw_only=True):
    """An alert."""

    title: str
    body: str
    about: tuple[Unnotified, ...]


def compose(unnotified: Sequence[Unnotified], *, settings: AlertSettings, now: datetime) -> Message | None:
    """Return one message for everything that people may be notified of now; ``None`` if there is nothing.

    Below ``[alerts] severity`` there are no alerts; in the quiet hours only critical ones. An end is notified once the
    incident cannot be re-opened, so that one that comes and goes makes one alert.
    """
    least = _rank("critical" if is_quiet(settings, now) else settings.severity)
    about = tuple(one for one in unnotified if one.is_due(now) and _weight(one) >= least)
    if not about:
        return None
    ordered = sorted(about, key=lambda one: (one.state == RESOLVED, -_weight(one), one.incident.number))
    models = sorted({one.incident.finding.model for one in ordered})
    fresh = sum(one.state != RESOLVED for one in ordered)
    counts = {"new": fresh, "resolved": len(ordered) - fresh}
    title = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    body = "\n".join(map(_line, ordered))
    return Message(title=f"Everfit: {title} in {', '.join(models)}", body=body, about=tuple(ordered))


def is_quiet(settings: AlertSettings, now: datetime) -> bool:
    """Return whether an instant lies in the quiet hours; they may go over midnight."""
    if not settings.quiet:
        return False
    begin, end = (time.fromisoformat(part) for part in settings.quiet.split("-"))
    local = now.astimezone(ZoneInfo(settings.time_zone)).time()
    return begin <= local < end if begin <= end else local >= begin or local < end


def send(message: Message, urls: Sequence[str]) -> None:
    """Send a message to every channel, given as Apprise writes them, such as ``slack://…`` or ``json://…``.

    Raises :class:`AlertError` if a channel is none, or any of them did not take it.
    """
    import apprise

    for url in urls:
        channel, shown = apprise.Apprise(), f"{url.partition('://')[0]}://…"  # the rest may hold a password
        if not channel.add(url):
            remedy = "See https://appriseit.com/services/ for their forms."
            raise AlertError("[alerts] urls must be channels that Apprise knows", value=shown, remedy=remedy)
        if not channel.notify(title=message.title, body=message.body, body_format="text"):
            rule = "an alert must reach its channel, and this one did not take it"
            raise AlertError(rule, value=shown, remedy="It is sent again at the next evaluation.")


def _weight(one: Unnotified) -> int:
    """Return the rank of the severity; of what is resolved, of the one that people were notified of."""
    return _rank(one.notified if one.state == RESOLVED else one.state)


def _rank(severity: str) -> int:
    return [str(known) for known in SEVERITIES].index(severity)


def _line(one: Unnotified) -> str:
    finding = one.incident.finding
    about = f"{finding.model} {finding.subject}".rstrip()
    what = f"{finding.kind.replace('_', ' ')} is over" if one.state == RESOLVED else finding.sentence
    return printable(f"{_SIGNS[one.state]} #{one.incident.number} {about}: {what}")
