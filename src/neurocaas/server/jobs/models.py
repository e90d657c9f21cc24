"""The rows that the job manager reconciles: Group → Job → Step → Stack → Attempt, and the ledger's entries."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from neurocaas.server.jobs.status import Status

NANO = 1_000_000_000


class Group(models.Model):
    """A lab. profile: its document in the source repo, as deployed; empty for a group that has none."""

    name = models.CharField(max_length=80, primary_key=True)
    profile: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"group {self.name}"


class Account(models.Model):
    """What a group (`user` is empty) or one of its users holds and has spent: the sums of the ledger's entries."""

    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="accounts")
    user = models.CharField(max_length=80, blank=True)
    held_nanodollars = models.BigIntegerField(default=0)
    spent_nanodollars = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["group", "user"], name="one_account"),
            models.CheckConstraint(condition=models.Q(held_nanodollars__gte=0), name="held_not_negative"),
        ]

    def __str__(self) -> str:
        return f"account of {self.user or 'group'} {self.group_id}"


class Spending(models.Model):
    """What a user of a group spent in a month: sums of the ledger's charges, kept so that nobody adds them up again."""

    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="spending")
    user = models.CharField(max_length=80)
    month = models.DateField()  # its first day
    nanodollars = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["group", "month", "user"], name="one_spending")]

    def __str__(self) -> str:
        return f"spent by {self.user} of {self.group_id} in {self.month:%Y-%m}"


class Price(models.TextChoices):
    """What capacity a job asked for: at the ordinary price, or at the save price, which may be interrupted (§3.3)."""

    STANDARD = "standard"
    SAVE = "save"


class Job(models.Model):
    """One submission: its plan, its stacks, its certificate.

    points: the points of a sweep, as they differ from `config`. chained: some stacks wait for others. outputs: the
    files that belong to the job as a whole, once it has ended. private: hidden from other members, owners apart.
    deleted_at: since when it is kept for the ledger alone. provider: whose instances it runs on; "" for anybody's.
    """

    id = models.CharField(max_length=32, primary_key=True)
    group = models.ForeignKey(Group, on_delete=models.PROTECT)
    user = models.CharField(max_length=80)
    analysis = models.CharField(max_length=63)
    version = models.CharField(max_length=64)
    execution_digest = models.CharField(max_length=64)
    label = models.CharField(max_length=80)
    git_commit = models.CharField(max_length=64, blank=True)
    config: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    seed = models.BigIntegerField()
    points: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField(default=list)
    timeout_minutes = models.FloatField(null=True)
    price = models.CharField(max_length=8, choices=Price, default=Price.STANDARD)
    bound_nanodollars = models.BigIntegerField(default=0)
    fresh = models.BooleanField(default=False)
    retry_of = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="retries")
    chained = models.BooleanField(default=False)
    outputs: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField(default=list)
    max_instances = models.PositiveIntegerField()
    status = models.CharField(max_length=16, choices=Status, default=Status.WAITING)
    reason = models.CharField(max_length=32, blank=True)
    message = models.TextField(blank=True)
    cancel_requested = models.BooleanField(default=False)
    private = models.BooleanField(default=False)
    provider = models.CharField(max_length=32, blank=True, default="")
    deleted_at = models.DateTimeField(null=True)
    submitted_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["status"]),
            models.Index(fields=["group", "-submitted_at"]),
            models.Index(fields=["ended_at"], name="job_ended"),
        ]

    def __str__(self) -> str:
        return f"job {self.id}"


class Step(models.Model):
    """A part of a job's plan: the stacks that run one analysis version.

    named_instance_type: the one that its blueprint asks for by name; empty where any that fits will do.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="steps")
    index = models.PositiveIntegerField()
    name = models.CharField(max_length=200)
    analysis = models.CharField(max_length=63, default="")
    version = models.CharField(max_length=64, default="")
    execution_digest = models.CharField(max_length=64, default="")
    label = models.CharField(max_length=80, default="")
    environment_digest = models.CharField(max_length=64, blank=True, default="")
    timeout_seconds = models.FloatField(default=3600)
    max_attempts = models.PositiveIntegerField(default=1)
    backoff_seconds = models.FloatField(default=1)
    named_instance_type = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "index"], name="step_index")]

    def __str__(self) -> str:
        return f"step {self.job_id}/{self.name}"


class Stack(models.Model):
    """The unit that is priced, retried and delivered: one environment, one instance, one dataset, one config.

    label: what tells stacks of one step and dataset apart. ready: its inputs are all there. quorum: how many of the
    stacks it waits for must succeed; None for all. point: the swept parameters it depends on. moves: how often it went
    elsewhere after a failure. tries: attempts that count against the limit. held: what is left of its part of the job's
    reservation. reuse_key: what makes its results what they are; empty while that is not known, or where results are
    not to be reused. reused_from: the stack of an earlier job whose results are this one's; not_reused: why none is.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="stacks")
    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="stacks")
    index = models.PositiveIntegerField()
    dataset_index = models.PositiveIntegerField(default=0)
    dataset = models.CharField(max_length=255)
    label = models.TextField(blank=True)
    folder = models.TextField()
    inputs: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField()
    config: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    seed = models.BigIntegerField()
    input_bytes = models.BigIntegerField(default=0)
    need: models.JSONField[dict[str, int], dict[str, int]] = models.JSONField()
    quorum = models.PositiveIntegerField(null=True)
    point: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    ready = models.BooleanField(default=True)
    instance_type = models.CharField(max_length=64, blank=True)
    price_nanodollars_per_hour = models.BigIntegerField(default=0)
    held_nanodollars = models.BigIntegerField(default=0)
    charged_nanodollars = models.BigIntegerField(default=0)
    reuse_key = models.CharField(max_length=64, blank=True)
    reused_from = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="reuses")
    not_reused = models.TextField(blank=True)
    status = models.CharField(max_length=16, choices=Status, default=Status.WAITING)
    reason = models.CharField(max_length=32, blank=True)
    message = models.TextField(blank=True)
    progress = models.FloatField(default=0)
    note = models.TextField(blank=True)
    attempts_made = models.PositiveIntegerField(default=0)
    tries = models.PositiveIntegerField(default=0)
    moves = models.PositiveIntegerField(default=0)
    published_attempt = models.PositiveIntegerField(null=True)
    retry_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "index"], name="stack_index")]
        indexes: ClassVar = [
            # In the order in which they came, which is that of their ids, without sorting.
            models.Index(fields=["status", "ready", "id"]),
            models.Index(fields=["reuse_key"]),
            models.Index(fields=["status", "retry_at"]),
            models.Index(fields=["job", "step", "status"]),  # to count them without reading them
        ]

    def __str__(self) -> str:
        return f"stack {self.job_id}/{self.index}"

    @property
    def name(self) -> str:
        """What people call it: its dataset, and what tells it apart from the dataset's other stacks."""
        step = "" if self.step.name == self.job.analysis else self.step.name
        return " ".join(filter(None, (self.dataset, step, self.label)))

    @property
    def origin(self) -> Stack:
        """The stack that ran: this one, or the earlier one whose results these are."""
        return self.reused_from or self


def waiting(*, ready: bool) -> models.QuerySet[Stack]:
    """Stacks that wait for an instance, or, not ready, for other stacks.

    IN, since SQLite's planner finds no column of an index in the bare boolean that Django writes for `ready=True`, and
    would read and sort all that wait for the first few of them.
    """
    return Stack.objects.filter(status=Status.WAITING, ready__in=[ready])


class Dependency(models.Model):
    """An input of a stack that another stack of the job will have written.

    input, form: the input's name and form. output, pattern: the output's name, and the files that it consists of.
    """

    stack = models.ForeignKey(Stack, on_delete=models.CASCADE, related_name="needs")
    upstream = models.ForeignKey(Stack, on_delete=models.CASCADE, related_name="feeds")
    input = models.CharField(max_length=63)
    form = models.CharField(max_length=8)
    output = models.CharField(max_length=63)
    pattern = models.TextField()

    def __str__(self) -> str:
        return f"{self.stack_id}.{self.input} of {self.upstream_id}.{self.output}"


class Attempt(models.Model):
    """One launch of a stack. `token` is what its runner must show; a record with another token changes nothing."""

    stack = models.ForeignKey(Stack, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    token = models.CharField(max_length=32)
    status = models.CharField(max_length=16, choices=Status, default=Status.LAUNCHING)
    reason = models.CharField(max_length=32, blank=True)
    message = models.TextField(blank=True)
    provider = models.CharField(max_length=32)
    instance_type = models.CharField(max_length=64)
    price = models.CharField(max_length=8, choices=Price, default=Price.STANDARD)
    price_nanodollars_per_hour = models.BigIntegerField(default=0)
    handle = models.TextField(blank=True)
    launched_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    exit_record: models.JSONField[dict[str, Any] | None, dict[str, Any] | None] = models.JSONField(null=True)
    cost_nanodollars = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["stack", "number"], name="attempt_number")]
        indexes: ClassVar = [models.Index(fields=["status"])]

    def __str__(self) -> str:
        return f"attempt {self.name}"

    @property
    def name(self) -> str:
        """`job/stack/number`, as the runner and the provider call it."""
        return f"{self.stack.job_id}/{self.stack.index}/{self.number}"


class Entry(models.Model):
    """One line of the ledger: a job reserves; what it held is charged or released. Amounts are never negative."""

    class Kind(models.TextChoices):
        RESERVE = "reserve"
        CHARGE = "charge"
        RELEASE = "release"

    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="entries")
    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="entries")
    stack = models.ForeignKey(Stack, on_delete=models.PROTECT, null=True, related_name="entries")
    attempt = models.ForeignKey(Attempt, on_delete=models.PROTECT, null=True, related_name="entries")
    kind = models.CharField(max_length=8, choices=Kind)
    nanodollars = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(nanodollars__gte=0), name="entry_not_negative"),
            models.UniqueConstraint(
                fields=["attempt", "kind"], condition=models.Q(kind="charge"), name="attempt_charged_once"
            ),
            models.UniqueConstraint(
                fields=["job"], condition=models.Q(kind="reserve", stack=None), name="job_reserves_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.nanodollars} of {self.job_id}"


class KnownDigest(models.Model):
    """The digest of a local file as it was when read; its fingerprint says whether it still is that file."""

    path = models.TextField(primary_key=True)
    fingerprint = models.CharField(max_length=128)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()

    def __str__(self) -> str:
        return self.path
