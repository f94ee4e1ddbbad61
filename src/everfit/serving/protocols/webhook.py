"""Handler of webhooks of the source repository."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from everfit.serving.http.responses import Response, encode_json

if TYPE_CHECKING:
    from everfit.serving.app import App
    from everfit.serving.http.connection import HttpRequest

_ACCEPTED = Response(202, encode_json({"accepted": True}))


async def look(app: App, http: HttpRequest) -> Response:
    """Give the signal to look at the repository now; what follows from it is in ``everfit status``."""
    with app.webhook.admission:
        await asyncio.to_thread(app.webhook.receive, http)
    return _ACCEPTED
