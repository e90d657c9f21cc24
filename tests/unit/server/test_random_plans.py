"""Any plan, whatever befalls it: every stack ends once, and every account adds up to the nano-dollar."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from neurocaas.blueprint.profile import Profile
from neurocaas.errors import Refused
from neurocaas.storage import keys
from support.random_world import LABS, USERS, RandomWorld, Story, Submission, Told, forget_everything, in_a_thread

EXAMPLES = int(os.environ.get("NEUROCAAS_RANDOM_PLANS", "8"))  # how many stories are told on each database
SIZES = (1, 2, 3, 5, 8, *((13, 40) if EXAMPLES > 100 else ()))  # of steps; what is checked often is to be quick
FINAL = {"succeeded", "failed", "cancelled"}

SUBMISSIONS = st.builds(
    Submission,
    steps=st.lists(st.sampled_from(SIZES), min_size=1, max_size=5).map(tuple),
    seed=st.integers(0, 2**32 - 1),
    lab=st.sampled_from(LABS),
    user=st.sampled_from(USERS),
    after_seconds=st.sampled_from([0, 0, 1, 60, 600, 3000]),
    together=st.booleans(),
    fresh=st.booleans(),
    save=st.booleans(),
)
SHARES = st.sampled_from([0.0, 0.05, 0.2, 0.5])
DOLLARS = st.sampled_from([Decimal(one) for one in ("0.500000001", "7.123456789", "60", "300", "10000", "20000")])
STORIES = st.builds(
    Story,
    submissions=st.lists(SUBMISSIONS, min_size=1, max_size=4).map(tuple),
    cancels=st.lists(st.tuples(st.sampled_from([0, 30, 400, 3000]), st.integers(0, 3)), max_size=2).map(tuple),
    retries=st.integers(0, 2),
    deaths=st.lists(st.tuples(st.integers(1, 400), st.booleans()), max_size=6).map(tuple),
    budgets=st.tuples(DOLLARS, DOLLARS),
    capacity=st.sampled_from([1, 2, 5, None]),
    failing=SHARES,
    lost=SHARES,
    interrupted=SHARES,
    refused=SHARES,
    silence_seconds=st.sampled_from([400.0, float("inf")]),
    seed=st.integers(0, 2**32 - 1),
)

# 200 stacks of one job beside another lab's, with everything that may befall them.
LARGE = Story(
    submissions=(
        Submission(
            steps=(60, 60, 50, 30),
            seed=1,
            lab="first",
            user="ada",
            after_seconds=0,
            together=False,
            fresh=True,
            save=True,
        ),
        Submission(
            steps=(10, 5), seed=2, lab="second", user="bob", after_seconds=0, together=True, fresh=False, save=False
        ),
    ),
    cancels=(),
    retries=1,
    deaths=((300, True), (777, False), (1500, True)),
    budgets=(Decimal("7000.000000001"), Decimal(6000)),
    capacity=20,
    failing=0.05,
    lost=0.02,
    interrupted=0.1,
    refused=0.05,
    silence_seconds=float("inf"),
    seed=3,
)


@pytest.fixture
def world(tmp_path: Path, any_database: str) -> RandomWorld:
    return RandomWorld(tmp_path)


@pytest.mark.thorough
# A manager that is killed while it reads leaves a cursor open, as a process that ends does.
@pytest.mark.filterwarnings("ignore:.*ServerSideCursor.* was deleted while still open:ResourceWarning")
@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(story=STORIES)
@example(story=LARGE)
def test_whatever_befalls_it_every_stack_ends_once_and_every_account_adds_up(world: RandomWorld, story: Story) -> None:
    told = world.tell(story, after_turn=_check_what_holds_always, watch=_check_before_launch)
    _note(told)
    _check_endings(world)
    _check_attempts(world)
    _check_charges(world)


@settings(max_examples=max(4, EXAMPLES // 6), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(enough_for=st.lists(st.integers(0, 3), min_size=2, max_size=2), whose=st.sampled_from(["lab", "user"]))
def test_who_submits_at_the_same_instant_can_not_take_the_last_dollar_too(
    world: RandomWorld, enough_for: list[int], whose: str
) -> None:
    from neurocaas.server.groups.deploy import deploy_profile
    from neurocaas.server.jobs import ledger
    from neurocaas.server.jobs.models import Account, Job
    from neurocaas.server.jobs.submit import Request, prepare, submit

    forget_everything()
    world.plans = {7: {"steps": [{"name": "a", "stacks": [{"dataset": 0, "inputs": {"matrix": "matrix"}}] * 3}]}}
    world.cloud.price_per_hour = Decimal("1.234567891")
    requests = [
        Request(analysis="planned", data=world.data, group=lab, user="ada", seed=7) for _ in range(3) for lab in LABS
    ]
    bound = prepare(world, requests[0]).bound_nanodollars  # type: ignore[arg-type]
    for lab, times in zip(LABS, enough_for, strict=True):
        scarce = ledger.dollars(bound * (times + 1) - 1)
        budgets = {"budget_dollars": scarce} if whose == "lab" else {"user_budget_dollars": scarce}
        deploy_profile(Profile(name=lab, **budgets))
    start = threading.Barrier(len(requests))

    def refusal(request: Request) -> str:
        try:
            in_a_thread(lambda: submit(world, request), start)  # type: ignore[arg-type]
        except Refused as fault:
            return fault.message
        return ""

    with ThreadPoolExecutor(len(requests)) as pool:
        refusals = [one for one in pool.map(refusal, requests) if one]
    assert all(one.startswith("budget: the job may cost up to $") for one in refusals)
    for lab, times in zip(LABS, enough_for, strict=True):
        assert Job.objects.filter(group=lab).count() == times
        for account in Account.objects.filter(group=lab):
            assert (account.held_nanodollars, account.spent_nanodollars) == (times * bound, 0)
    assert len(refusals) == len(requests) - sum(enough_for)


def _check_what_holds_always(told: Told) -> None:
    """What is held and spent is what the ledger's entries say, and within budget; what has ended stays as it is."""
    from neurocaas.server.groups.deployed import deployed_profile
    from neurocaas.server.jobs import ledger
    from neurocaas.server.jobs.models import Account, Spending, Stack

    books = _books("group_id", "job__user")
    held: Counter[tuple[str, str]] = Counter()
    spent: Counter[tuple[str, str]] = Counter()
    for (lab, user), book in books.items():
        for account in ((lab, ""), (lab, user)):
            held[account] += book["reserve"] - book["charge"] - book["release"]
            spent[account] += book["charge"]
    spent_by = {account: amount for account, amount in spent.items() if account[1]}
    for one in Account.objects.all():
        profile = deployed_profile(one.group_id)
        budget = ledger.nanodollars(profile.budget_of(one.user) if one.user else profile.budget_dollars)
        account = (one.group_id, one.user)
        assert (one.held_nanodollars, one.spent_nanodollars) == (held.pop(account, 0), spent.pop(account, 0))
        assert one.held_nanodollars >= 0
        assert one.held_nanodollars + one.spent_nanodollars <= budget
    by_month: Counter[tuple[str, str]] = Counter()
    for month in Spending.objects.all():
        by_month[month.group_id, month.user] += month.nanodollars
    assert by_month == {account: amount for account, amount in spent_by.items() if amount}
    assert not any(held.values())
    assert not any(spent.values())
    fields = ("pk", "status", "ended_at", "published_attempt", "reused_from_id", "attempts_made", "charged_nanodollars")
    ended = {one[0]: one for one in Stack.objects.filter(status__in=FINAL).values_list(*fields)}
    assert ended.items() >= told.ended.items()
    told.ended = ended


def _check_before_launch(attempt: str) -> None:
    """A stack starts only when all that it waits for has ended, and enough of it well."""
    job, index, _ = attempt.split("/")
    stack = _stacks().get(job=job, index=index)
    upstream = {one.upstream_id: one.upstream.status for one in stack.needs.select_related("upstream")}
    succeeded = sum(status == "succeeded" for status in upstream.values())
    assert set(upstream.values()) <= FINAL
    assert succeeded >= (stack.quorum or len(upstream))


def _check_endings(world: RandomWorld) -> None:
    """Jobs and stacks have ended, with a certificate for each job; nothing runs; nothing is held."""
    from neurocaas.server.jobs import ledger
    from neurocaas.server.jobs.models import Account, Job

    assert world.cloud.running == []
    for job in Job.objects.all():
        assert job.status in FINAL
        assert job.ended_at is not None
        written = [one.key for one in world.store.list(keys.job(job.group_id, job.id)) if "certificate" in one.key]
        assert written == [keys.certificate(job.group_id, job.id)]
        assert ledger.held(job) == 0
    for stack in _stacks():
        assert stack.status in FINAL
        assert stack.ended_at is not None
    assert not Account.objects.exclude(held_nanodollars=0).exists()


def _check_attempts(world: RandomWorld) -> None:
    """Each stack was answered once: by one attempt whose results were published, or by an earlier stack's."""
    for stack in _stacks().prefetch_related("attempts", "needs__upstream"):
        attempts = list(stack.attempts.all())
        assert {one.status for one in attempts} <= FINAL
        succeeded = [one.number for one in attempts if one.status == "succeeded"]
        key = keys.stack_manifest(stack.job.group_id, stack.job_id, stack.index)
        if stack.status == "succeeded" and stack.reused_from is None:
            assert succeeded == [stack.published_attempt]
            assert json.loads(world.store.get(key))["attempt"] == stack.published_attempt
        else:
            assert (succeeded, stack.published_attempt) == ([], None)
            assert world.store.head(key) is None
        upstream = {one.upstream_id: one.upstream.status for one in stack.needs.all()}
        if sum(status == "succeeded" for status in upstream.values()) < (stack.quorum or len(upstream)):
            assert attempts == []
        if stack.reused_from is not None:
            assert attempts == []
            assert stack.reused_from.job.group_id == stack.job.group_id


def _check_charges(world: RandomWorld) -> None:
    """Each job's reservation is charged or released; an attempt is charged once, for its instance, within its bound."""
    from neurocaas.server.jobs import ledger
    from neurocaas.server.jobs.models import Attempt, Entry, Job

    books = _books("job_id")
    for job in Job.objects.all():
        book = books[(job.id,)]
        assert book["reserve"] - book["charge"] - book["release"] == 0
        assert book["charge"] == ledger.charged(job)
    charges: dict[int | None, list[Entry]] = defaultdict(list)
    for entry in Entry.objects.filter(kind="charge"):
        charges[entry.attempt_id].append(entry)
    launched = set(world.cloud.launched)
    for attempt in Attempt.objects.select_related("stack__step", "stack__job"):
        charged = [one.nanodollars for one in charges.pop(attempt.pk, [])]
        assert charged == ([attempt.cost_nanodollars] if attempt.cost_nanodollars else [])
        if charged:
            assert attempt.name in launched
            assert attempt.started_at is not None
            assert attempt.ended_at is not None
            used = attempt.ended_at - attempt.started_at
            assert charged[0] <= ledger.cost(attempt.price_nanodollars_per_hour, used)
        assert attempt.price_nanodollars_per_hour <= attempt.stack.price_nanodollars_per_hour
    assert not charges
    for stack in _stacks():
        spent = sum(stack.attempts.values_list("cost_nanodollars", flat=True))
        price, step = stack.price_nanodollars_per_hour, stack.step
        assert stack.charged_nanodollars == spent
        assert spent <= ledger.bound(price, step.timeout_seconds, step.max_attempts)


def _stacks() -> Any:
    from neurocaas.server.jobs.models import Stack

    return Stack.objects.select_related("job", "step", "reused_from__job")


def _books(*by: str) -> dict[tuple[Any, ...], Counter[str]]:
    """The sums of the ledger's entries by kind, for each of these."""
    from django.db.models import Sum

    from neurocaas.server.jobs.models import Entry

    books: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for *of, kind, total in Entry.objects.values_list(*by, "kind").annotate(total=Sum("nanodollars")):
        books[tuple(of)][kind] += total
    return books


def _note(told: Told) -> None:
    """What the stories were about, for `pytest --hypothesis-show-statistics`."""
    stacks = list(_stacks())
    event("refused for budget", bool(told.refused))
    event("managers killed", told.deaths)
    for reason in sorted({one.reason for one in stacks if one.status == "failed"}):
        event("failed", reason)
    for what, found in {
        "reused": any(one.reused_from_id for one in stacks),
        "tried again": any(one.attempts_made > 1 for one in stacks),
        "retried jobs": any(one.job.retry_of_id for one in stacks),
    }.items():
        event(what, found)
