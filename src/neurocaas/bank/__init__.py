"""The resource bank: instance types, their prices, and the providers that supply instances (paper §2.1.3)."""

from neurocaas.bank.provider import Hint, InstanceType, Launch, NoCapacity, Provider, State
from neurocaas.bank.providers import open_provider

__all__ = ["Hint", "InstanceType", "Launch", "NoCapacity", "Provider", "State", "open_provider"]
