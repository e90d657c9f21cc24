"""What was deployed last: the documents as admission, pages and API read them, whatever is edited meanwhile."""

from __future__ import annotations

from neurocaas.blueprint.access import Access
from neurocaas.blueprint.profile import Profile
from neurocaas.documents import parse
from neurocaas.errors import NotFound
from neurocaas.server.groups.models import AnalysisAccess
from neurocaas.server.jobs.models import Group


def deployed_profile(group: str) -> Profile:
    """The group's profile; one of defaults for a group that has none, as the one that stands for this machine."""
    row = Group.objects.filter(pk=group).first()
    return _profile(group, row.profile if row else {})


def deployed_access(analysis: str) -> Access:
    """The analysis' access document; open to every group if it has none."""
    row = AnalysisAccess.objects.filter(pk=analysis).first()
    return parse(Access, row.document if row else {}, f"access to {analysis}")


def check_access(group: str, analysis: str) -> None:
    """Raises NotFound unless both the group's profile and the analysis' access document let the group use it.

    Who may not use an analysis isn't told that it exists.
    """
    if not (deployed_profile(group).may_use(analysis) and deployed_access(analysis).lets(group)):
        raise NotFound(f"There is no analysis {analysis!r} that group {group} may use.")


def usable(group: str, analyses: list[str]) -> list[str]:
    """Those of the analyses that the group may use."""
    profile = deployed_profile(group)
    closed = {row.analysis for row in AnalysisAccess.objects.all() if not Access(**row.document).lets(group)}
    return [name for name in analyses if profile.may_use(name) and name not in closed]


def developed_by(user: str) -> frozenset[str]:
    """The analyses that the user develops."""
    return frozenset(row.analysis for row in AnalysisAccess.objects.all() if user in row.document.get("developers", ()))


def _profile(group: str, document: dict[str, object]) -> Profile:
    return parse(Profile, {**document, "name": group}, f"profile of {group}")
