"""Which instance type a stack gets, and in a few words why each other one was not taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import NoReturn

from neurocaas.bank.provider import InstanceType
from neurocaas.blueprint import Need
from neurocaas.documents import nearest
from neurocaas.errors import Refused

FOUR_PLACES = Decimal("0.0001")


@dataclass(frozen=True, kw_only=True)
class Considered:
    """An instance type, whether it was taken, and why or why not: words that follow its name, without a full stop."""

    instance_type: InstanceType
    taken: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The instance type taken; where else a retry may go, cheapest first; and every type with its reason."""

    taken: InstanceType
    alternatives: tuple[InstanceType, ...]
    considered: tuple[Considered, ...]


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One part of a need beside what an instance type has of it."""

    what: str
    needed: int
    had: float

    @property
    def lacking(self) -> float:
        """The share of what is needed that is not there, 0 to 1."""
        return max(0.0, (self.needed - self.had) / self.needed) if self.needed else 0.0

    @property
    def held(self) -> str:
        return _amount(self.what, self.had)

    @property
    def wanted(self) -> str:
        figure = _figure(self.what, self.needed, rounded=math.ceil)
        return f"{figure} {'is' if figure == '1' else 'are'} needed"


def choose(types: Sequence[InstanceType], need: Need, *, instance_type: str = "", save: bool = False) -> Choice:
    """The cheapest type that has what is needed, at the save price where `save` asks for it and it is offered.

    Ties go to fewer vCPUs, less memory, then the name. A type whose CPUs are meant for bursts, or whose GPUs are not
    needed, is taken only where no other fits. `instance_type` names the one to take, which then has no alternatives.
    Raises Refused if it does not exist or lacks something, or if nothing fits.
    """
    fitting = sorted(
        (one for one in types if not one.retired and not _lacks(one, need)),
        key=lambda one: (hourly_price(one, save=save), *_size(one)),
    )
    if not fitting and not instance_type:
        _refuse(types, need)
    # `min` keeps the first of equals, which is the cheapest.
    taken = _named(types, need, instance_type) if instance_type else min(fitting, key=lambda one: _rank(one, need))
    others = [one for one in fitting if one is not taken]
    unfit = sorted(
        (one for one in types if one.retired or _lacks(one, need)),
        key=lambda one: (_distance(one, need), one.price_per_hour, *_size(one)),
    )
    return Choice(
        taken=taken,
        alternatives=() if instance_type else _alternatives(taken, others, need),
        considered=(
            Considered(instance_type=taken, taken=True, why=_why_taken(taken, instance_type, save=save)),
            *(_rejected(one, _why_not(one, taken, need, instance_type, save=save)) for one in others),
            *(_rejected(one, _why_unfit(one, need)) for one in unfit),
        ),
    )


def hourly_price(one: InstanceType, *, save: bool) -> Decimal:
    """US dollars: the save price if it is asked for and offered, else the standard price."""
    return one.save_price_per_hour if save and one.save_price_per_hour is not None else one.price_per_hour


def _named(types: Sequence[InstanceType], need: Need, name: str) -> InstanceType:
    one = next((one for one in types if one.name == name), None)
    where = f'hardware.instance_type: found "{name}"'
    if one is None:
        offered = [one.name for one in types if not one.retired]
        raise Refused(f"{where}; an instance type of the price list is right.{nearest(name, offered)}")
    if one.retired:
        raise Refused(f"{where}, which is no longer offered; another instance type is right.")
    if lacks := _lacks(one, need):
        raise Refused(f"{where}, which has {_listed(lacks)}; a larger instance type is right.")
    return one


def _alternatives(taken: InstanceType, others: list[InstanceType], need: Need) -> tuple[InstanceType, ...]:
    """Types as suitable as the taken one, at a standard price no higher than its, which is what a job reserves."""
    suitable = (
        one for one in others if one.price_per_hour <= taken.price_per_hour and _rank(one, need) <= _rank(taken, need)
    )
    return tuple(sorted(suitable, key=lambda one: (one.price_per_hour, *_size(one))))


def _rejected(one: InstanceType, why: str) -> Considered:
    return Considered(instance_type=one, taken=False, why=why)


def _why_taken(one: InstanceType, named: str, *, save: bool) -> str:
    price = f"{_dollars(hourly_price(one, save=save))} an hour"
    if save:
        price += " at the save price" if one.save_price_per_hour is not None else ", as no save price is offered"
    return f"the one that the blueprint names: {price}" if named else f"the cheapest that fits: {price}"


def _why_not(one: InstanceType, taken: InstanceType, need: Need, named: str, *, save: bool) -> str:
    """Why a type that has what is needed was not taken."""
    if named:
        return f"fits, but the blueprint names {named}"
    if _rank(one, need) > _rank(taken, need):
        return (
            f"has {_amount('GPUs', one.gpus)}; none is needed" if one.gpus > need.gpus == 0 else "is meant for bursts"
        )
    unsaved = "is not offered at a save price and " if save and one.save_price_per_hour is None else ""
    if more := hourly_price(one, save=save) - hourly_price(taken, save=save):
        return f"{unsaved}costs {_dollars(more)} an hour more"
    if one.vcpus > taken.vcpus:
        return f"{unsaved}costs the same with more vCPUs"
    return f"{unsaved}costs the same {'with more memory' if one.memory_mib > taken.memory_mib else 'for as much'}"


def _why_unfit(one: InstanceType, need: Need) -> str:
    if one.retired:
        return "is no longer offered"
    most = max(_lacks(one, need), key=lambda part: part.lacking)
    return f"has {most.held}; {most.wanted}"


def _refuse(types: Sequence[InstanceType], need: Need) -> NoReturn:
    """Say which part of the need no type has, and the most there is; else what the nearest type lacks."""
    offered = sorted((one for one in types if not one.retired), key=lambda one: (one.price_per_hour, *_size(one)))
    if not offered:
        raise Refused("hardware: no instance type is offered here; a price list that offers one is right.")
    sentences = []
    for parts in zip(*(_parts(one, need) for one in offered), strict=True):
        largest, most = max(zip(offered, parts, strict=True), key=lambda pair: pair[1].had)
        if most.lacking:
            found, right = _amount(most.what, most.needed, rounded=math.ceil), _amount(most.what, most.had)
            sentences.append(f"hardware: found {found}; at most {right}, as {largest.name} has, is right.")
    if sentences:
        raise Refused("\n".join(sentences))
    near = min(offered, key=lambda one: _distance(one, need))
    found = ", ".join(_amount(part.what, part.needed, rounded=math.ceil) for part in _parts(near, need) if part.needed)
    raise Refused(
        f"hardware: found {found}, which no instance type has together; a need that the nearest meets is right: "
        f"{near.name} has {_listed(_lacks(near, need))}."
    )


def _parts(one: InstanceType, need: Need) -> tuple[_Part, ...]:
    storage = math.inf if one.storage_mib is None else one.storage_mib
    return (
        _Part(what="vCPUs", needed=need.vcpus, had=one.vcpus),
        _Part(what="memory", needed=need.memory_mib, had=one.memory_mib),
        _Part(what="storage", needed=need.storage_mib, had=storage),
        _Part(what="GPUs", needed=need.gpus, had=one.gpus),
    )


def _lacks(one: InstanceType, need: Need) -> list[_Part]:
    return [part for part in _parts(one, need) if part.needed > part.had]


def _distance(one: InstanceType, need: Need) -> float:
    return sum(part.lacking for part in _parts(one, need))


def _rank(one: InstanceType, need: Need) -> int:
    """0 for a type of the kind that is needed; more for one that is taken only where no other fits."""
    return 2 * (one.gpus > need.gpus == 0) + one.burstable


def _size(one: InstanceType) -> tuple[int, int, str]:
    return one.vcpus, one.memory_mib, one.name


def _listed(lacks: list[_Part]) -> str:
    return ", ".join(f"{part.held} ({part.wanted})" for part in lacks)


def _figure(what: str, amount: float, *, rounded: Callable[[float], int] = math.floor) -> str:
    """A number of vCPUs or GPUs, or MiB as GiB to a tenth, rounded so that too little never reads as enough."""
    if what in {"vCPUs", "GPUs"}:
        return str(int(amount)) if amount else "no"
    return f"{rounded(amount * 10 / 1024) / 10:g} GiB"


def _amount(what: str, amount: float, *, rounded: Callable[[float], int] = math.floor) -> str:
    figure = _figure(what, amount, rounded=rounded)
    if what in {"vCPUs", "GPUs"}:
        return f"{figure} {what if amount > 1 else what.removesuffix('s')}"
    return f"{figure} of {what}"


def _dollars(amount: Decimal) -> str:
    """Dollars to the hundredth of a cent, rounded up so that a difference never reads as none."""
    places = amount.quantize(FOUR_PLACES, rounding=ROUND_UP)
    whole, _, fraction = f"{places:f}".partition(".")
    return f"${whole}.{fraction[:2]}{fraction[2:].rstrip('0')}"
