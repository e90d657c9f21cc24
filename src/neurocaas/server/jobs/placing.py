"""Where a stack goes: the instance type it was priced for, and where it may go when that fails (paper §2.1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from neurocaas.bank import Choice, InstanceType, Placement, choose
from neurocaas.blueprint import Need
from neurocaas.server.jobs.models import Price, Stack


class Offers(Protocol):
    """The part of a provider, or of several, that placing needs."""

    def instance_types(self) -> Sequence[InstanceType]:
        """The catalogue, at the prices of this moment."""


class Placing:
    """Choices among the instance types on offer, each made once until prices are looked at again."""

    def __init__(self, offers: Offers) -> None:
        self._offers = offers
        self._types = offers.instance_types()
        self._choices: dict[tuple[int, int, int, int, str, str, bool], Choice] = {}

    def look_again(self) -> None:
        """Prices and offers may have changed."""
        types = self._offers.instance_types()
        if types != self._types:
            self._types = types
            self._choices.clear()

    def choice(self, need: Need, instance_type: str = "", *, save: bool = False, provider: str = "") -> Choice:
        """The choice among a provider's types (all there are for ""), or the named one.

        Raises Refused if none fits, now or ever.
        """
        key = (need.vcpus, need.memory_mib, need.storage_mib, need.gpus, instance_type, provider, save)
        if key not in self._choices:
            types = [one for one in self._types if provider in {"", one.provider}]
            if any(one.site_name for one in types) and instance_type not in {one.name for one in types}:
                # What a blueprint names for a cloud runs on machines of one's own that have what is needed.
                instance_type = ""
            self._choices[key] = choose(types, need, instance_type=instance_type, save=save)
        return self._choices[key]

    def place(self, stack: Stack) -> Placement:
        """Where the stack's next attempt goes: at the save price if its job asked for that; elsewhere after failures.

        Raises Refused if its type is no longer there.
        """
        need, save, provider = Need(**stack.need), stack.job.price == Price.SAVE, stack.job.provider
        first = self.choice(need, stack.instance_type, save=save, provider=provider).taken
        places = [Placement(instance_type=first)]
        if save and first.save_price_per_hour is not None:
            places.insert(0, Placement(instance_type=first, save=True))
        if stack.moves >= len(places) and not stack.step.named_instance_type:
            others = (one for one in self.choice(need, provider=provider).alternatives if one != first)
            places += [Placement(instance_type=one) for one in others]
        return places[min(stack.moves, len(places) - 1)]
