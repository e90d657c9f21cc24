"""Providers are found by entry point, so that another package can bring one."""

from __future__ import annotations

from importlib.metadata import entry_points

from neurocaas.bank.provider import Provider
from neurocaas.bank.several import Providers
from neurocaas.errors import Refused
from neurocaas.settings import Settings

GROUP = "neurocaas.providers"


def open_providers(settings: Settings) -> Providers:
    """The providers that the site's settings name. Raises Refused if no installed package brings one of them."""
    return Providers([_opened(settings, name) for name in settings.site.providers])


def _opened(settings: Settings, name: str) -> Provider:
    for entry in entry_points(group=GROUP, name=name):
        provider: Provider = entry.load()(settings)
        return provider
    known = ", ".join(sorted({entry.name for entry in entry_points(group=GROUP)}))
    raise Refused(f"site.json: providers: found {name!r}; one of {known} is right.")
