"""The instances that providers reported, and which attempts each of them served."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from neurocaas.server.jobs.models import Attempt


class InstanceRecord(models.Model):
    """One instance, as its provider reported it last.

    name: `provider/id`. ended_at: None as long as it runs. seen_at: when a report named it last. attempts: those it
    served; it idles the rest of its time.
    """

    name = models.CharField(max_length=255, primary_key=True)
    provider = models.CharField(max_length=32)
    instance_type = models.CharField(max_length=64)
    save_price = models.BooleanField(default=False)
    price_nanodollars_per_hour = models.BigIntegerField(default=0)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)
    seen_at = models.DateTimeField()
    attempts = models.ManyToManyField(Attempt, related_name="instances")

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["ended_at"], name="instance_ended"),
            models.Index(fields=["-started_at", "name"], name="instance_started"),
        ]

    def __str__(self) -> str:
        return f"instance {self.name}"

    @property
    def id(self) -> str:
        """As its provider calls it."""
        return self.name.partition("/")[2]
