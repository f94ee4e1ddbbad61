"""Telling people: one message for all that is new, through whatever channel they read, at an hour they accept.

What was told is kept with each incident, so that a message that could not be sent, or had to wait for the end of the
quiet hours, is sent by a later look.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from msgspec import Struct

from everfit.core.errors import AlertError
from everfit.core.finding import SEVERITIES, Incident
from everfit.core.printable import printable

if TYPE_CHECKING:
    from everfit.core.settings import AlertSettings

RESOLVED = "resolved"
"""What is told of an incident that has ended; of others, their severity."""

_SIGNS = {"info": "·", "warning": "!", "critical": "‼", RESOLVED: "✓"}


class Untold(Struct, frozen=True, kw_only=True):
    """An incident whose present state nobody was told."""

    incident: Incident
    told: str
    """The state that was told of it last; empty if none was."""

    @property
    def state(self) -> str:
        """What is to be told of it."""
        return RESOLVED if self.incident.resolved_at is not None else self.incident.finding.severity

    @property
    def matters(self) -> bool:
        """Whether there is anything to tell: not of one that came and went unnoticed, nor of one that eased."""
        if self.state == RESOLVED:
            return self.told not in {"", RESOLVED}
        return self.told not in SEVERITIES or _rank(self.state) > _rank(self.told)


class Message(Struct, frozen=True, kw_only=True):
    """What is sent."""

    title: str
    body: str
    about: tuple[Untold, ...]


def compose(untold: Sequence[Untold], *, settings: AlertSettings, now: datetime) -> Message | None:
    """One message for everything that may be told now; ``None`` if there is nothing.

    Below ``[alerts] severity`` nothing is told; in the quiet hours only what is critical.
    """
    least = _rank("critical" if is_quiet(settings, now) else settings.severity)
    about = tuple(each for each in untold if each.matters and _weight(each) >= least)
    if not about:
        return None
    ordered = sorted(about, key=lambda each: (each.state == RESOLVED, -_weight(each), each.incident.number))
    models = sorted({each.incident.finding.model for each in ordered})
    fresh = sum(each.state != RESOLVED for each in ordered)
    parts = [f"{fresh} new" if fresh else "", f"{len(ordered) - fresh} resolved" if fresh < len(ordered) else ""]
    return Message(
        title=f"Everfit: {', '.join(filter(None, parts))} in {', '.join(models)}",
        body="\n".join(_line(each) for each in ordered),
        about=tuple(ordered),
    )


def is_quiet(settings: AlertSettings, now: datetime) -> bool:
    """Whether an instant lies in the quiet hours; they may go over midnight."""
    if not settings.quiet:
        return False
    begin, end = (time.fromisoformat(part) for part in settings.quiet.split("-"))
    local = now.astimezone(ZoneInfo(settings.time_zone)).time()
    return begin <= local < end if begin <= end else local >= begin or local < end


def send(message: Message, urls: Sequence[str]) -> None:
    """Hand a message to every channel.

    Args:
        message: What to say.
        urls: Channels as Apprise writes them: ``mailto://…``, ``slack://…``, ``json://…``, …

    Raises:
        AlertError: If a channel is none, or any of them did not take it.
    """
    import apprise

    for url in urls:
        channel = apprise.Apprise()
        if not channel.add(url):
            raise AlertError(
                "[alerts] urls must be channels that Apprise knows",
                value=_scheme(url),
                remedy="See https://appriseit.com/services/ for their forms.",
            )
        if not channel.notify(title=message.title, body=message.body, body_format="text"):
            raise AlertError(
                "an alert must reach its channel, and this one did not take it",
                value=_scheme(url),
                remedy="It is sent again at the next look.",
            )


def _weight(each: Untold) -> int:
    """How bad it is; of what is resolved, how bad it was said to be."""
    return _rank(each.told if each.state == RESOLVED else each.state)


def _rank(severity: str) -> int:
    return [str(known) for known in SEVERITIES].index(severity)


def _line(each: Untold) -> str:
    finding = each.incident.finding
    about = f"{finding.model} {finding.subject}".rstrip()
    if each.state == RESOLVED:
        return printable(
            f"{_SIGNS[RESOLVED]} #{each.incident.number} {about}: {finding.kind.replace('_', ' ')} is over"
        )
    return printable(f"{_SIGNS[each.state]} #{each.incident.number} {about}: {finding.sentence}")


def _scheme(url: str) -> str:
    """What may be shown of a channel: the rest may hold a password."""
    return f"{url.partition('://')[0]}://…"
