"""Rows as years of use leave them: groups, jobs of ten to a hundred stacks and a few large ones, attempts, money, data."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any

from django.db import connection, models, transaction

from neurocaas.blueprint.profile import Profile, UserProfile
from neurocaas.server.accounts.models import User
from neurocaas.server.groups.deploy import deploy_operators, deploy_profile
from neurocaas.server.jobs.models import Account, Attempt, Entry, Job, Spending, Stack, Step
from neurocaas.server.jobs.status import Status
from neurocaas.server.uploads.models import Content, Form, Item, Tag

GROUPS, MEMBERS, ITEMS = 20, 8, 2_000
JOBS_PER_STACK = 3_000 / 200_000
LARGEST = 10_000 / 200_000
BUSIEST, READER, OPERATOR = "lab-00", "user-00-0", "operator"
AT_ONCE = 1_000
DAYS = 730
ANALYSES = ("pca", "caiman", "deeplabcut", "pmd", "locanmf")
CONFIG = {"rank": 12, "window_seconds": 4.5, "channels": [0, 1, 2, 3], "method": "svd"}
NEED = {"vcpus": 4, "memory_mib": 16_384, "storage_mib": 51_200, "gpus": 0}
MESSAGE = "The workflow ended with exit code 1. Its last words: ValueError: no frames in the recording"
NANODOLLARS_PER_HOUR = 340_000_000
ENDS = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """What there is to look at. largest, ordinary: ids of two jobs of the busiest group."""

    largest: str
    ordinary: str
    jobs: int
    stacks: int


def seed(stacks: int) -> Seeded:
    """Fill an empty database with so many stacks."""
    chance = random.Random(1)
    members = _groups()
    sizes = _sizes(stacks, chance)
    jobs = [_job(number, size, members, chance) for number, size in enumerate(sizes)]
    with transaction.atomic():
        _save(jobs)
        steps = [Step(pk=number, job=job, index=0, name=job.analysis, **_of(job)) for number, job in enumerate(jobs, 1)]
        _save(steps)
        made = _stacks(jobs, steps, sizes, chance)
        numbers = count(1)
        while some := list(islice(made, AT_ONCE)):
            _save(some)
            attempts = [one for stack in some for one in _attempts(stack, numbers, chance)]
            _save(attempts)
            _save(entry for one in attempts for entry in _charges(one))
        _accounts(jobs, sizes)
        _items(members, chance)
    if connection.vendor == "postgresql":  # which does so by itself, some time after such a change
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    ours = [job.id for job in jobs if job.group_id == BUSIEST]
    return Seeded(largest=jobs[0].id, ordinary=ours[len(ours) // 2], jobs=len(jobs), stacks=sum(sizes))


def _groups() -> dict[str, list[str]]:
    """Users by their group."""
    members = {f"lab-{group:02d}": [f"user-{group:02d}-{one}" for one in range(MEMBERS)] for group in range(GROUPS)}
    names = [OPERATOR, *(name for names in members.values() for name in names)]
    User.objects.bulk_create([User(username=name, email=f"{name}@example.org", password="!") for name in names])
    for group, users in members.items():
        roles = {name: UserProfile(role="owner" if name == users[0] else "member") for name in users}
        deploy_profile(Profile(name=group, title=f"Laboratory {group}", users=roles))
    deploy_operators(frozenset({OPERATOR}))
    return members


def _sizes(stacks: int, chance: random.Random) -> list[int]:
    """How many stacks each job has: one a twentieth of all, most 10 to 100, and some more than that."""
    jobs = max(2, round(stacks * JOBS_PER_STACK))
    sizes = [round(stacks * LARGEST)]
    while len(sizes) < jobs and sum(sizes) < stacks - 100:
        sizes.append(chance.randint(10, 100))
    while (left := stacks - sum(sizes)) > 0:
        sizes.append(min(left, 2_000))
    return sizes


def _job(number: int, size: int, members: dict[str, list[str]], chance: random.Random) -> Job:
    """The first is the largest, of the busiest group, which has a third of all jobs."""
    group = BUSIEST if number == 0 or chance.random() < 1 / 3 else chance.choice(list(members))
    submitted = datetime.now(UTC) - timedelta(days=1) - timedelta(days=DAYS) * chance.random()
    status = Status.SUCCEEDED if number == 0 else chance.choices(ENDS, (80, 15, 5))[0]
    analysis = chance.choice(ANALYSES)
    digest = hashlib.sha256(analysis.encode()).hexdigest()
    return Job(
        id=f"{submitted:%Y%m%d}-{number:08x}",
        group_id=group,
        user=chance.choice(members[group]),
        analysis=analysis,
        version=digest,
        execution_digest=digest,
        label=f"{analysis} {digest[:8]}",
        git_commit=digest[:40],
        config=CONFIG,
        seed=number,
        bound_nanodollars=size * NANODOLLARS_PER_HOUR,
        max_instances=100,
        status=status,
        reason="" if status == Status.SUCCEEDED else "code_error" if status == Status.FAILED else "cancelled",
        message="" if status == Status.SUCCEEDED else MESSAGE,
        private=chance.random() < 0.05,
        submitted_at=submitted,
        started_at=submitted + timedelta(seconds=20),
        ended_at=submitted + timedelta(hours=2),
    )


def _of(job: Job) -> dict[str, str]:
    same = {name: getattr(job, name) for name in ("analysis", "version", "execution_digest", "label")}
    return same | {"environment_digest": job.version}


def _stacks(
    jobs: Sequence[Job], steps: Sequence[Step], sizes: Sequence[int], chance: random.Random
) -> Iterator[Stack]:
    number = 0
    for job, step, size in zip(jobs, steps, sizes, strict=True):
        for index in range(size):
            number += 1
            failed = job.status != Status.SUCCEEDED and (index == 0 or chance.random() < 0.3)
            yield _stack(number, job, step, index, failed=failed)


def _stack(number: int, job: Job, step: Step, index: int, *, failed: bool) -> Stack:
    name = f"session-{index:05d}"
    place = f"groups/{job.group_id}/data/{number:032x}/file"
    source = {"name": "movie", "form": "file", "filename": f"{name}.npy", "key": place, "size_bytes": 10**9}
    return Stack(
        pk=number,
        job=job,
        step=step,
        index=index,
        dataset_index=index,
        dataset=name,
        folder=name,
        inputs=[source | {"sha256": f"{number:064x}"}],
        config=CONFIG,
        seed=number,
        input_bytes=10**9,
        need=NEED,
        instance_type="m5.xlarge",
        price_nanodollars_per_hour=NANODOLLARS_PER_HOUR,
        charged_nanodollars=NANODOLLARS_PER_HOUR // 2,
        reuse_key=f"{number:064x}",
        status=job.status if failed else Status.SUCCEEDED,
        reason=job.reason if failed else "",
        message=MESSAGE if failed else "",
        progress=0.4 if failed else 1.0,
        attempts_made=1,
        tries=1,
        published_attempt=None if failed else 1,
        started_at=job.started_at,
        ended_at=job.ended_at,
    )


def _attempts(stack: Stack, numbers: Iterator[int], chance: random.Random) -> Iterator[Attempt]:
    """One that ended as the stack did; one in ten was interrupted before and went elsewhere."""
    interrupted = chance.random() < 0.1
    for number in (1, 2) if interrupted else (1,):
        last = number == 2 or not interrupted
        yield Attempt(
            pk=next(numbers),
            stack=stack,
            number=number,
            token=f"{stack.pk:032x}",
            status=stack.status if last else Status.FAILED,
            reason=stack.reason if last else "instance_lost",
            message=stack.message if last else "The instance was taken back.",
            provider="aws",
            instance_type=stack.instance_type,
            price_nanodollars_per_hour=NANODOLLARS_PER_HOUR,
            handle=f"i-{stack.pk:017x}",
            launched_at=stack.job.submitted_at,
            started_at=stack.started_at,
            ended_at=stack.ended_at,
            exit_record=_record(stack),
            cost_nanodollars=stack.charged_nanodollars // (2 if interrupted else 1),
        )


def _record(stack: Stack) -> dict[str, Any]:
    output = {"path": "components.npz", "size_bytes": 3 * 10**6, "sha256": f"{stack.pk:064x}"}
    usage = {"wall_seconds": 5400.0, "cpu_seconds": 20_000.5, "peak_memory_mib": 9_000}
    return {"exit_code": 0, "outputs": [output], "metrics": {"explained": 0.93}, "usage": usage}


def _charges(attempt: Attempt) -> Iterator[Entry]:
    job = attempt.stack.job
    common: dict[str, Any] = {"group_id": job.group_id, "job": job, "stack": attempt.stack, "at": attempt.ended_at}
    amount = attempt.cost_nanodollars
    yield Entry(attempt=attempt, kind=Entry.Kind.CHARGE, nanodollars=amount, **common)
    yield Entry(kind=Entry.Kind.RELEASE, nanodollars=NANODOLLARS_PER_HOUR - amount, **common)


def _accounts(jobs: Sequence[Job], sizes: Sequence[int]) -> None:
    """What is kept as sums: of each job's reservation, of accounts, of months."""
    accounts: dict[tuple[str, str], int] = defaultdict(int)
    months: dict[tuple[str, str, Any], int] = defaultdict(int)
    entries = []
    for job, size in zip(jobs, sizes, strict=True):
        spent = size * (NANODOLLARS_PER_HOUR // 2)
        for user in ("", job.user):
            accounts[job.group_id, user] += spent
        months[job.group_id, job.user, job.submitted_at.date().replace(day=1)] += spent
        common: dict[str, Any] = {"group_id": job.group_id, "job": job, "at": job.submitted_at}
        entries.append(Entry(kind=Entry.Kind.RESERVE, nanodollars=job.bound_nanodollars, **common))
    _save(entries)
    _save(Account(group_id=group, user=user, spent_nanodollars=spent) for (group, user), spent in accounts.items())
    _save(
        Spending(group_id=group, user=user, month=month, nanodollars=spent)
        for (group, user, month), spent in months.items()
    )


def _items(members: dict[str, list[str]], chance: random.Random) -> None:
    """Staged data of all groups, most of the busiest, with a tag each."""
    contents, items, tags = [], [], []
    for number in range(ITEMS):
        group = BUSIEST if number % 2 else chance.choice(list(members))
        at = datetime.now(UTC) - timedelta(days=DAYS) * chance.random()
        content = Content(
            id=uuid.UUID(int=number + 1),
            group_id=group,
            sha256=f"{number:064x}",
            form=Form.FILE,
            size_bytes=10**9,
            created_at=at,
        )
        name = f"session-{number:05d}.npy"
        item = Item(group_id=group, content=content, name=name, uploaded_by=members[group][0], created_at=at)
        contents.append(content)
        items.append(item)
        tags.append(Tag(item=item, text=f"mouse-{number % 40}"))
    for rows in (contents, items, tags):
        _save(rows)


def _save(rows: Iterable[models.Model]) -> None:
    rows = list(rows)
    if rows:
        type(rows[0])._default_manager.bulk_create(rows, batch_size=AT_ONCE)
