"""One stack per dataset, all in parallel: the default of the paper (Fig. 8A)."""

from __future__ import annotations

from neurocaas.blueprint import Family
from neurocaas.protocol.plan import Plan, StackPlan, Step, Submission


def per_dataset(family: Family, submission: Submission) -> Plan:
    """A plan of one step, with a stack for each dataset in the order given."""
    inputs = {name: name for name in family.version.blueprint.inputs}
    stacks = tuple(
        StackPlan(
            dataset=position,
            config=submission.config,
            seed=submission.seed,
            inputs=dict(inputs),
        )
        for position in range(len(submission.datasets))
    )
    return Plan(steps=(Step(name="", stacks=stacks),))
