"""A site's providers as one, so that the job manager need not know how many there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from neurocaas.bank.provider import Hint, Instance, InstanceType, Launch, Placement, Provider, State
from neurocaas.blueprint import Need
from neurocaas.errors import Refused


class Providers:
    """Passes each call on to the provider it concerns, whose name begins every handle. The first is the default."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = {one.name: one for one in providers}
        self.name = providers[0].name

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._providers)

    def of(self, name: str) -> Provider:
        """The provider of this name, the default for "". Raises Refused if the site has none of that name."""
        if provider := self._providers.get(name or self.name):
            return provider
        raise Refused(f"provider: found {name!r}; one of this site's, {', '.join(self._providers)}, is right.")

    def instance_types(self) -> tuple[InstanceType, ...]:
        return tuple(one for provider in self._providers.values() for one in provider.instance_types())

    def at_once(self, need: Need) -> int | None:
        return self.of("").at_once(need)

    def shortage(self, need: Need, placement: Placement) -> str:
        return self.of(placement.instance_type.provider).shortage(need, placement)

    def start(self) -> None:
        for provider in self._providers.values():
            provider.start()

    def launch(self, launch: Launch) -> str:
        provider = self.of(launch.placement.instance_type.provider)
        return _prefixed(provider, provider.launch(launch))

    def find(self, attempt: str, work: Path) -> str | None:
        for provider in self._providers.values():
            if (handle := provider.find(attempt, work)) is not None:
                return _prefixed(provider, handle)
        return None

    def adopt(self, handles: Collection[str]) -> None:
        for provider, own in self._parted(handles):
            provider.adopt(own)

    def sweep(self, handles: Collection[str]) -> dict[str, State]:
        states = dict.fromkeys(handles, State.GONE)  # what a provider that the site no longer has supplied
        for provider, own in self._parted(handles):
            states |= {_prefixed(provider, handle): state for handle, state in provider.sweep(own).items()}
        return states

    def why(self, handle: str) -> str:
        return next((provider.why(*own) for provider, own in self._parted([handle])), "")

    def interrupt(self, handle: str) -> None:
        for provider, own in self._parted([handle]):
            provider.interrupt(*own)

    def release(self, handle: str) -> None:
        for provider, own in self._parted([handle]):
            provider.release(*own)

    def instances(self) -> list[Instance]:
        return [one for provider in self._providers.values() for one in provider.instances()]

    def end_instance(self, instance: Instance) -> bool:
        provider = self._providers.get(instance.provider)
        return provider is not None and provider.end_instance(instance)

    def events(self) -> list[Hint]:
        return [hint for provider in self._providers.values() for hint in provider.events()]

    def filenos(self) -> list[int]:
        return [number for provider in self._providers.values() for number in provider.filenos()]

    def close(self) -> None:
        for provider in self._providers.values():
            provider.close()

    def _parted(self, handles: Collection[str]) -> list[tuple[Provider, list[str]]]:
        """The handles by their provider, as it knows them. Those of a provider that is not here are left out."""
        parted = defaultdict(list)
        for handle in handles:
            name, _, own = handle.partition(" ")
            parted[name].append(own)
        return [(self._providers[name], own) for name, own in parted.items() if name in self._providers]


def _prefixed(provider: Provider, handle: str) -> str:
    return f"{provider.name} {handle}"
