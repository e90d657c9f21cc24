"""Protocols: pure functions from a submission to a plan (paper §2.1.2)."""

from neurocaas.protocol.assembly import Awaited, PlannedStack, assemble
from neurocaas.protocol.plan import (
    MAX_SEED,
    DataRef,
    Dataset,
    Form,
    FromStacks,
    Part,
    Plan,
    StackPlan,
    Step,
    Submission,
)
from neurocaas.protocol.registry import plan_for
from neurocaas.protocol.sweep import grid, short

__all__ = [
    "MAX_SEED",
    "Awaited",
    "DataRef",
    "Dataset",
    "Form",
    "FromStacks",
    "Part",
    "Plan",
    "PlannedStack",
    "StackPlan",
    "Step",
    "Submission",
    "assemble",
    "grid",
    "plan_for",
    "short",
]
