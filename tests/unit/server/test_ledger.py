from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.blueprint.profile import Profile
from neurocaas.errors import Refused

if TYPE_CHECKING:
    from neurocaas.server.jobs.models import Attempt, Job, Stack

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NANO = 10**9


def _profile(group: int = 10, user: int = 10) -> Profile:
    return Profile(name="lab", budget_dollars=Decimal(group), user_budget_dollars=Decimal(user))


def _job(name: str = "j", user: str = "ada") -> Job:
    from neurocaas.server.jobs.models import Group, Job

    group, _ = Group.objects.get_or_create(name="lab")
    return Job.objects.create(id=name, group=group, user=user, submitted_at=NOW, config={}, seed=0, max_instances=2)


def _stack(job: Job, held: int) -> Stack:
    from neurocaas.server.jobs.models import Stack, Step

    step = Step.objects.create(job=job, index=0, name="s")
    return Stack.objects.create(
        job=job, step=step, index=0, inputs=[], config={}, seed=0, need={}, held_nanodollars=held
    )


def _attempt(stack: Stack, price_per_hour: int, number: int = 1) -> Attempt:
    from neurocaas.server.jobs.models import Attempt

    price = price_per_hour * NANO
    return Attempt.objects.create(
        stack=stack, number=number, price_nanodollars_per_hour=price, launched_at=NOW, started_at=NOW
    )


def _charge(attempt: Attempt, at: datetime) -> None:
    from neurocaas.server.jobs import ledger

    charge = ledger.charge(attempt, at)
    for row, fields in ((attempt, charge.attempt), (attempt.stack, charge.stack)):
        for name, value in fields.items():
            setattr(row, name, value)
        row.save(update_fields=list(fields))


@pytest.mark.usefixtures("any_database")
def test_a_job_can_not_hold_more_than_is_left() -> None:
    from django.db import transaction

    from neurocaas.server.jobs import ledger

    first = _stack(_job(name="a"), 7 * NANO)
    with transaction.atomic():
        ledger.reserve(first.job, 7 * NANO, _profile(), NOW)
    second = _job(name="b")
    with pytest.raises(Refused, match=r"up to \$4.00, and group lab has \$3.00 of \$10.00 left"), transaction.atomic():
        ledger.reserve(second, 4 * NANO, _profile(), NOW)
    with transaction.atomic():
        ledger.release([first], NOW)
        ledger.reserve(second, 4 * NANO, _profile(), NOW)


@pytest.mark.usefixtures("any_database")
def test_a_user_has_a_budget_besides_the_groups() -> None:
    from django.db import transaction

    from neurocaas.server.jobs import ledger

    profile = _profile(group=100, user=5)
    with transaction.atomic():
        ledger.reserve(_job(name="a"), 4 * NANO, profile, NOW)
    with pytest.raises(Refused, match=r"user ada has \$1.00 of \$5.00 left"), transaction.atomic():
        ledger.reserve(_job(name="b"), 2 * NANO, profile, NOW)
    with transaction.atomic():
        ledger.reserve(_job(name="c", user="bob"), 5 * NANO, profile, NOW)
    balances = {one.user: (one.held, one.left) for one in ledger.balances(profile)}
    assert balances == {"": (9 * NANO, 91 * NANO), "ada": (4 * NANO, NANO), "bob": (5 * NANO, 0)}


@pytest.mark.usefixtures("any_database")
def test_a_job_is_charged_by_time_and_gives_the_rest_back() -> None:
    from django.db import transaction

    from neurocaas.server.jobs import ledger

    stack = _stack(_job(), 6 * NANO)
    with transaction.atomic():
        ledger.reserve(stack.job, 6 * NANO, _profile(), NOW)
        _charge(_attempt(stack, 2), NOW + timedelta(minutes=30))
    assert (ledger.charged(stack.job), ledger.held(stack.job)) == (NANO, 5 * NANO)
    with transaction.atomic():
        ledger.release([stack], NOW)
    assert ledger.held(stack.job) == 0
    assert [(one.held, one.spent) for one in ledger.balances(_profile())] == [(0, NANO), (0, NANO)]


@pytest.mark.usefixtures("any_database")
def test_nobody_is_charged_more_than_was_agreed() -> None:
    from django.db import transaction

    from neurocaas.server.jobs import ledger

    stack = _stack(_job(), 3 * NANO)
    with transaction.atomic():
        ledger.reserve(stack.job, 3 * NANO, _profile(), NOW)
        _charge(_attempt(stack, 2), NOW + timedelta(hours=1))
        _charge(_attempt(stack, 2, number=2), NOW + timedelta(hours=5))
    assert (ledger.charged(stack.job), ledger.held(stack.job)) == (3 * NANO, 0)


@pytest.mark.usefixtures("any_database")
def test_the_ledger_refuses_to_be_called_outside_a_transaction() -> None:
    from neurocaas.server.jobs import ledger

    job = _job()
    with pytest.raises(AssertionError, match="outside a transaction"):
        ledger.reserve(job, 1, _profile(), NOW)


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
