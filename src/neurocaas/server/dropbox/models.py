"""The rows of drop-boxes: what was submitted there, where each submission appeared, and what was answered."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from neurocaas.server.jobs.models import Job


class Submission(models.Model):
    """One submission, wherever and however often it appeared: admitted as a job, or refused with a message.

    group: the first part of its key, which need not be the name of a group. content: digest of what it says and of what
    the things are that it names; repeat: how often the same was refused before. name: of its folder of results. asked:
    what it says, as far as that could be read. datasets: what it calls its data, by the datasets' positions in the job.
    answered: the digests of the files that were written for it so far, by their names; done: all of them were.
    """

    analysis = models.CharField(max_length=63)
    group = models.TextField()
    content = models.CharField(max_length=64)
    repeat = models.PositiveIntegerField(default=0)
    name = models.CharField(max_length=255)
    job = models.OneToOneField(Job, on_delete=models.PROTECT, null=True, related_name="dropped")
    message = models.TextField(blank=True)
    asked: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    datasets: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    taken_at = models.DateTimeField()
    answered: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(default=dict)
    done = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["analysis", "group", "content", "repeat"], name="submission_once"),
            models.UniqueConstraint(fields=["analysis", "group", "name"], name="submission_own_folder"),
        ]
        indexes: ClassVar = [models.Index(fields=["done"], name="submission_open")]

    def __str__(self) -> str:
        return f"submission {self.group}/{self.name}"

    @property
    def outcome(self) -> str:
        """Refused, or the status of its job."""
        return self.job.status if self.job else "refused"


class Arrival(models.Model):
    """One object that a submission appeared as. mark: which version of it; a version is read once.

    delivered: the client that wrote it found its results where it looks for them, or looks nowhere of its own.
    """

    analysis = models.CharField(max_length=63)
    key = models.TextField()
    mark = models.CharField(max_length=200)
    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="arrivals")
    arrived_at = models.DateTimeField()
    delivered = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["analysis", "key", "mark"], name="arrival_read_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["delivered"], name="arrival_undelivered")]

    def __str__(self) -> str:
        return f"arrival {self.key}"
