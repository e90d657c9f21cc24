"""What a workflow can see and use: a bubblewrap sandbox, limits in a cage, and what this machine offers of them."""

from neurocaas.sandbox.bubblewrap import Identity, identity_of_this_process
from neurocaas.sandbox.cage import Cage, CageKind, Usage
from neurocaas.sandbox.captured import Finished, run
from neurocaas.sandbox.choice import cage_kinds, choose_cage, describe
from neurocaas.sandbox.engine import Engine, find_engine
from neurocaas.sandbox.probe import Probe, describe_identity, probe
from neurocaas.sandbox.process import Ending, Sandboxed, start
from neurocaas.sandbox.space import Space, SpaceWatch, measure
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
    "describe",
    "describe_identity",
    "find_engine",
    "identity_of_this_process",
    "measure",
    "probe",
    "run",
    "start",
]
