"""What a workflow can see and use: bubblewrap or a container, limits in a cage, and what of them works here."""

from neurocaas.sandbox.bubblewrap import Identity, identity_of_this_process
from neurocaas.sandbox.cage import Cage, CageKind, Usage
from neurocaas.sandbox.captured import Finished, run
from neurocaas.sandbox.choice import cage_kinds, choose_cage, choose_cage_for, describe
from neurocaas.sandbox.ending import Ending, Sandboxed
from neurocaas.sandbox.engine import Engine, find_engine
from neurocaas.sandbox.probe import Probe, describe_identity, probe
from neurocaas.sandbox.space import Space, SpaceWatch, measure
from neurocaas.sandbox.starting import start
from neurocaas.sandbox.view import MIB, Limits, Mount, View

__all__ = [
    "MIB",
    "Cage",
    "CageKind",
    "Ending",
    "Engine",
    "Finished",
    "Identity",
    "Limits",
    "Mount",
    "Probe",
    "Sandboxed",
    "Space",
    "SpaceWatch",
    "Usage",
    "View",
    "cage_kinds",
    "choose_cage",
    "choose_cage_for",
    "describe",
    "describe_identity",
    "find_engine",
    "identity_of_this_process",
    "measure",
    "probe",
    "run",
    "start",
]
