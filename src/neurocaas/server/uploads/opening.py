"""A site's desk: its store, with the quotas of its groups and the site's policy of keeping data."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from neurocaas.blueprint.model import GIB
from neurocaas.server.groups.deployed import deployed_profile
from neurocaas.server.site import Site
from neurocaas.server.uploads.desk import Desk


def open_desk(site: Site) -> Desk:
    """Where this process takes the site's data in: one for each process."""
    days = site.settings.site.web.data_days
    return Desk(
        store=site.store,
        quota_bytes=partial(_quota_bytes, site),
        expires_after=None if days is None else timedelta(days=days),
    )


def _quota_bytes(site: Site, group: str) -> int:
    own = deployed_profile(group).storage_gib
    return int((site.settings.site.web.storage_gib if own is None else own) * GIB)
