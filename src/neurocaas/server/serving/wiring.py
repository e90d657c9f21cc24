"""The site that this process serves: put in place once, when the full configuration is made."""

from __future__ import annotations

from neurocaas.server.site import Site

_served: list[Site] = []


def serve_site(site: Site) -> None:
    _served[:] = [site]


def this_site() -> Site:
    """The site that this process serves."""
    return _served[0]
