"""What was submitted under a key of the client's own, so that asking again is harmless."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from neurocaas.server.groups.models import USER_ID_CHARACTERS

KEY_CHARACTERS = 200


class Submitted(models.Model):
    """A job by the key its user gave. digest: of what was asked. job: its id."""

    user = models.CharField(max_length=USER_ID_CHARACTERS)
    key = models.CharField(max_length=KEY_CHARACTERS)
    digest = models.CharField(max_length=64)
    job = models.CharField(max_length=32)
    at = models.DateTimeField(db_index=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "key"], name="submitted_once")]

    def __str__(self) -> str:
        return f"job {self.job} as {self.key}"
