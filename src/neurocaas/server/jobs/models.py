"""The rows that the job manager reconciles: Group → Job → Step → Stack → Attempt, and the ledger's entries."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from neurocaas.server.jobs.status import Status

NANO = 1_000_000_000


class Group(models.Model):
    """A lab. Its budget bounds what its jobs may hold and spend."""

    name = models.CharField(max_length=80, primary_key=True)
    budget_nanodollars = models.BigIntegerField(default=300 * NANO)

    def __str__(self) -> str:
        return f"group {self.name}"


class Job(models.Model):
    """One submission: its plan, its stacks, its certificate."""

    id = models.CharField(max_length=32, primary_key=True)
    group = models.ForeignKey(Group, on_delete=models.PROTECT)
    user = models.CharField(max_length=80)
    analysis = models.CharField(max_length=63)
    version = models.CharField(max_length=64)
    execution_digest = models.CharField(max_length=64)
    label = models.CharField(max_length=80)
    git_commit = models.CharField(max_length=64, blank=True)
    environment_digest = models.CharField(max_length=64, blank=True)
    config: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    seed = models.BigIntegerField()
    max_attempts = models.PositiveIntegerField()
    timeout_seconds = models.FloatField()
    max_instances = models.PositiveIntegerField()
    status = models.CharField(max_length=16, choices=Status, default=Status.WAITING)
    reason = models.CharField(max_length=32, blank=True)
    message = models.TextField(blank=True)
    cancel_requested = models.BooleanField(default=False)
    submitted_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["status"]), models.Index(fields=["group", "-submitted_at"])]

    def __str__(self) -> str:
        return f"job {self.id}"


class Step(models.Model):
    """A part of a job's plan: stacks that may run at once, after the steps it names."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="steps")
    index = models.PositiveIntegerField()
    name = models.CharField(max_length=80)
    after: models.JSONField[list[str], list[str]] = models.JSONField(default=list)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "index"], name="step_index")]

    def __str__(self) -> str:
        return f"step {self.job_id}/{self.name}"


class Stack(models.Model):
    """The unit that is priced, retried and delivered: one environment, one instance, one dataset, one config."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="stacks")
    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="stacks")
    index = models.PositiveIntegerField()
    dataset = models.CharField(max_length=255)
    folder = models.CharField(max_length=255)
    inputs: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField()
    config: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    seed = models.BigIntegerField()
    need: models.JSONField[dict[str, int], dict[str, int]] = models.JSONField()
    status = models.CharField(max_length=16, choices=Status, default=Status.WAITING)
    reason = models.CharField(max_length=32, blank=True)
    message = models.TextField(blank=True)
    progress = models.FloatField(default=0)
    note = models.TextField(blank=True)
    attempts_made = models.PositiveIntegerField(default=0)
    published_attempt = models.PositiveIntegerField(null=True)
    retry_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["job", "index"], name="stack_index")]
        indexes: ClassVar = [models.Index(fields=["status"])]

    def __str__(self) -> str:
        return f"stack {self.job_id}/{self.index}"


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
    """One line of the ledger. Amounts are never negative; `kind` says which way the money went."""

    class Kind(models.TextChoices):
        RESERVE = "reserve"
        CHARGE = "charge"
        RELEASE = "release"

    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="entries")
    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="entries")
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
            models.UniqueConstraint(fields=["job"], condition=models.Q(kind="reserve"), name="job_reserves_once"),
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
