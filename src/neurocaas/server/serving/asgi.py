"""The web application of one site, for an ASGI server: uploads stream past Django, all else goes through it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from django.core.asgi import get_asgi_application

from neurocaas.server.serving.configuration import MOST_BODY_BYTES, connect_fully
from neurocaas.server.serving.counters import uploaded
from neurocaas.server.serving.hub import hub
from neurocaas.server.serving.wiring import VARIABLE
from neurocaas.settings import read_settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
UPLOADS = "/uploads"


def application() -> Application:
    """The application of the site that NEUROCAAS_SITE names."""
    site = connect_fully(read_settings(Path(os.environ[VARIABLE])))

    from neurocaas.server.api.authentication import sender  # these need Django to be set up
    from neurocaas.server.api.bodies import bounded
    from neurocaas.server.serving.wiring import desk
    from neurocaas.server.uploads.tus import Tus

    pages = bounded(get_asgi_application(), MOST_BODY_BYTES)  # type: ignore[arg-type]
    # A store on S3 is sent to directly.
    uploads = Tus(desk(), sender, prefix=UPLOADS, received=uploaded) if desk().multipart is None else None

    async def serve(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send, opened=lambda: hub.open(site.settings))
        elif uploads is not None and scope["type"] == "http" and scope["path"].startswith(f"{UPLOADS}/"):
            await uploads(scope, receive, send)
        else:
            await pages(scope, receive, send)

    return serve


async def _live(receive: Receive, send: Send, opened: Callable[[], None]) -> None:
    """Begin and end with the server."""
    while (message := await receive())["type"] != "lifespan.shutdown":
        if message["type"] == "lifespan.startup":
            opened()
            await send({"type": "lifespan.startup.complete"})
    hub.close()
    await send({"type": "lifespan.shutdown.complete"})
