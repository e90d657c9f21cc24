"""`python -m benchmarks.transfer.server DATABASE STORE DESCRIPTOR`: the tus application on a listening socket."""

from __future__ import annotations

import socket
import sys
from typing import Any, NamedTuple

import django
import uvicorn
from django.conf import settings
from django.core.management import call_command

from neurocaas.server.database import configuration


class Everybody(NamedTuple):
    """Who sends: nobody is asked, since what is measured is the transfer."""

    user: str = "bench"
    group: str = "bench"


def main() -> None:
    database, store, descriptor = sys.argv[1:]
    settings.configure(**configuration(database))
    django.setup()
    call_command("migrate", verbosity=0)
    from neurocaas.server.uploads.desk import Desk
    from neurocaas.server.uploads.direct import DirectProtocol
    from neurocaas.server.uploads.tus import Tus
    from neurocaas.storage import open_store

    def authorize(_: Any) -> Everybody:
        return Everybody()

    app = Tus(Desk(store=open_store(store)), authorize)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", http=DirectProtocol))
    server.run(sockets=[socket.socket(fileno=int(descriptor))])


if __name__ == "__main__":
    main()
