"""Make the database agree with the source repo's documents: groups, access to analyses, operators (paper §9.1).

Running jobs are left alone: a document says who may do what from now on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from neurocaas.blueprint.access import Access, read_access
from neurocaas.blueprint.profile import Profile, document_of, read_profiles
from neurocaas.errors import Refused
from neurocaas.server.groups.models import AnalysisAccess, Collaboration, Membership, Operator
from neurocaas.server.jobs.models import Group
from neurocaas.server.site import Site
from neurocaas.settings import SITE_FILE, read_settings


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is deployed and what the documents say, where they differ. before, after: JSON, None for nothing."""

    what: str  # "group lab", "access to pca", "operators"
    before: Any
    after: Any

    @property
    def verb(self) -> str:
        return "add" if self.before is None else "remove" if self.after is None else "change"

    def lines(self) -> list[str]:
        """What differs, a line for each field."""
        if not isinstance(self.before, dict) or not isinstance(self.after, dict):
            return [f"{_shown(self.before)} → {_shown(self.after)}"]
        return [
            f"{field}: {_shown(self.before.get(field))} → {_shown(self.after.get(field))}"
            for field in sorted({*self.before, *self.after})
            if self.before.get(field) != self.after.get(field)
        ]


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What the documents say, found right."""

    profiles: Mapping[str, Profile]
    accesses: Mapping[str, Access]
    operators: frozenset[str]


def declared(site: Site) -> Declared:
    """The documents in the source repo. Raises Refused with one sentence for each fault in any of them."""
    faults: list[str] = []
    profiles: dict[str, Profile] = {}
    accesses: dict[str, Access] = {}
    try:
        profiles = read_profiles(site.settings.root)
    except Refused as fault:
        faults.append(fault.message)
    for name in site.repo.names():
        try:
            accesses[name] = read_access(site.repo.folder(name))
        except Refused as fault:
            faults.append(fault.message)
    if faults:
        raise Refused("\n".join(faults))
    operators = frozenset(read_settings(site.settings.root).site.operators)
    return Declared(profiles=profiles, accesses=accesses, operators=operators)


def deploy(site: Site, *, dry_run: bool = False) -> list[Change]:
    """Deploy every document. Returns what changed, or, with `dry_run`, what would.

    Raises Refused if a document is wrong, or not committed: what is deployed must be found in history.
    """
    wanted = declared(site)
    if not dry_run:
        require_committed(site, "neurocaas deploy --dry-run")
    with transaction.atomic():
        found = changes(wanted)
        if not dry_run:
            for name in _stored_profiles().keys() | wanted.profiles.keys():
                _deploy_group(name, wanted.profiles.get(name))
            _deploy_accesses(wanted.accesses)
            deploy_operators(wanted.operators)
    return found


def deploy_profile(profile: Profile) -> None:
    """Deploy one group's profile alone."""
    with transaction.atomic():
        _deploy_group(profile.name, profile)


def changes(wanted: Declared) -> list[Change]:
    """What differs between what is deployed and what is wanted."""
    groups = _differences(
        "group", _stored_profiles(), {name: document_of(one) for name, one in wanted.profiles.items()}
    )
    stored = {row.analysis: row.document for row in AnalysisAccess.objects.all()}
    accesses = _differences("access to", stored, _documents(wanted.accesses))
    before, after = sorted(Operator.objects.values_list("user", flat=True)), sorted(wanted.operators)
    operators = [Change(what="operators", before=before, after=after)] if before != after else []
    return [*groups, *accesses, *operators]


def require_committed(site: Site, preview: str) -> None:
    """Raises Refused if a document is not in the last commit as it is. preview: the command that shows its effect."""
    if loose := uncommitted(site):
        listed = ", ".join(loose)
        raise Refused(
            f"{listed}: not committed; what is deployed must be in the source repo's history.",
            remedy=f"Commit it (git commit), or see what it would change: {preview}",
        )


def uncommitted(site: Site) -> list[str]:
    """Documents that are not in the last commit as they are, by their paths in the source repo."""
    return site.repo.uncommitted("groups", SITE_FILE, ":(glob)analyses/*/access.json")


def _deploy_group(name: str, profile: Profile | None) -> None:
    """The row of one group, its members and collaborators. The row stays when the document goes: its jobs name it."""
    Group.objects.update_or_create(pk=name, defaults={"profile": document_of(profile) if profile else {}})
    members = {user: one.role for user, one in profile.users.items()} if profile else {}
    Membership.objects.filter(group_id=name).exclude(user__in=members).delete()
    Membership.objects.bulk_create(
        [Membership(group_id=name, user=user, role=role) for user, role in members.items()],
        update_conflicts=True,
        unique_fields=["group", "user"],
        update_fields=["role"],
    )
    shown = {(other, what) for other, whats in profile.collaborators.items() for what in whats} if profile else set()
    Collaboration.objects.filter(group_id=name).delete()
    Collaboration.objects.bulk_create(Collaboration(group_id=name, other=other, what=what) for other, what in shown)


def _deploy_accesses(accesses: Mapping[str, Access]) -> None:
    documents = _documents(accesses)
    AnalysisAccess.objects.exclude(pk__in=documents).delete()
    AnalysisAccess.objects.bulk_create(
        [AnalysisAccess(analysis=name, document=document) for name, document in documents.items()],
        update_conflicts=True,
        unique_fields=["analysis"],
        update_fields=["document"],
    )


def deploy_operators(operators: frozenset[str]) -> None:
    """Deploy who the operators are. Inside or outside of a transaction."""
    Operator.objects.exclude(pk__in=operators).delete()
    Operator.objects.bulk_create([Operator(user=user) for user in operators], ignore_conflicts=True)


def _stored_profiles() -> dict[str, Any]:
    return {row.name: row.profile for row in Group.objects.exclude(profile={})}


def _documents(accesses: Mapping[str, Access]) -> dict[str, Any]:
    """Those that say something: an analysis open to all, which nobody develops, needs no row."""
    return {name: one.model_dump(mode="json") for name, one in accesses.items() if one != Access()}


def _differences(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    return [
        Change(what=f"{kind} {name}", before=before.get(name), after=after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)
