"""A group's profile: the JSON document in the source repo that declares a lab and its budgets (paper §5.1.1, §9.1)."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from neurocaas.blueprint.access import EVERYTHING, UserId
from neurocaas.documents import Document, parse, read_json, write_whole
from neurocaas.errors import Refused

DEFAULT_BUDGET = Decimal(300)  # US dollars: the paper's, §2.2.1
Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000_000)]
GroupName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
Sight = Literal["jobs", "results", "data"]


class UserProfile(Document):
    """One member of a group, by user id. An owner invites, sets budgets, and sees to everybody's jobs.

    key_serial: a larger one than before gives the user new keys to the drop-boxes in place of the old ones.
    """

    role: Literal["member", "owner"] = "member"
    budget_dollars: Dollars | None = None
    key_serial: Annotated[int, Field(ge=1)] = 1


class Profile(Document):
    """A group: `groups/<name>.json`.

    user_budget_dollars: of each user that has no budget of their own. analyses: those it may use, "*" for all whose
    access documents let it. collaborators: other groups, and what of this one they may see. storage_gib: for staged
    data; the site's default if left out.
    """

    name: GroupName
    title: Annotated[str, Field(max_length=120)] = ""
    budget_dollars: Dollars = DEFAULT_BUDGET
    user_budget_dollars: Dollars = DEFAULT_BUDGET
    storage_gib: Annotated[Decimal, Field(ge=0)] | None = None
    users: dict[UserId, UserProfile] = {}
    analyses: tuple[str, ...] = (EVERYTHING,)
    collaborators: dict[GroupName, tuple[Sight, ...]] = {}

    def budget_of(self, user: str) -> Decimal:
        """What the user may hold and spend, in US dollars."""
        own = self.users[user].budget_dollars if user in self.users else None
        return self.user_budget_dollars if own is None else own

    def may_use(self, analysis: str) -> bool:
        """Whether the profile lists the analysis; its own access document has a say too."""
        return EVERYTHING in self.analyses or analysis in self.analyses


def profile_path(root: Path, group: str) -> Path:
    return root / "groups" / f"{group}.json"


def read_profiles(root: Path) -> dict[str, Profile]:
    """Every group that the source repo at `root` declares. Raises Refused with one sentence for each fault."""
    profiles, faults = {}, []
    for path in sorted((root / "groups").glob("*.json")):
        try:
            profiles[path.stem] = read_profile(root, path.stem)
        except Refused as fault:
            faults.append(fault.message)
    if faults:
        raise Refused("\n".join(faults))
    return profiles


def read_profile(root: Path, group: str) -> Profile:
    """The profile as the source repo at `root` declares it now; one of defaults if it declares none.

    Raises Refused if the document is not right.
    """
    path = profile_path(root, group)
    if not path.is_file():
        return Profile(name=group)
    profile = parse(Profile, read_json(path), str(path))
    if profile.name != group:
        raise Refused(f"{path}: name: found {profile.name!r}; {group!r}, the name of the file, is right.")
    return profile


def write_profile(root: Path, profile: Profile) -> Path:
    """Write the document in place of the one that is there; it appears whole."""
    path = profile_path(root, profile.name)
    path.parent.mkdir(exist_ok=True)
    write_whole(path, json.dumps(document_of(profile), indent=2) + "\n")
    return path


def document_of(profile: Profile) -> dict[str, Any]:
    """The profile as JSON; what is at its default is left out."""
    document: dict[str, Any] = json.loads(profile.model_dump_json(exclude_none=True, exclude_defaults=True))
    return document
