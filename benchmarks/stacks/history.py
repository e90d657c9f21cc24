"""Rows as years of use leave them: groups, jobs of ten to a hundred stacks and a few large, attempts, money, data."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
MOST_STACKS = 10_000  # of one job
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
    """Fill an empty database with so many stacks.

    The first stack of each job, with its attempt and entries, is made by Django's models; the database itself makes the
    others after it, since making each in Python takes minutes.
    """
    chance = random.Random(1)
    members = _groups()
    jobs = [_job(number, size, members, chance) for number, size in enumerate(_sizes(stacks, chance))]
    with transaction.atomic():
        _save(jobs)
        steps = [Step(job=job, index=0, name=job.analysis, **_of(job)) for job in jobs]
        _save(steps)
        firsts = [_stack(number, step) for number, step in enumerate(steps)]
        _save(firsts)
        attempts = [_attempt(stack) for stack in firsts]
        _save(attempts)
        _save(entry for attempt in attempts for entry in _entries(attempt))
        multiply()
        _accounts(jobs)
        _items(members, chance)
    if connection.vendor == "postgresql":  # which does so by itself, some time after such a change
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    ours = [job.id for job in jobs if job.group_id == BUSIEST]
    return Seeded(largest=jobs[0].id, ordinary=ours[len(ours) // 2], jobs=len(jobs), stacks=Stack.objects.count())


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
        max_instances=size,
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


def _stack(number: int, step: Step) -> Stack:
    """The first of its job, which ended as the job did."""
    job, name = step.job, "session-0"
    place = f"groups/{job.group_id}/data/{number:032x}/file"
    source = {"name": "movie", "form": "file", "filename": f"{name}.npy", "key": place, "size_bytes": 10**9}
    return Stack(
        job=job,
        step=step,
        index=0,
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
        status=job.status,
        reason=job.reason,
        message=job.message,
        progress=1.0 if job.status == Status.SUCCEEDED else 0.4,
        attempts_made=1,
        tries=1,
        published_attempt=1,
        started_at=job.started_at,
        ended_at=job.ended_at,
    )


def _attempt(stack: Stack) -> Attempt:
    return Attempt(
        stack=stack,
        number=1,
        token=f"{stack.seed:032x}",
        status=stack.status,
        reason=stack.reason,
        message=stack.message,
        provider="aws",
        instance_type=stack.instance_type,
        price_nanodollars_per_hour=NANODOLLARS_PER_HOUR,
        handle=f"i-{stack.seed:017x}",
        launched_at=stack.job.submitted_at,
        started_at=stack.started_at,
        ended_at=stack.ended_at,
        exit_record=_record(stack),
        cost_nanodollars=stack.charged_nanodollars,
    )


def _record(stack: Stack) -> dict[str, Any]:
    output = {"path": "components.npz", "size_bytes": 3 * 10**6, "sha256": f"{stack.seed:064x}"}
    usage = {"wall_seconds": 5400.0, "cpu_seconds": 20_000.5, "peak_memory_mib": 9_000}
    return {"exit_code": 0, "outputs": [output], "metrics": {"explained": 0.93}, "usage": usage}


def _entries(attempt: Attempt) -> Iterator[Entry]:
    job = attempt.stack.job
    common: dict[str, Any] = {"group_id": job.group_id, "job": job, "stack": attempt.stack, "at": attempt.ended_at}
    amount = attempt.cost_nanodollars
    yield Entry(attempt=attempt, kind=Entry.Kind.CHARGE, nanodollars=amount, **common)
    yield Entry(kind=Entry.Kind.RELEASE, nanodollars=NANODOLLARS_PER_HOUR - amount, **common)


def multiply() -> None:
    """Make the other stacks of each job, as many as it has `max_instances`, with their attempts and entries.

    One in three ended as its job did, the others well; one in ten took two attempts.
    """
    for size, most in (("<= 100", 100), ("> 100", MOST_STACKS)):
        jobs = f"JOIN jobs_job j ON j.id = x.job_id AND j.max_instances {size}"
        _copy_stacks(f"FROM jobs_stack x {jobs} JOIN series ON i < j.max_instances WHERE i > 0", most)
    others = 'JOIN jobs_stack f ON f.id = x.stack_id JOIN jobs_stack s ON s.job_id = f.job_id AND s."index" > 0'
    _copy(
        Attempt,
        2,
        f'FROM jobs_attempt x {others} JOIN series ON i IN (1, 2) WHERE i = 1 OR s."index" % 10 = 0',
        stack_id="s.id",
        number="i",
        **{name: f"s.{name}" for name in ("status", "reason", "message")},
    )
    _copy(
        Entry,
        0,
        f"FROM jobs_entry x {others} LEFT JOIN jobs_attempt a ON x.attempt_id IS NOT NULL AND a.stack_id = s.id",
        stack_id="s.id",
        attempt_id="a.id",
    )


def _copy_stacks(source: str, most: int) -> None:
    _copy(
        Stack,
        most,
        source,
        **dict.fromkeys(("index", "dataset_index", "seed"), "i"),
        **dict.fromkeys(("dataset", "folder"), "'session-' || i"),
        reuse_key="substr(x.reuse_key, 1, 56) || (10000000 + i)",
        **{name: f"CASE WHEN i % 3 = 0 THEN x.{name} ELSE '' END" for name in ("reason", "message")},
        status="CASE WHEN i % 3 = 0 THEN x.status ELSE 'succeeded' END",
        progress="CASE WHEN i % 3 = 0 THEN x.progress ELSE 1.0 END",
    )


def _copy(model: type[models.Model], most: int, source: str, **changed: str) -> None:
    """Insert what `source` joins: the row `x` with some columns changed, once for each `i` from 0 to `most`."""
    columns = [one.column for one in model._meta.concrete_fields if not one.primary_key]
    values = ", ".join(changed.get(column, f'x."{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    series = f"WITH RECURSIVE series(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM series WHERE i < {most})"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {model._meta.db_table} ({names}) {series} SELECT {values} {source}")


def _accounts(jobs: Sequence[Job]) -> None:
    """What is kept as sums: of each job's reservation, of accounts, of months."""
    accounts: dict[tuple[str, str], int] = defaultdict(int)
    months: dict[tuple[str, str, Any], int] = defaultdict(int)
    entries = []
    for job in jobs:
        spent = job.max_instances * (NANODOLLARS_PER_HOUR // 2)
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
