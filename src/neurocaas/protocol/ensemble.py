"""Members that differ by seed, on the same data, and a consensus of those that succeed (Fig. 8C, §3.2)."""

from __future__ import annotations

from neurocaas.blueprint import Family
from neurocaas.blueprint.family import MEMBERS, SUCCEED
from neurocaas.blueprint.wiring import step_of
from neurocaas.protocol.embedding import Planner, embed, merged
from neurocaas.protocol.plan import MAX_SEED, Plan, Step, Submission


def ensemble(family: Family, submission: Submission, planner: Planner) -> Plan:
    """For each dataset, `members` times the member's plan with seeds that count up, then the consensus of them."""
    blueprint, config = family.version.blueprint, submission.config
    step = step_of(blueprint, "member")
    members: list[Step] = []
    for number in range(config[MEMBERS]):
        seed = (submission.seed + number) % (MAX_SEED + 1)
        seeded = submission.model_copy(update={"seed": seed})
        members = merged(members, embed(family, "member", step, seeded, planner, [], label=f"member-{number + 1}"))
    consensus = embed(family, "consensus", "consensus", submission, planner, members, quorum=config[SUCCEED])
    return Plan(steps=(*members, *consensus))
