"""API tokens: shown once when they are made, kept as a digest, scoped, revocable."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from django.db.models import Q

from neurocaas.errors import NotFound, Refused
from neurocaas.server.accounts.models import Scope, Token, User

MARK = "ncs_"  # so that people, and programs that look for leaked secrets, know one when they see it
START_CHARACTERS = 8
USED_EVERY = timedelta(minutes=1)
REACH = {Scope.READ: 0, Scope.WRITE: 1, Scope.MANAGE: 2}


def issue(user: User, *, name: str, scope: str, days: int | None) -> tuple[Token, str]:
    """A new token and its secret, which can't be had again. days: until it expires; None for never. Raises Refused."""
    if not name.strip() or len(name) > 80:
        raise Refused(f"name: found {name[:80]!r}; 1 to 80 characters are right.")
    if scope not in Scope.values:
        raise Refused(f"scope: found {scope!r}; one of {', '.join(Scope.values)} is right.")
    if days is not None and not 1 <= days <= 3650:
        raise Refused(f"days: found {days}; 1 to 3650 are right.")
    secret, now = MARK + secrets.token_urlsafe(32), datetime.now(UTC)
    token = Token.objects.create(
        user=user,
        name=name.strip(),
        start=secret[:START_CHARACTERS],
        sha256=_digest(secret),
        scope=scope,
        created_at=now,
        expires_at=now + timedelta(days=days) if days else None,
    )
    return token, secret


def find(secret: str) -> Token | None:
    """The token with this secret, if it still holds and its user may sign in."""
    now = datetime.now(UTC)
    lasting = Q(expires_at=None) | Q(expires_at__gt=now)
    found = Token.objects.filter(lasting, sha256=_digest(secret), revoked_at=None, user__is_active=True)
    token = found.select_related("user").first()
    if token is not None and (token.used_at is None or now - token.used_at > USED_EVERY):
        Token.objects.filter(pk=token.pk).update(used_at=now)
    return token


def allows(token: Token, scope: Scope) -> bool:
    return REACH[Scope(token.scope)] >= REACH[scope]


def revoke(user: User, token_id: int) -> Token:
    """Make one of the user's tokens worthless at once. Raises NotFound."""
    token = Token.objects.filter(user=user, pk=token_id, revoked_at=None).first()
    if token is None:
        raise NotFound(f"There is no token {token_id} of yours.")
    token.revoked_at = datetime.now(UTC)
    token.save(update_fields=["revoked_at"])
    return token


def _digest(secret: str) -> str:
    # A token has 256 random bits, so a plain digest can't be turned back; a slow one would only slow the API.
    return hashlib.sha256(secret.encode()).hexdigest()
