"""The resource bank: instance types, their prices, and the providers that supply instances (paper §2.1.3)."""

from neurocaas.bank.choice import Choice, Considered, choose
from neurocaas.bank.provider import Hint, InstanceType, Launch, NoCapacity, Placement, Provider, State
from neurocaas.bank.providers import open_provider

__all__ = [
    "Choice",
    "Considered",
    "Hint",
    "InstanceType",
    "Launch",
    "NoCapacity",
    "Placement",
    "Provider",
    "State",
    "choose",
    "open_provider",
]
