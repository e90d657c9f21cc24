"""Django's settings as a module, for tools (type checks, makemigrations). A site uses `database.connect`."""

from __future__ import annotations

from neurocaas.server.database import configuration

globals().update(configuration("sqlite:///:memory:"))
SECRET_KEY = "no site; tools only"  # noqa: S105
