"""`python upload_server.py DATABASE STORE DESCRIPTOR`: the tus application on a listening socket handed over."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import django
import uvicorn
from django.conf import settings

from neurocaas.server.database import configuration


def main() -> None:
    database_url, store_url, descriptor = sys.argv[1:]
    settings.configure(**configuration(database_url))
    django.setup()
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from neurocaas.server.uploads.desk import Desk
    from neurocaas.server.uploads.tus import Tus
    from neurocaas.storage import open_store
    from support.uploads import by_header

    app = Tus(Desk(store=open_store(store_url)), by_header)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    server.run(sockets=[socket.socket(fileno=int(descriptor))])


if __name__ == "__main__":
    main()
