"""A job exists for those who may see it, and for nobody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from neurocaas.blueprint.profile import Profile, UserProfile
from neurocaas.errors import Forbidden, NotFound

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWNER, MEMBER = UserProfile(role="owner"), UserProfile(budget_dollars=Decimal(1))


def _job(identifier: str, group: str, user: str, **more: Any) -> None:
    from neurocaas.server.jobs.models import Job

    Job.objects.create(
        id=identifier,
        group_id=group,
        user=user,
        analysis="mean",
        config={},
        seed=0,
        max_instances=1,
        submitted_at=NOW,
        **more,
    )


@pytest.fixture
def labs(any_database: str) -> None:
    """Lab `a` shows `b` its results and `c` that it has jobs; `d` sees nothing."""
    from neurocaas.server.groups.deploy import deploy_profile
    from neurocaas.server.groups.models import AnalysisAccess, Operator

    users = {"owner": OWNER, "ada": MEMBER, "bob": MEMBER}
    deploy_profile(Profile(name="a", users=users, collaborators={"b": ("results",), "c": ("jobs",)}))
    for name in "bcd":
        deploy_profile(Profile(name=name, users={f"one-of-{name}": OWNER}))
    AnalysisAccess.objects.create(analysis="mean", document={"developers": ["dora"]})
    Operator.objects.create(user="ops")
    _job("open", "a", "ada")
    _job("closed", "a", "ada", private=True)


SEE, READ, ACT = {"see"}, {"see", "read"}, {"see", "read", "act"}


@pytest.mark.usefixtures("labs")
@pytest.mark.parametrize(
    ("user", "to_open", "to_closed"),
    [
        ("owner", ACT, ACT),
        ("ada", ACT, ACT),
        ("bob", READ, set()),
        ("one-of-b", READ, set()),
        ("one-of-c", SEE, set()),
        ("one-of-d", set(), set()),
        ("dora", set(), set()),
        ("ops", SEE, SEE),
        ("nobody", set(), set()),
    ],
)
def test_each_role_may_do_what_the_table_says(user: str, to_open: set[str], to_closed: set[str]) -> None:
    from neurocaas.server.groups.scope import To, caller

    who = caller(user)
    for job, allowed in (("open", to_open), ("closed", to_closed)):
        for to in To:
            if to in allowed:
                assert who.job(job, to).id == job
            else:
                with pytest.raises(Forbidden if allowed else NotFound):
                    who.job(job, to)


@pytest.mark.usefixtures("labs")
def test_a_job_that_was_handed_over_is_read_by_its_analysis_developers_until_the_time_is_up() -> None:
    from neurocaas.server.groups.models import Handover
    from neurocaas.server.groups.scope import To, caller

    now = datetime.now(UTC)
    Handover.objects.create(job_id="closed", by="ada", until=now + timedelta(days=1))
    assert caller("dora").job("closed", To.READ).id == "closed"
    with pytest.raises(Forbidden):
        caller("dora").job("closed", To.ACT)
    with pytest.raises(NotFound):
        caller("dora").job("open")
    Handover.objects.update(until=now - timedelta(seconds=1))
    with pytest.raises(NotFound):
        caller("dora").job("closed")


@pytest.mark.usefixtures("labs")
def test_lists_show_the_current_group_and_a_group_that_is_not_ones_own_is_not_taken() -> None:
    from neurocaas.server.groups.scope import caller

    assert [one.id for one in caller("bob").own_jobs()] == ["open"]
    assert {one.id for one in caller("ada").own_jobs()} == {"open", "closed"}
    assert caller("one-of-d", "a").group == "d"
    assert not caller("one-of-d", "a").own_jobs().exists()
    with pytest.raises(Forbidden, match="belongs to no group"):
        caller("nobody").require_group()
    with pytest.raises(Forbidden, match="Only owners"):
        caller("bob").require_owner()
    with pytest.raises(NotFound):
        caller("owner").require_operator()
