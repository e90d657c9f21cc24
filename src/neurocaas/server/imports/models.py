"""The rows of imports: what is to be fetched from elsewhere, how far it has come, and what became of it."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from neurocaas.server.jobs.models import Group
from neurocaas.server.uploads.models import Item, Upload


class State(models.TextChoices):
    """Where an import is. CHECKING: everything arrived, and is put into its place."""

    WAITING = "waiting"
    FETCHING = "fetching"
    CHECKING = "checking"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = (State.WAITING, State.FETCHING, State.CHECKING)


class Import(models.Model):
    """One file that is fetched.

    url: as it was given; it may be signed, so it is emptied in the end, and `shown` is what people see of it.
    size_bytes: None where the server does not say. sha256: once all of it has arrived. upload: what puts it into its
    place, as if somebody had uploaded it; item: what it became. message: why it failed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="imports")
    user = models.CharField(max_length=80)
    url = models.TextField(blank=True)
    shown = models.TextField()
    name = models.CharField(max_length=255)
    tags: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    size_bytes = models.BigIntegerField(null=True)
    received_bytes = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    message = models.TextField(blank=True)
    upload = models.ForeignKey(Upload, on_delete=models.SET_NULL, null=True, related_name="+")
    item = models.ForeignKey(Item, on_delete=models.SET_NULL, null=True, related_name="imports")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["state", "created_at"], name="import_next"),
            models.Index(fields=["group", "-created_at", "-id"], name="import_listed"),
        ]

    def __str__(self) -> str:
        return f"import {self.id}"

    @property
    def open(self) -> bool:
        return self.state in OPEN

    @property
    def may_be_cancelled(self) -> bool:
        return self.state in (State.WAITING, State.FETCHING)
