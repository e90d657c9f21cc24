"""The resource bank: instance types, their prices, and the providers that supply instances (paper §2.1.3)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from neurocaas.bank.provider import (
    Carrier,
    Hint,
    Instance,
    InstanceType,
    Launch,
    NoCapacity,
    Placement,
    Provider,
    SignsIn,
    State,
    Supplier,
)
from neurocaas.bank.providers import open_providers
from neurocaas.bank.several import Providers

if TYPE_CHECKING:
    from neurocaas.bank.catalogue import Catalogue, bundled_catalogue, read_catalogue, site_catalogue
    from neurocaas.bank.choice import Choice, Considered, choose, hourly_price

# Found when first asked for: a command that starts a stack on this machine waits for no price list.
_LATER = {
    "neurocaas.bank.catalogue": ("Catalogue", "bundled_catalogue", "read_catalogue", "site_catalogue"),
    "neurocaas.bank.choice": ("Choice", "Considered", "choose", "hourly_price"),
}

__all__ = [
    "Carrier",
    "Catalogue",
    "Choice",
    "Considered",
    "Hint",
    "Instance",
    "InstanceType",
    "Launch",
    "NoCapacity",
    "Placement",
    "Provider",
    "Providers",
    "SignsIn",
    "State",
    "Supplier",
    "bundled_catalogue",
    "choose",
    "hourly_price",
    "open_providers",
    "read_catalogue",
    "site_catalogue",
]


def __getattr__(name: str) -> Any:
    for module, names in _LATER.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
