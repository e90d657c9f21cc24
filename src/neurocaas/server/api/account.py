"""The user: who they are here, and their API tokens."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Path, Router, Status
from pydantic import Field

from neurocaas.client.documents import Answer, MeDocument
from neurocaas.documents import Document
from neurocaas.errors import NotFound
from neurocaas.server.accounts import audit, tokens
from neurocaas.server.accounts.models import Token, User
from neurocaas.server.api.answers import answers, asking
from neurocaas.server.api.authentication import MANAGING
from neurocaas.server.jobs.view import timestamp
from neurocaas.server.serving.wiring import this_site

router = Router(tags=["account"])


class TokenRequest(Document):
    """A token that is wanted. scope: read; write: also upload, submit, cancel, delete; manage: also the group."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    scope: Literal["read", "write", "manage"] = "read"
    days: Annotated[int, Field(ge=1, le=3650)] | None = 365


class TokenDocument(Answer):
    """A token. start: its first characters. secret: the token itself, in the answer that makes it and never again."""

    id: int
    name: str
    start: str
    scope: str
    created_at: str
    expires_at: str | None
    used_at: str | None
    secret: str | None = None


class Me(MeDocument):
    """Who asks. roles: theirs in each of their groups."""

    roles: dict[str, str]
    operator: bool


@router.get("/me", response=answers(Me))
def get_me(request: HttpRequest) -> dict[str, Any]:
    """Who you are here, your groups, and the one that this request is about."""
    caller = asking(request)
    return {
        "user": caller.user,
        "groups": caller.groups,
        "group": caller.group or None,
        "site": this_site().settings.site.name,
        "roles": dict(caller.roles),
        "operator": caller.operator,
    }


@router.get("/tokens", auth=MANAGING, response=answers(list[TokenDocument]))
def list_tokens(request: HttpRequest) -> list[dict[str, Any]]:
    """Your API tokens that were not revoked."""
    rows = Token.objects.filter(user__username=asking(request).user, revoked_at=None).order_by("-pk")
    return [_token(one) for one in rows]


@router.post("/tokens", auth=MANAGING, response=answers(TokenDocument, 201))
def make_token(request: HttpRequest, body: TokenRequest) -> Status[dict[str, Any]]:
    """Make an API token; its secret is told in this answer alone."""
    caller = asking(request)
    token, secret = tokens.issue(_user(request), name=body.name, scope=body.scope, days=body.days)
    audit.record("made a token", token.start, user=caller.user, request=request, scope=body.scope)
    return Status(201, _token(token) | {"secret": secret})


@router.delete("/tokens/{token_id}", auth=MANAGING, response=answers(None, 204))
def revoke_token(request: HttpRequest, token_id: Annotated[int, Path(ge=1, lt=1 << 63)]) -> Status[None]:
    """Make one of your tokens worthless at once."""
    token = tokens.revoke(_user(request), token_id)
    audit.record("revoked a token", token.start, user=asking(request).user, request=request)
    return Status(204, None)


def _user(request: HttpRequest) -> User:
    found = User.objects.filter(username=asking(request).user).first()
    if found is None:
        raise NotFound("There is no such user.")
    return found


def _token(token: Token) -> dict[str, Any]:
    return {
        "id": token.pk,
        "name": token.name,
        "start": token.start,
        "scope": token.scope,
        "created_at": timestamp(token.created_at),
        "expires_at": timestamp(token.expires_at),
        "used_at": timestamp(token.used_at),
    }
