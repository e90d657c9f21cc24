"""The site that this process serves: put in place once, when the full configuration is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurocaas.blueprint.model import GIB
from neurocaas.server.site import Site

if TYPE_CHECKING:
    from neurocaas.server.uploads.desk import Desk

_served: list[Site] = []
_desks: list[Desk] = []


def serve_site(site: Site) -> None:
    _served[:] = [site]
    _desks.clear()


def this_site() -> Site:
    """The site that this process serves."""
    return _served[0]


def this_desk() -> Desk:
    """Where this process takes staged data in."""
    if not _desks:
        from neurocaas.server.uploads.desk import Desk  # once all apps are there

        _desks.append(Desk(store=this_site().store, quota_bytes=_quota_bytes))
    return _desks[0]


def _quota_bytes(group: str) -> int | None:
    from neurocaas.server.groups.deployed import deployed_profile

    storage = deployed_profile(group).storage_gib
    return None if storage is None else int(storage * GIB)
