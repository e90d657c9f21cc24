"""The caller's group: its members, budgets and invitations; joining one, and founding one."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Path, Router, Status
from pydantic import Field

from neurocaas.blueprint.access import USER_ID
from neurocaas.blueprint.profile import Dollars, GroupName
from neurocaas.client.documents import Answer, Balance
from neurocaas.documents import Document
from neurocaas.errors import NotFound
from neurocaas.server.accounts import audit, enrolment
from neurocaas.server.api.answers import answers, asking
from neurocaas.server.api.authentication import MANAGING
from neurocaas.server.api.throttles import SUBMITTING, check
from neurocaas.server.groups.deployed import deployed_profile
from neurocaas.server.groups.models import Invitation, Membership
from neurocaas.server.groups.publishing import set_budget
from neurocaas.server.jobs import ledger
from neurocaas.server.jobs.view import timestamp
from neurocaas.server.serving.wiring import this_site

UserId = Annotated[str, Path(pattern=USER_ID)]
Code = Annotated[str, Path(min_length=1, max_length=20)]
router = Router(tags=["group"])


class Member(Answer):
    """A member, and their role."""

    user: str
    role: str


class GroupDocument(Answer):
    """A group, as deployed. collaborators: other groups, and what of this one they may see."""

    group: str
    title: str
    role: str
    members: tuple[Member, ...]
    analyses: tuple[str, ...]
    collaborators: dict[str, tuple[str, ...]]


class BudgetChange(Document):
    """user: whose; the group's own if left out."""

    dollars: Dollars
    user: Annotated[str, Field(pattern=USER_ID)] | None = None


class RoleChange(Document):
    role: Literal["member", "owner"]


class InvitationRequest(Document):
    days: Annotated[int, Field(ge=1, le=365)] = 14
    uses: Annotated[int, Field(ge=1, le=1000)] = 10


class InvitationDocument(Answer):
    """A code by which colleagues join."""

    code: str
    by: str
    expires_at: str
    uses_left: int


class JoinDocument(Document):
    code: Annotated[str, Field(min_length=1, max_length=20)]


class FoundDocument(Document):
    name: GroupName


class Joined(Answer):
    group: str


@router.get("/budget", response=answers(list[Balance]))
def get_budget(request: HttpRequest) -> list[dict[str, str]]:
    """Your group's balance, then those of its members: all of them for an owner, your own for a member."""
    caller = asking(request)
    group = caller.require_group()
    profile = deployed_profile(group)
    found = {one.user: one for one in ledger.balances(profile)}
    found.setdefault(caller.user, ledger.new_balance(profile, caller.user))
    return [_balance(group, one) for one in found.values() if caller.owner or one.user in {ledger.GROUP, caller.user}]


@router.patch("/group/budget", auth=MANAGING, response=answers(list[Balance]))
def change_budget(request: HttpRequest, body: BudgetChange) -> list[dict[str, str]]:
    """Set the budget of your group, or of one of its members. For owners."""
    caller = asking(request)
    group = caller.require_owner()
    if body.user and not Membership.objects.filter(group_id=group, user=body.user).exists():
        raise NotFound(f"{body.user} is not a member of group {group}.")
    set_budget(this_site(), group, body.user, Decimal(body.dollars))
    audit.record(
        "set a budget", body.user or group, user=caller.user, group=group, request=request, dollars=str(body.dollars)
    )
    return get_budget(request)


@router.get("/group", response=answers(GroupDocument))
def get_group(request: HttpRequest) -> dict[str, Any]:
    """Your group, as deployed: its members, what it may use, who sees what of it."""
    caller = asking(request)
    group = caller.require_group()
    profile = deployed_profile(group)
    rows = Membership.objects.filter(group_id=group).order_by("user")
    return {
        "group": group,
        "title": profile.title,
        "role": caller.roles[group],
        "members": [{"user": one.user, "role": one.role} for one in rows],
        "analyses": profile.analyses,
        "collaborators": profile.collaborators,
    }


@router.patch("/group/members/{user}", auth=MANAGING, response=answers(None, 204))
def change_role(request: HttpRequest, user: UserId, body: RoleChange) -> Status[None]:
    """Make a member an owner, or an owner a member. For owners."""
    return _set_role(request, user, body.role)


@router.delete("/group/members/{user}", auth=MANAGING, response=answers(None, 204))
def remove_member(request: HttpRequest, user: UserId) -> Status[None]:
    """Remove a member from your group; their jobs stay. For owners."""
    return _set_role(request, user, None)


@router.get("/group/invitations", auth=MANAGING, response=answers(list[InvitationDocument]))
def list_invitations(request: HttpRequest) -> list[dict[str, Any]]:
    """The codes that still let people into your group. For owners."""
    return [_invitation(one) for one in enrolment.open_invitations(asking(request).require_owner())]


@router.post("/group/invitations", auth=MANAGING, response=answers(InvitationDocument, 201))
def make_invitation(request: HttpRequest, body: InvitationRequest) -> Status[dict[str, Any]]:
    """A code by which colleagues join your group. For owners."""
    caller = asking(request)
    made = enrolment.invite(caller, days=body.days, uses=body.uses)
    audit.record("invited", user=caller.user, group=caller.group, request=request, days=body.days, uses=body.uses)
    return Status(201, _invitation(made))


@router.delete("/group/invitations/{code}", auth=MANAGING, response=answers(None, 204))
def withdraw_invitation(request: HttpRequest, code: Code) -> Status[None]:
    """Let a code no longer let anybody in. For owners."""
    caller = asking(request)
    rows = Invitation.objects.filter(group_id=caller.require_owner(), pk=enrolment.normal(code))
    if not rows.delete()[0]:
        raise NotFound("There is no such invitation to your group.")
    audit.record("withdrew an invitation", user=caller.user, group=caller.group, request=request)
    return Status(204, None)


@router.post("/group/join", auth=MANAGING, response=answers(Joined))
def join_group(request: HttpRequest, body: JoinDocument) -> dict[str, str]:
    """Join the group that a code is from."""
    check(SUBMITTING, request)
    user = asking(request).user
    group = enrolment.join(this_site(), user, body.code)
    audit.record("joined a group", group, user=user, group=group, request=request)
    return {"group": group}


@router.post("/groups", auth=MANAGING, response=answers(Joined, 201))
def found_group(request: HttpRequest, body: FoundDocument) -> Status[dict[str, str]]:
    """Found a group, which you own."""
    check(SUBMITTING, request)
    user = asking(request).user
    group = enrolment.found(this_site(), user, body.name)
    audit.record("founded a group", group, user=user, group=group, request=request)
    return Status(201, {"group": group})


def _set_role(request: HttpRequest, user: str, role: str | None) -> Status[None]:
    caller = asking(request)
    enrolment.set_role(this_site(), caller, user, role)
    action = "removed a member" if role is None else "changed a role"
    audit.record(action, user, user=caller.user, group=caller.group, request=request, role=role or "")
    return Status(204, None)


def _balance(group: str, one: ledger.Balance) -> dict[str, str]:
    return {
        "account": f"user {one.user}" if one.user else f"group {group}",
        "budget_dollars": str(ledger.dollars(one.budget)),
        "held_dollars": str(ledger.dollars(one.held)),
        "spent_dollars": str(ledger.dollars(one.spent)),
        "left_dollars": str(ledger.dollars(one.left)),
    }


def _invitation(one: Invitation) -> dict[str, Any]:
    return {"code": one.code, "by": one.by, "expires_at": timestamp(one.expires_at), "uses_left": one.uses_left}
