"""A group's profile: the JSON document in the source repo that declares a lab and its budgets (paper §5.1.1, §9.1)."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import Field

from neurocaas.documents import Document, parse, read_json
from neurocaas.errors import Refused

DEFAULT_BUDGET = Decimal(300)  # US dollars: the paper's, §2.2.1
Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000_000)]


class UserProfile(Document):
    """One member of a group, by user id."""

    budget_dollars: Dollars | None = None


class Profile(Document):
    """A group: `groups/<name>.json`. user_budget_dollars: of each user that has no budget of their own."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
    budget_dollars: Dollars = DEFAULT_BUDGET
    user_budget_dollars: Dollars = DEFAULT_BUDGET
    users: dict[str, UserProfile] = {}

    def budget_of(self, user: str) -> Decimal:
        """What the user may hold and spend, in US dollars."""
        own = self.users[user].budget_dollars if user in self.users else None
        return self.user_budget_dollars if own is None else own


def profile_path(root: Path, group: str) -> Path:
    return root / "groups" / f"{group}.json"


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
    temporary = path.with_suffix(".new")
    document = json.loads(profile.model_dump_json(exclude_none=True))
    temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)
    return path
