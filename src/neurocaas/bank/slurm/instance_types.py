"""The instance types of a cluster: those that the site's settings list, else one for each partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from neurocaas.bank.provider import InstanceType, Placement
from neurocaas.bank.slurm.answers import Nodes
from neurocaas.bank.slurm.script import RUNNER_MIB, Shape
from neurocaas.blueprint import Need
from neurocaas.settings import SlurmType

PROVIDER = "slurm"


@dataclass(frozen=True, kw_only=True)
class Offered:
    """An instance type and how Slurm is asked for it."""

    instance_type: InstanceType
    listed: SlurmType

    def shape(self, need: Need, placement: Placement, timeout_seconds: float) -> Shape:
        listed = self.listed
        save = listed.save if placement.saves else None
        return Shape(
            partition=(save and save.partition) or listed.partition or listed.name,
            qos=(save and save.qos) or listed.qos or "",
            account=listed.account or "",
            constraint=listed.constraint or "",
            gres=listed.gres,
            need=need,
            timeout_seconds=timeout_seconds,
        )


def offered(listed: Sequence[SlurmType]) -> dict[str, Offered]:
    """By name. The memory that stacks may have is what Slurm may be asked for less what their runners take."""
    return {one.name: Offered(instance_type=_instance_type(one), listed=one) for one in listed}


def from_partitions(shapes: Sequence[Nodes]) -> tuple[SlurmType, ...]:
    """One for each partition: the largest of its nodes, for nothing."""
    largest: dict[str, Nodes] = {}
    for one in shapes:
        if one.memory_mib < 1024:  # Slurm's own default of 1 MiB: the operator says nothing of memory
            continue
        held = largest.get(one.partition)
        if held is None or _size(one) > _size(held):
            largest[one.partition] = one
    return tuple(
        SlurmType(
            name=one.partition,
            vcpus=one.vcpus,
            memory_gib=Decimal(one.memory_mib) / 1024,
            gpus=one.gpus,
            gres=f"gpu:{one.gpu}" if one.gpu else "gpu",
        )
        for one in largest.values()
    )


def _size(one: Nodes) -> tuple[int, int, int]:
    return one.gpus, one.vcpus, one.memory_mib


def _instance_type(one: SlurmType) -> InstanceType:
    return InstanceType(
        name=one.name,
        provider=PROVIDER,
        site_name=True,
        vcpus=one.vcpus,
        memory_mib=int(one.memory_gib * 1024) - RUNNER_MIB,
        gpus=one.gpus,
        gpu=one.gres.partition(":")[2],
        price_per_hour=one.price_per_hour,
        save_price_per_hour=one.save.price_per_hour if one.save else None,
    )
