"""Joining a group, or founding one: writes the group's profile, commits it, deploys it (paper §5.1.2)."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import F

from neurocaas.blueprint.profile import Profile, UserProfile
from neurocaas.errors import Forbidden, NotFound, Refused
from neurocaas.server.accounts.models import User
from neurocaas.server.groups.models import Invitation
from neurocaas.server.groups.publishing import change_profile, create_group
from neurocaas.server.groups.scope import Caller
from neurocaas.server.notifications.models import Preference
from neurocaas.server.site import LOCAL_GROUP, Site

# No letters or digits that look alike when they are read out.
CODE_CHARACTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 8
GROUP_NAME = r"^[a-z0-9][a-z0-9._-]{0,79}$"


def invite(by: Caller, *, days: int = 14, uses: int = 10) -> Invitation:
    """A code by which colleagues join the caller's group, which they own. Raises Forbidden or Refused."""
    group = by.require_owner()
    if not (1 <= days <= 365 and 1 <= uses <= 1000):
        raise Refused(f"invitation: found {days} days and {uses} uses; 1 to 365 days and 1 to 1000 uses are right.")
    now = datetime.now(UTC)
    return Invitation.objects.create(
        code="".join(secrets.choice(CODE_CHARACTERS) for _ in range(CODE_LENGTH)),
        group_id=group,
        by=by.user,
        created_at=now,
        expires_at=now + timedelta(days=days),
        uses_left=uses,
    )


def open_invitations(group: str) -> list[Invitation]:
    """The codes that still let people in, the newest first."""
    lasting = Invitation.objects.filter(group_id=group, expires_at__gt=datetime.now(UTC), uses_left__gt=0)
    return list(lasting.order_by("-created_at"))


def check_code(code: str) -> Invitation:
    """The invitation with this code. Raises NotFound unless it still lets people in."""
    found = Invitation.objects.filter(pk=normal(code), expires_at__gt=datetime.now(UTC), uses_left__gt=0).first()
    if found is None:
        raise NotFound("There is no such group code, or it has expired; ask your colleague for a new one.")
    return found


def normal(code: str) -> str:
    return code.replace("-", "").replace(" ", "").upper()


def join(site: Site, user: str, code: str) -> str:
    """Make the user a member of the code's group. Returns its name. Raises NotFound."""
    invitation = check_code(code)
    group = invitation.group_id

    def add(profile: Profile) -> Profile:
        return profile.model_copy(update={"users": {user: UserProfile()} | profile.users})

    with transaction.atomic():
        taken = Invitation.objects.filter(pk=invitation.pk, uses_left__gt=0).update(uses_left=F("uses_left") - 1)
        if not taken:
            raise NotFound("This group code was used as often as it may be; ask your colleague for a new one.")
    change_profile(site, group, add, f"Add {user} to group {group}")
    return group


def found(site: Site, user: str, group: str) -> str:
    """Declare a new group that the user owns, with the site's predetermined analyses. Raises Refused if it is taken."""
    if group == LOCAL_GROUP:
        raise Refused(f"group: found {group!r}; a name that no other group has is right.")
    create_group(
        site,
        Profile(
            name=group,
            users={user: UserProfile(role="owner")},
            analyses=site.settings.site.analyses_of_new_groups,
        ),
    )
    return group


def enrol(site: Site, user: User) -> None:
    """What the user asked for when they signed up, once their address is verified. Quiet if it was done before.

    A group that was founded, or a code that was used up, meanwhile: the user is told on the page of their groups.
    Who signed up on the website is told by e-mail when a job ends, unless they choose otherwise.
    """
    by_mail = {"channel": Preference.Channel.EMAIL, "since": datetime.now(UTC)}
    Preference.objects.get_or_create(user=user.username, defaults=by_mail)
    joining, founding = user.joining, user.founding
    if not joining and not founding:
        return
    try:
        user.current_group = join(site, user.username, joining) if joining else found(site, user.username, founding)
    except (NotFound, Refused, Forbidden):
        user.current_group = ""
    user.joining = user.founding = ""
    user.save(update_fields=["joining", "founding", "current_group"])


def set_role(site: Site, by: Caller, user: str, role: str | None) -> None:
    """Make a member an owner, an owner a member, or, with None, neither. Raises Refused for the last owner."""
    group = by.require_owner()

    def change(profile: Profile) -> Profile:
        if user not in profile.users:
            raise NotFound(f"{user} is not a member of group {group}.")
        users = dict(profile.users)
        if role is None:
            del users[user]
        elif role in {"member", "owner"}:
            users[user] = users[user].model_copy(update={"role": role})
        else:
            raise Refused(f"role: found {role!r}; member or owner is right.")
        if not any(one.role == "owner" for one in users.values()):
            raise Refused(f"role: {user} is the last owner of group {group}; another owner first is right.")
        return profile.model_copy(update={"users": users})

    change_profile(site, group, change, f"{'Remove' if role is None else 'Change the role of'} {user} in group {group}")
