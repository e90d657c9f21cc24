"""Who wants to be told, and what is to be sent, was sent, or could not be."""

from __future__ import annotations

import secrets
from typing import ClassVar

from django.db import models

from neurocaas.server.jobs.models import Job
from neurocaas.server.notifications.choice import Choice


def new_secret() -> str:
    """What signs the messages to one user's webhook."""
    return secrets.token_urlsafe(24)


class Preference(models.Model):
    """A user's choice. since: from when on jobs are told of; secret: signs what is sent to the webhook."""

    class Channel(models.TextChoices):
        NONE = "none"
        EMAIL = "email"
        WEBHOOK = "webhook"

    user = models.CharField(max_length=80, primary_key=True)
    channel = models.CharField(max_length=8, choices=Channel, default=Channel.NONE)
    target = models.TextField(blank=True)
    only_failures = models.BooleanField(default=False)
    secret = models.CharField(max_length=64, default=new_secret)
    since = models.DateTimeField()

    def __str__(self) -> str:
        return f"preference of {self.user}"

    @property
    def choice(self) -> Choice:
        return Choice.model_validate(
            {"channel": self.channel, "webhook": self.target, "only_failures": self.only_failures}
        )


class Message(models.Model):
    """One message about one job. It is to be sent at `next_at`; `tries` is also what a sender claims it by."""

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        FAILED = "failed"

    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="ended_message")
    user = models.CharField(max_length=80)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    tries = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    why = models.TextField(blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["state", "next_at"], name="message_due")]

    def __str__(self) -> str:
        return f"message about job {self.job_id}"


class Mark(models.Model):
    """Up to when ended jobs have been looked through: one row."""

    seen_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"seen until {self.seen_until}"
