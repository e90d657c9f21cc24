"""Outputs of one analysis become inputs of the next, dataset by dataset (Fig. 8B, §3.1)."""

from __future__ import annotations

from neurocaas.blueprint import Family
from neurocaas.protocol.embedding import Planner, embed
from neurocaas.protocol.plan import Plan, Step, Submission


def chain(family: Family, submission: Submission, planner: Planner) -> Plan:
    """The plans of the parts, one after the other. A dataset's next stack starts as soon as its own last one ended."""
    steps: list[Step] = []
    for name in family.version.blueprint.parts:
        steps += embed(family, name, name, submission, planner, steps)
    return Plan(steps=tuple(steps))
