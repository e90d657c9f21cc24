"""The audit log: who signed in, who granted what to whom, who deleted what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from allauth.account.signals import password_changed, password_reset
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from neurocaas.server.accounts.models import AuditEntry, User


def record(
    action: str, what: str = "", *, user: str, group: str = "", request: HttpRequest | None = None, **detail: Any
) -> None:
    """Add a line. Never a secret, never an address of mail."""
    AuditEntry.objects.create(
        at=datetime.now(UTC),
        user=user,
        group=group,
        action=action,
        what=what,
        address=request.META.get("REMOTE_ADDR") or None if request else None,
        detail=detail,
    )


@receiver(user_logged_in)
def _signed_in(request: HttpRequest | None, user: User, **_: Any) -> None:
    record("signed in", user=user.username, request=request)


@receiver(user_logged_out)
def _signed_out(request: HttpRequest | None, user: User | None, **_: Any) -> None:
    if user is not None:
        record("signed out", user=user.username, request=request)


@receiver(user_login_failed)
def _refused(request: HttpRequest | None = None, **_: Any) -> None:
    record("sign-in refused", user="", request=request)


@receiver([password_changed, password_reset])
def _password_changed(request: HttpRequest | None, user: User, **_: Any) -> None:
    record("changed the password", user=user.username, request=request)
