"""Configurations that a group keeps under a name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from neurocaas.errors import Forbidden, NotFound, Refused
from neurocaas.server.groups.scope import Caller
from neurocaas.server.jobs.models import Group
from neurocaas.server.web.models import NAME_CHARACTERS, SavedConfig


def saved(caller: Caller, analysis: str) -> list[SavedConfig]:
    """The group's, by name."""
    return list(SavedConfig.objects.filter(group_id=caller.group, analysis=analysis).order_by("name"))


def one(caller: Caller, analysis: str, identity: str) -> SavedConfig:
    """Raises NotFound, for another group's too."""
    found = (
        SavedConfig.objects.filter(group_id=caller.group, analysis=analysis, pk=int(identity)).first()
        if identity.isdecimal() and len(identity) < 18
        else None
    )
    if found is None:
        raise NotFound("There is no such saved configuration; it may have been deleted.")
    return found


def save(caller: Caller, analysis: str, name: str, config: Mapping[str, Any]) -> SavedConfig:
    """Keep a config under this name, in place of one that had it. Raises Refused for a name that is none."""
    name = name.strip()
    if not name or len(name) > NAME_CHARACTERS or not name.isprintable():
        raise Refused(f"save_name: found {name[:NAME_CHARACTERS]!r}; 1 to {NAME_CHARACTERS} characters are right.")
    Group.objects.get_or_create(pk=caller.require_group())
    found, _ = SavedConfig.objects.update_or_create(
        group_id=caller.group,
        analysis=analysis,
        name=name,
        defaults={"config": dict(config), "by": caller.user, "at": datetime.now(UTC)},
    )
    return found


def delete(caller: Caller, analysis: str, identity: str) -> SavedConfig:
    """Raises NotFound; Forbidden for who neither saved it nor owns the group."""
    found = one(caller, analysis, identity)
    if found.by != caller.user and not caller.owner:
        raise Forbidden(f"{found.name} was saved by {found.by}; they or an owner of {caller.group} may delete it.")
    found.delete()
    return found
