from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.errors import Refused

if TYPE_CHECKING:
    from neurocaas.server.jobs.models import Job

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NANO = 10**9


def _job(budget_dollars: int = 10, name: str = "j") -> Job:
    from neurocaas.server.jobs.models import Group, Job

    group, _ = Group.objects.get_or_create(name="lab", defaults={"budget_nanodollars": budget_dollars * NANO})
    common: dict[str, Any] = {"config": {}, "seed": 0, "max_attempts": 3, "timeout_seconds": 60, "max_instances": 2}
    return Job.objects.create(id=name, group=group, submitted_at=NOW, **common)


@pytest.mark.usefixtures("any_database")
def test_a_job_can_not_hold_more_than_is_left() -> None:
    from django.db import transaction

    from neurocaas.server.jobs import ledger

    with transaction.atomic():
        ledger.reserve(_job(name="a"), 7 * NANO, NOW)
    second = _job(name="b")
    with pytest.raises(Refused, match=r"up to \$4.00, and group lab has \$3.00 of \$10.00 left"), transaction.atomic():
        ledger.reserve(second, 4 * NANO, NOW)
    with transaction.atomic():
        ledger.release(_refreshed("a"), NOW)
        ledger.reserve(second, 4 * NANO, NOW)


@pytest.mark.usefixtures("any_database")
def test_a_job_is_charged_by_time_and_gives_the_rest_back() -> None:
    from django.db import transaction

    from neurocaas.server.jobs import ledger
    from neurocaas.server.jobs.models import Attempt, Stack, Step

    job = _job()
    with transaction.atomic():
        ledger.reserve(job, 6 * NANO, NOW)
    step = Step.objects.create(job=job, index=0, name="s")
    stack = Stack.objects.create(job=job, step=step, index=0, inputs=[], config={}, seed=0, need={})
    attempt = Attempt.objects.create(
        stack=stack, number=1, price_nanodollars_per_hour=2 * NANO, launched_at=NOW, started_at=NOW
    )
    with transaction.atomic():
        ledger.charge(attempt, job, NOW + timedelta(minutes=30))
    assert ledger.charged(job) == NANO
    assert ledger.held(job) == 5 * NANO
    with transaction.atomic():
        ledger.release(job, NOW)
    assert ledger.held(job) == 0
    assert ledger.committed(job.group) == NANO


@pytest.mark.usefixtures("any_database")
def test_the_ledger_refuses_to_be_called_outside_a_transaction() -> None:
    from neurocaas.server.jobs import ledger

    job = _job()
    with pytest.raises(AssertionError, match="outside a transaction"):
        ledger.reserve(job, 1, NOW)


@pytest.mark.usefixtures("any_database")
@given(
    st.integers(0, 10**12),
    st.integers(0, 10**7).map(lambda seconds: timedelta(milliseconds=seconds)),
    st.integers(1, 10),
)
def test_what_a_stack_costs_never_exceeds_its_bound(price: int, used: timedelta, attempts: int) -> None:
    from neurocaas.server.jobs import ledger

    bound = ledger.bound(price, used.total_seconds(), attempts)
    exact = Decimal(price) * Decimal(used // timedelta(milliseconds=1)) / 3_600_000
    one = ledger.cost(price, used)
    assert exact <= one < exact + 1
    assert one * attempts <= bound + attempts  # rounding up, once per attempt


def _refreshed(name: str) -> Job:
    from neurocaas.server.jobs.models import Job

    return Job.objects.get(pk=name)
