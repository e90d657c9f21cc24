"""What was deployed from the source repo's documents about groups, analyses and operators; and what people grant."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

USER_ID_CHARACTERS = 63


class Role(models.TextChoices):
    MEMBER = "member"
    OWNER = "owner"


class Membership(models.Model):
    """One user of one group, by user id: identities are the business of `accounts`."""

    group = models.ForeignKey("jobs.Group", on_delete=models.PROTECT, related_name="memberships")
    user = models.CharField(max_length=USER_ID_CHARACTERS, db_index=True)
    role = models.CharField(max_length=8, choices=Role)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["group", "user"], name="one_membership")]

    def __str__(self) -> str:
        return f"{self.role} {self.user} of {self.group_id}"


class Collaboration(models.Model):
    """What a group lets another group see: its jobs, their results, its staged data."""

    group = models.ForeignKey("jobs.Group", on_delete=models.PROTECT, related_name="collaborations")
    other = models.CharField(max_length=80, db_index=True)
    what = models.CharField(max_length=8)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["group", "other", "what"], name="one_collaboration")]

    def __str__(self) -> str:
        return f"{self.what} of {self.group_id} for {self.other}"


class AnalysisAccess(models.Model):
    """The access document of an analysis, as deployed."""

    analysis = models.CharField(max_length=63, primary_key=True)
    document: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()

    def __str__(self) -> str:
        return f"access to {self.analysis}"


class Operator(models.Model):
    """A user who runs the site."""

    user = models.CharField(max_length=USER_ID_CHARACTERS, primary_key=True)

    def __str__(self) -> str:
        return f"operator {self.user}"


class Handover(models.Model):
    """A failed job that the developers of its analysis may read for a while: inputs, config, logs, results (§2.2.1)."""

    job = models.OneToOneField("jobs.Job", on_delete=models.CASCADE, related_name="handover", primary_key=True)
    by = models.CharField(max_length=USER_ID_CHARACTERS)
    note = models.TextField(blank=True)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"job {self.job_id} until {self.until:%Y-%m-%d}"


class Invitation(models.Model):
    """A code by which people join a group, until it expires or is used up."""

    code = models.CharField(max_length=16, primary_key=True)
    group = models.ForeignKey("jobs.Group", on_delete=models.PROTECT, related_name="invitations")
    by = models.CharField(max_length=USER_ID_CHARACTERS)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    uses_left = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"invitation to {self.group_id}"
