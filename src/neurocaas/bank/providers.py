"""Providers are found by entry point, so that another package can bring one."""

from __future__ import annotations

from importlib.metadata import entry_points

from neurocaas.bank.provider import Provider
from neurocaas.errors import Refused
from neurocaas.settings import Settings

GROUP = "neurocaas.providers"


def open_provider(settings: Settings) -> Provider:
    """The provider that the site's settings name. Raises Refused if no installed package brings it."""
    name = settings.site.provider
    for entry in entry_points(group=GROUP, name=name):
        provider: Provider = entry.load()(settings)
        return provider
    known = ", ".join(sorted({entry.name for entry in entry_points(group=GROUP)}))
    raise Refused(f"site.json: provider: found {name!r}; one of {known} is right.")
