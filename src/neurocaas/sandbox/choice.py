"""The best kind of cage this machine offers, found by trying."""

from __future__ import annotations

import functools

from neurocaas.sandbox.cage import CageKind
from neurocaas.sandbox.cgroup_v1 import CgroupV1
from neurocaas.sandbox.cgroup_v2 import CgroupV2
from neurocaas.sandbox.engine import Engine
from neurocaas.sandbox.systemd_scope import SystemdScope
from neurocaas.sandbox.watching import Watching


def cage_kinds() -> tuple[CageKind, ...]:
    """Every kind, the strongest first; the last works everywhere."""
    return (CgroupV2(), CgroupV1(), SystemdScope(), Watching())


@functools.cache
def choose_cage() -> CageKind:
    """The first kind that works here; tried once per process."""
    return next(kind for kind in cage_kinds() if kind.works())


def choose_cage_for(engine: Engine | None) -> CageKind:
    """The same for what a container engine runs: a cgroup where it makes its own below ours, else watching.

    The engine itself limits memory and processes either way; a cage is what measures them and leaves nobody behind.
    """
    best = choose_cage()
    if engine is None or (engine.own_cgroups and isinstance(best, CgroupV1 | CgroupV2)):
        return best
    return Watching()


def describe() -> str:
    """One sentence about this machine's limits, for `neurocaas doctor` and the certificate."""
    return choose_cage().describe()
