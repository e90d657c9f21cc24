"""From an analysis and a submission to the plan, by the protocol that the blueprint names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurocaas.blueprint import Family
from neurocaas.blueprint.model import Chain, Ensemble, Function
from neurocaas.documents import parse
from neurocaas.errors import Refused
from neurocaas.protocol.assembly import check_references
from neurocaas.protocol.chain import chain
from neurocaas.protocol.ensemble import ensemble
from neurocaas.protocol.per_dataset import per_dataset
from neurocaas.protocol.plan import Plan, Submission
from neurocaas.protocol.sweep import sweep

# Runs an analysis' own protocol in its sandbox: the analysis, and the submission as JSON; returns the plan as JSON.
RunFunction = Callable[[Family, dict[str, Any]], Any]


def plan_for(family: Family, submission: Submission, run_function: RunFunction) -> Plan:
    """The plan of a submission, sweep included; its steps have names.

    Raises Refused if a point of the sweep or the analysis' own protocol is not right.
    """

    def planner(one: Family, given: Submission) -> Plan:
        match one.version.blueprint.protocol:
            case Chain():
                return chain(one, given, planner)
            case Ensemble():
                return ensemble(one, given, planner)
            case Function():
                return _own(one, given, family, run_function)
        return per_dataset(one, given)

    plan = sweep(family, submission, planner) if submission.points else planner(family, submission)
    name = family.version.name
    return Plan(steps=tuple(one if one.name else one.model_copy(update={"name": name}) for one in plan.steps))


def _own(one: Family, submission: Submission, job: Family, run_function: RunFunction) -> Plan:
    name = one.version.short
    if one is not job:
        raise Refused(f"{name} has a protocol of its own (function), so it can't be a part of {job.version.name}.")
    where = f"the plan of {name}"
    plan = parse(Plan, run_function(one, described(submission)), where)
    check_references(plan, where)
    return plan


def described(submission: Submission) -> dict[str, Any]:
    """What an analysis' own protocol is told of a submission."""
    return {
        "datasets": [
            {
                "name": dataset.name,
                "folder": dataset.folder,
                "size_bytes": sum(one.size_bytes for one in dataset.inputs),
                "inputs": {
                    one.name: {"filename": one.filename, "size_bytes": one.size_bytes, "sha256": one.sha256}
                    for one in dataset.inputs
                },
            }
            for dataset in submission.datasets
        ],
        "config": submission.config,
        "seed": submission.seed,
    }
