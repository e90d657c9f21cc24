"""The site that this process serves: its folder stands in NEUROCAAS_SITE, as the supervisor set it."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from neurocaas.errors import Refused
from neurocaas.server.site import Site
from neurocaas.settings import read_settings

VARIABLE = "NEUROCAAS_SITE"


@functools.cache
def this_site() -> Site:
    """The site. Its database is connected by whoever set Django up. Raises Refused if none is named."""
    root = os.environ.get(VARIABLE)
    if not root:
        raise Refused(f"{VARIABLE} is not set; the folder of a site is right.", remedy="neurocaas serve sets it.")
    return Site(read_settings(Path(root)))
