"""Money: a job reserves its upper bound, is charged what it used, and gives the rest back (paper §2.2.1, §3.4).

Amounts are whole nano-dollars. What is reserved ends up charged or released, to the last of them. Every function runs
inside the transaction of the change it belongs to.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import F, Sum

from neurocaas.blueprint.profile import Profile
from neurocaas.cost.dollars import shown as shown_dollars
from neurocaas.errors import Refused
from neurocaas.server.jobs.models import NANO, Account, Attempt, Entry, Job, Spending, Stack

HOUR = timedelta(hours=1)
GROUP = ""  # the account of a group as a whole has no user


@dataclass(frozen=True, kw_only=True)
class Balance:
    """One account beside its budget. user: empty for the group's own."""

    user: str
    budget: int
    held: int
    spent: int

    @property
    def left(self) -> int:
        return self.budget - self.held - self.spent


@dataclass(frozen=True, kw_only=True)
class Charge:
    """The fields of an attempt's row, and of its stack's, as a charge leaves them."""

    attempt: dict[str, int]
    stack: dict[str, int]


def nanodollars(dollars: Decimal) -> int:
    """Dollars as whole nano-dollars, rounded up."""
    return math.ceil(dollars * NANO)


def dollars(nano: int) -> Decimal:
    return Decimal(nano) / NANO


def shown(nano: int) -> str:
    """An amount as people read it."""
    return shown_dollars(dollars(nano))


def bound(price_nanodollars_per_hour: int, timeout_seconds: float, attempts: int) -> int:
    """The most that a stack can cost: price × time limit × permitted attempts."""
    return math.ceil(price_nanodollars_per_hour * Decimal(timeout_seconds) / 3600) * attempts


def cost(price_nanodollars_per_hour: int, used: timedelta) -> int:
    """What an instance cost, by the time it was used, rounded up to a nano-dollar."""
    microseconds = max(0, used // timedelta(microseconds=1))
    return -(-price_nanodollars_per_hour * microseconds // (HOUR // timedelta(microseconds=1)))


def balances(profile: Profile) -> list[Balance]:
    """The group's balance, then those of its users: all that have an account or a budget of their own."""
    accounts = {one.user: one for one in Account.objects.filter(group_id=profile.name)}
    users = sorted({*accounts, *profile.users} - {GROUP})
    return [_balance(profile, user, accounts.get(user)) for user in (GROUP, *users)]


def new_balance(profile: Profile, user: str) -> Balance:
    """The balance of a user, or the group, that never held anything."""
    return _balance(profile, user, None)


def reserve(job: Job, amount: int, profile: Profile, at: datetime, *, stack: Stack | None = None) -> None:
    """Hold `amount` of the group's budget and of the user's, for the job or, later, for one more need of a stack of it.

    Raises Refused if less than that is left of either.
    """
    _inside_transaction()
    for balance in _locked(job, profile):
        if amount > balance.left:
            whose = f"user {balance.user}" if balance.user else f"group {profile.name}"
            raise Refused(
                f"budget: the job may cost up to {shown(amount)}, and {whose} has "
                f"{shown(balance.left)} of {shown(balance.budget)} left; fewer datasets, a shorter time "
                f"limit (--minutes) or a higher budget is right."
            )
    _entry(job, Entry.Kind.RESERVE, amount, at, stack=stack).save(force_insert=True)
    _move(job, held=amount)


def charge(attempt: Attempt, at: datetime, *, release: bool = False) -> Charge:
    """Charge an ending attempt for its instance's time, out of what its stack holds; `release` gives back the rest.

    What goes beyond that (a machine that was slow to stop) is the site's to bear: nobody pays more than was agreed.
    The caller writes the fields that it returns with what else changes in the two rows.
    """
    _inside_transaction()
    stack = attempt.stack
    used = at - (attempt.started_at or at)
    amount = min(cost(attempt.price_nanodollars_per_hour, used), stack.held_nanodollars)
    left = stack.held_nanodollars - amount if release else 0
    entries = []
    if amount:
        entries.append(_entry(stack.job, Entry.Kind.CHARGE, amount, at, stack=stack, attempt=attempt))
    if left:
        entries.append(_entry(stack.job, Entry.Kind.RELEASE, left, at, stack=stack))
    if entries:
        Entry.objects.bulk_create(entries)
        _move(stack.job, held=-amount - left, spent=amount)
        _note_spending(stack.job, amount, at)
    return Charge(
        attempt={"cost_nanodollars": amount},
        stack={
            "held_nanodollars": stack.held_nanodollars - amount - left,
            "charged_nanodollars": stack.charged_nanodollars + amount,
        },
    )


def release(stacks: Iterable[Stack], at: datetime) -> None:
    """Give back what these stacks, which have ended, still hold."""
    _inside_transaction()
    for stack in stacks:
        if left := stack.held_nanodollars:
            stack.held_nanodollars = 0
            stack.save(update_fields=["held_nanodollars"])
            _entry(stack.job, Entry.Kind.RELEASE, left, at, stack=stack).save(force_insert=True)
            _move(stack.job, held=-left)


def held(job: Job) -> int:
    """What the job still holds of its reservation."""
    return _sum(job, "held_nanodollars")


def charged(job: Job) -> int:
    """What the job has cost so far."""
    return _sum(job, "charged_nanodollars")


def _sum(job: Job, field: str) -> int:
    total: int | None = Stack.objects.filter(job=job).aggregate(total=Sum(field))["total"]
    return total or 0


def _entry(
    job: Job, kind: Entry.Kind, amount: int, at: datetime, *, stack: Stack | None, attempt: Attempt | None = None
) -> Entry:
    return Entry(group_id=job.group_id, job=job, stack=stack, attempt=attempt, kind=kind, nanodollars=amount, at=at)


def _move(job: Job, *, held: int = 0, spent: int = 0) -> None:
    """Change both accounts by so much, whatever another process did to them meanwhile."""
    for user in _users(job):
        Account.objects.filter(group_id=job.group_id, user=user).update(
            held_nanodollars=F("held_nanodollars") + held, spent_nanodollars=F("spent_nanodollars") + spent
        )


def _note_spending(job: Job, amount: int, at: datetime) -> None:
    if not amount:
        return
    one = {"group_id": job.group_id, "user": job.user, "month": at.astimezone(UTC).date().replace(day=1)}
    if not Spending.objects.filter(**one).update(nanodollars=F("nanodollars") + amount):
        Spending.objects.bulk_create([Spending(**one)], ignore_conflicts=True)
        Spending.objects.filter(**one).update(nanodollars=F("nanodollars") + amount)


def _locked(job: Job, profile: Profile) -> list[Balance]:
    """The balances of the group and the user, which nobody else changes before this transaction ends.

    The lock makes two submissions at the same instant take turns; SQLite's IMMEDIATE transactions do so anyway.
    """
    users = _users(job)
    Account.objects.bulk_create([Account(group_id=job.group_id, user=user) for user in users], ignore_conflicts=True)
    accounts = Account.objects.select_for_update().filter(group_id=job.group_id, user__in=users).order_by("user")
    return [_balance(profile, one.user, one) for one in accounts]


def _users(job: Job) -> list[str]:
    """The accounts that the job's money moves on, always locked in this order so that nobody waits for each other."""
    return sorted({GROUP, job.user})


def _balance(profile: Profile, user: str, account: Account | None) -> Balance:
    return Balance(
        user=user,
        budget=nanodollars(profile.budget_of(user) if user else profile.budget_dollars),
        held=account.held_nanodollars if account else 0,
        spent=account.spent_nanodollars if account else 0,
    )


def _inside_transaction() -> None:
    if not transaction.get_connection().in_atomic_block:
        raise AssertionError("the ledger was called outside a transaction")
