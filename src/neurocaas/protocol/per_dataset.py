"""One stack per dataset, all in parallel: the default of the paper (Fig. 8A)."""

from __future__ import annotations

from neurocaas.blueprint import Blueprint
from neurocaas.protocol.plan import Plan, StackPlan, Step, Submission


def per_dataset(blueprint: Blueprint, submission: Submission) -> Plan:
    """A plan of one step, with a stack for each dataset in the order given."""
    stacks = tuple(
        StackPlan(
            dataset=dataset,
            config=submission.config,
            seed=submission.seed,
            need=blueprint.hardware.need(dataset.size_bytes),
        )
        for dataset in submission.datasets
    )
    return Plan(steps=(Step(name=blueprint.name, stacks=stacks),))
