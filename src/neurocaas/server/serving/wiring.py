"""The site that this process serves: put in place once, when the full configuration is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurocaas.server.site import Site

if TYPE_CHECKING:
    from neurocaas.server.uploads.desk import Desk

VARIABLE = "NEUROCAAS_SITE"

_served: list[Site] = []
_desks: list[Desk] = []


def serve_site(site: Site) -> None:
    """From now on this process serves this site."""
    _served[:] = [site]
    _desks.clear()


def this_site() -> Site:
    """The site that this process serves."""
    return _served[0]


def desk() -> Desk:
    """Where this process takes data in."""
    if not _desks:
        from neurocaas.server.uploads.opening import open_desk  # needs Django, which this module is imported without

        _desks.append(open_desk(this_site()))
    return _desks[0]
