"""The one writer of the source repo: change a group's profile, commit it, deploy it (paper §5.1.1)."""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

from neurocaas.blueprint.access import USER_ID
from neurocaas.blueprint.profile import Profile, UserProfile, profile_path, read_profile, write_profile
from neurocaas.documents import read_json, write_whole
from neurocaas.errors import Refused
from neurocaas.server.groups.deploy import deploy_operators, deploy_profile
from neurocaas.server.site import Site
from neurocaas.settings import SITE_FILE


def change_profile(site: Site, group: str, change: Callable[[Profile], Profile], message: str) -> Profile:
    """Let `change` make a new profile of the group's, write it, commit it with `message`, deploy it.

    One process at a time; killed in between, the next change or `neurocaas deploy` makes up for it. Raises what
    `change` raises, with nothing written.
    """
    with _only_writer(site):
        profile = change(read_profile(site.settings.root, group))
        _publish(site, profile, message)
    return profile


def set_budget(site: Site, group: str, user: str | None, dollars: Decimal) -> None:
    """Set the budget of the group, or of one of its users."""

    def change(profile: Profile) -> Profile:
        if not user:
            return profile.model_copy(update={"budget_dollars": dollars})
        one = profile.users.get(user, UserProfile()).model_copy(update={"budget_dollars": dollars})
        return profile.model_copy(update={"users": profile.users | {user: one}})

    whose = f"user {user}" if user else f"group {group}"
    change_profile(site, group, change, f"Set the budget of {whose} to ${dollars}")


def set_operator(site: Site, user: str, *, present: bool) -> list[str]:
    """Make the user an operator, or one no longer, in `site.json`. Returns all operators. Raises Refused."""
    if not re.fullmatch(USER_ID, user):
        raise Refused(f"USER: found {user!r}; a user id, as in ada or j.smith, is right.")
    with _only_writer(site):
        path = site.settings.root / SITE_FILE
        document = read_json(path)
        operators = sorted(
            {*document.get("operators", ()), user} if present else {*document.get("operators", ())} - {user}
        )
        document["operators"] = operators
        write_whole(path, json.dumps(document, indent=2) + "\n")
        site.repo.commit(f"{'Make' if present else 'Unmake'} {user} an operator", path)
        deploy_operators(frozenset(operators))
    return operators


def create_group(site: Site, profile: Profile) -> None:
    """Declare a new group. Raises Refused if the name is taken."""
    with _only_writer(site):
        if profile_path(site.settings.root, profile.name).exists() or profile.name == "local":
            raise Refused(f"group: found {profile.name!r}; a name that no other group has is right.")
        _publish(site, profile, f"Add group {profile.name}")


def _publish(site: Site, profile: Profile, message: str) -> None:
    path = write_profile(site.settings.root, profile)
    site.repo.commit(message, path)
    deploy_profile(profile)


@contextmanager
def _only_writer(site: Site) -> Iterator[None]:
    site.settings.run.mkdir(parents=True, exist_ok=True)
    with (site.settings.run / "source.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
