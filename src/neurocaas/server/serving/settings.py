"""The full configuration as a module, for tools (type checks, makemigrations). A site uses `connect_fully`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from neurocaas.server.serving.configuration import full_configuration
from neurocaas.settings import Settings, SiteDocument

_nowhere = Path(tempfile.gettempdir()) / "neurocaas-tools"
_site = Settings(
    root=_nowhere, site=SiteDocument(name="tools"), database_url="sqlite:///:memory:", store_url=_nowhere.as_uri()
)
globals().update(full_configuration(_site, "no site; tools only"))
