"""The web process: uvicorn on a socket that the supervisor has bound.

`python -m neurocaas.server.serving.web LISTENER READY` takes two inherited descriptors: the listening socket, and a
pipe into which one byte is written once requests are answered. The site stands in NEUROCAAS_SITE.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import uvicorn

from neurocaas.errors import NeurocaasError
from neurocaas.server.logs import log_to
from neurocaas.server.serving import draining
from neurocaas.server.serving.asgi import application
from neurocaas.server.serving.hub import hub
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.uploads.direct import DirectProtocol

FINISH_SECONDS = 10
# Longer than clients and proxies keep a connection that they do not use, or they ask on one as it is closed here.
IDLE_SECONDS = 75
# Requests that were accepted together with the order to stop are read before the connections without one are closed.
LAST_REQUESTS_SECONDS = 0.3


class Server(uvicorn.Server):
    """Says when it answers; when told to stop, ends event streams first, then finishes the requests it has."""

    def __init__(self, config: uvicorn.Config, ready: int) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        os.write(self._ready, b"1")
        os.close(self._ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        draining.begin()
        hub.release()
        for server in self.servers:
            server.close()
        await asyncio.sleep(LAST_REQUESTS_SECONDS)
        await super().shutdown(sockets)


def main(listener: int, ready: int) -> int:
    """Answer requests until SIGTERM, then finish those that are under way, for at most FINISH_SECONDS."""
    os.set_inheritable(ready, False)
    # Made before there is an event loop, in which Django would not touch the database.
    served = application()
    log_to(this_site().settings.state / "logs" / "web.log")
    config = uvicorn.Config(
        served,
        http=DirectProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=FINISH_SECONDS,
        timeout_keep_alive=IDLE_SECONDS,
        # X-Forwarded-For and -Proto count only from the proxies named in FORWARDED_ALLOW_IPS: 127.0.0.1 if it is unset.
        proxy_headers=True,
    )
    Server(config, ready).run(sockets=[socket.socket(fileno=listener)])
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
    except NeurocaasError as fault:
        sys.exit(str(fault))
