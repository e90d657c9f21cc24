"""Identities, which never leave the database: users with their addresses, their API tokens, and what they did."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.core.validators import RegexValidator
from django.db import models

from neurocaas.blueprint.access import USER_ID
from neurocaas.server.groups.models import USER_ID_CHARACTERS


class User(AbstractUser):
    """A person. `username` is the user id by which documents, jobs and memberships name them; it never changes.

    joining, founding: the code, or the name of a new group, that they gave when they signed up, until their address is
    verified. current_group: the group that pages are about, of those they belong to.
    """

    username = models.CharField(
        "user id",
        max_length=USER_ID_CHARACTERS,
        unique=True,
        validators=[RegexValidator(USER_ID, "Small letters, digits, and . _ - after the first, are right.")],
        error_messages={"unique": "This user id is taken."},
    )
    email = models.EmailField("e-mail address", unique=True)
    joining = models.CharField(max_length=16, blank=True)
    founding = models.CharField(max_length=80, blank=True)
    current_group = models.CharField(max_length=80, blank=True)


class Scope(models.TextChoices):
    """What an API token is good for."""

    READ = "read", "read jobs, results and data"
    WRITE = "write", "also upload, submit, cancel and delete"
    MANAGE = "manage", "also change the group, its budgets and its invitations"


class Token(models.Model):
    """An API token: only its SHA-256 is kept, and its first characters to tell it by."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    start = models.CharField(max_length=12)
    sha256 = models.CharField(max_length=64, unique=True)
    scope = models.CharField(max_length=8, choices=Scope)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"token {self.start}… of {self.user}"


class AuditEntry(models.Model):
    """One line of the audit log: sign-ins, grants, deletions. user: who did it, "" for nobody who signed in."""

    at = models.DateTimeField(db_index=True)
    user = models.CharField(max_length=USER_ID_CHARACTERS, blank=True, db_index=True)
    group = models.CharField(max_length=80, blank=True, db_index=True)
    action = models.CharField(max_length=40)
    what = models.TextField(blank=True)
    address = models.GenericIPAddressField(null=True)
    detail: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural: ClassVar = "audit entries"

    def __str__(self) -> str:
        return f"{self.action} {self.what}"
