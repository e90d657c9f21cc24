"""Where a stack goes: the instance type it was priced for, and where it may go when that fails (paper §2.1.3)."""

from __future__ import annotations

from neurocaas.bank import Choice, Placement, Provider, choose
from neurocaas.blueprint import Need
from neurocaas.server.jobs.models import Price, Stack


class Placing:
    """Choices among the provider's instance types, each made once until prices are looked at again."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._types = provider.instance_types()
        self._choices: dict[tuple[int, int, int, int, str, bool], Choice] = {}

    def look_again(self) -> None:
        """Prices and offers may have changed."""
        types = self._provider.instance_types()
        if types != self._types:
            self._types = types
            self._choices.clear()

    def choice(self, need: Need, instance_type: str = "", *, save: bool = False) -> Choice:
        """The choice among all types, or the named one. Raises Refused if none fits, now or ever."""
        if all(one.name == self._provider.name for one in self._types):
            # One machine is all there is: what a blueprint names for a cloud runs here if it has what is needed.
            instance_type = ""
        key = (need.vcpus, need.memory_mib, need.storage_mib, need.gpus, instance_type, save)
        if key not in self._choices:
            self._choices[key] = choose(self._types, need, instance_type=instance_type, save=save)
        return self._choices[key]

    def place(self, stack: Stack) -> Placement:
        """Where the stack's next attempt goes: at the save price if its job asked for that; elsewhere after failures.

        Raises Refused if its type is no longer there.
        """
        need, save = Need(**stack.need), stack.job.price == Price.SAVE
        first = self.choice(need, stack.instance_type, save=save).taken
        places = [Placement(instance_type=first)]
        if save and first.save_price_per_hour is not None:
            places.insert(0, Placement(instance_type=first, save=True))
        if stack.moves >= len(places) and not stack.step.named_instance_type:
            others = (one for one in self.choice(need).alternatives if one != first)
            places += [Placement(instance_type=one) for one in others]
        return places[min(stack.moves, len(places) - 1)]
