"""The site that this process serves: put in place once, when the full configuration is made."""

from __future__ import annotations

from neurocaas.server.site import Site

VARIABLE = "NEUROCAAS_SITE"

_served: list[Site] = []


def serve_site(site: Site) -> None:
    """From now on this process serves this site."""
    _served[:] = [site]


def this_site() -> Site:
    """The site that this process serves."""
    return _served[0]
