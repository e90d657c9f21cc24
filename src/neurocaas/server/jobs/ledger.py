"""Money: a job reserves its upper bound, is charged what it used, and gives the rest back (paper §3.4).

Amounts are whole nano-dollars. Every function runs inside the transaction of the change it belongs to.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet, Sum

from neurocaas.errors import Refused
from neurocaas.server.jobs.models import NANO, Attempt, Entry, Group, Job

HOUR = timedelta(hours=1)


def nanodollars(dollars: Decimal) -> int:
    """Dollars as whole nano-dollars, rounded up."""
    return math.ceil(dollars * NANO)


def dollars(nano: int) -> Decimal:
    return Decimal(nano) / NANO


def bound(price_nanodollars_per_hour: int, timeout_seconds: float, attempts: int) -> int:
    """The most that a stack can cost: price × time limit × permitted attempts."""
    return math.ceil(price_nanodollars_per_hour * Decimal(timeout_seconds) / 3600) * attempts


def cost(price_nanodollars_per_hour: int, used: timedelta) -> int:
    """What an instance cost, by the time it was used, rounded up to a nano-dollar."""
    microseconds = max(0, used // timedelta(microseconds=1))
    return -(-price_nanodollars_per_hour * microseconds // (HOUR // timedelta(microseconds=1)))


def reserve(job: Job, amount: int, at: datetime) -> None:
    """Hold `amount` of the group's budget for the job. Raises Refused if less than that is left."""
    _inside_transaction()
    # The lock makes two submissions at the same instant take turns; SQLite's IMMEDIATE transactions do so anyway.
    group = Group.objects.select_for_update().get(pk=job.group_id)
    left = group.budget_nanodollars - committed(group)
    if amount > left:
        raise Refused(
            f"budget: the job may cost up to ${dollars(amount):.2f}, and group {group.name} has ${dollars(left):.2f} "
            f"of ${dollars(group.budget_nanodollars):.2f} left; fewer datasets or a higher budget is right."
        )
    Entry.objects.create(group=group, job=job, kind=Entry.Kind.RESERVE, nanodollars=amount, at=at)


def charge(attempt: Attempt, job: Job, at: datetime) -> None:
    """Charge an ended attempt for its instance's time, out of what the job holds."""
    _inside_transaction()
    used = at - (attempt.started_at or at)
    amount = cost(attempt.price_nanodollars_per_hour, used)
    if amount == 0:
        return
    attempt.cost_nanodollars = amount
    attempt.save(update_fields=["cost_nanodollars"])
    common = {"group_id": job.group_id, "job": job, "attempt": attempt, "at": at}
    Entry.objects.create(**common, kind=Entry.Kind.CHARGE, nanodollars=amount)
    if freed := min(amount, held(job)):
        Entry.objects.create(**common, kind=Entry.Kind.RELEASE, nanodollars=freed)


def release(job: Job, at: datetime) -> None:
    """Give back what the ended job still holds."""
    _inside_transaction()
    if left := held(job):
        Entry.objects.create(group_id=job.group_id, job=job, kind=Entry.Kind.RELEASE, nanodollars=left, at=at)


def held(job: Job) -> int:
    """What the job still holds of its reservation."""
    sums = _sums(Entry.objects.filter(job=job))
    return sums[Entry.Kind.RESERVE] - sums[Entry.Kind.RELEASE]


def charged(job: Job) -> int:
    """What the job has cost so far."""
    return _sums(Entry.objects.filter(job=job))[Entry.Kind.CHARGE]


def committed(group: Group) -> int:
    """What the group has spent and what its jobs hold."""
    sums = _sums(Entry.objects.filter(group=group))
    return sums[Entry.Kind.CHARGE] + sums[Entry.Kind.RESERVE] - sums[Entry.Kind.RELEASE]


def _sums(entries: QuerySet[Entry]) -> dict[str, int]:
    rows = entries.values_list("kind").annotate(total=Sum("nanodollars")).order_by()
    return {kind.value: 0 for kind in Entry.Kind} | dict(rows)


def _inside_transaction() -> None:
    if not transaction.get_connection().in_atomic_block:
        raise AssertionError("the ledger was called outside a transaction")
