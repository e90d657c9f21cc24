"""What pages keep for people: configurations under a name."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from neurocaas.server.groups.models import USER_ID_CHARACTERS
from neurocaas.server.jobs.models import Group

NAME_CHARACTERS = 80


class SavedConfig(models.Model):
    """A config that a group keeps for an analysis, for all its members."""

    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="saved_configs")
    analysis = models.CharField(max_length=63)
    name = models.CharField(max_length=NAME_CHARACTERS)
    config: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    by = models.CharField(max_length=USER_ID_CHARACTERS)
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["group", "analysis", "name"], name="one_config_of_a_name")
        ]

    def __str__(self) -> str:
        return f"config {self.name} of {self.analysis}"
