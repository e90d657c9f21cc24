"""The built-in protocols by the name a blueprint calls them."""

from __future__ import annotations

from collections.abc import Callable

from neurocaas.blueprint import Blueprint
from neurocaas.protocol.per_dataset import per_dataset
from neurocaas.protocol.plan import Plan, Submission

PROTOCOLS: dict[str, Callable[[Blueprint, Submission], Plan]] = {"per_dataset": per_dataset}


def plan_for(blueprint: Blueprint, submission: Submission) -> Plan:
    """The plan that the blueprint's protocol makes of the submission."""
    return PROTOCOLS[blueprint.protocol.kind](blueprint, submission)
