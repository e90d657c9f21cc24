"""Who calls, and what they may see and do: the one place through which pages and API reach rows of a group.

What a caller may not see does not exist for them (NotFound). What they see but may not do is Forbidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from django.db.models import Q, QuerySet

from neurocaas.errors import Forbidden, NotFound
from neurocaas.server.groups.deployed import developed_by
from neurocaas.server.groups.models import Collaboration, Handover, Membership, Operator, Role
from neurocaas.server.jobs.models import Job


class To(StrEnum):
    """What a caller wants of a job: know of it; read its config, inputs, logs, results; or cancel, retry, share it."""

    SEE = "see"
    READ = "read"
    ACT = "act"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A user, as whom a request is answered. group: the one of theirs that lists and new jobs are about; "" for none.

    sees: what other groups let this group see, by their names. develops: the analyses whose handed-over jobs they read.
    """

    user: str
    group: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    operator: bool = False
    develops: frozenset[str] = frozenset()
    sees: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def groups(self) -> list[str]:
        return sorted(self.roles)

    @property
    def owned(self) -> list[str]:
        return [group for group, role in self.roles.items() if role == Role.OWNER]

    @property
    def owner(self) -> bool:
        """Whether they own their current group."""
        return self.group in self.owned

    def own_jobs(self) -> QuerySet[Job]:
        """What the caller's group ran, except what other members keep private: for lists."""
        return _kept().filter(Q(group_id=self.group) & self._not_private())

    def jobs(self, to: To = To.SEE) -> QuerySet[Job]:
        """Every job that the caller may see, read or act on."""
        mine = Q(group_id__in=self.groups) & self._not_private()
        match to:
            case To.ACT:
                acting = Q(group_id__in=self.groups, user=self.user) | Q(group_id__in=self.owned)
                return _kept().filter(acting)
            case To.READ:
                return _kept().filter(mine | self._shown("results") | self._handed_over())
        if self.operator:
            return _kept()
        return _kept().filter(mine | self._shown("jobs") | self._shown("results") | self._handed_over())

    def job(self, job_id: str, to: To = To.SEE) -> Job:
        """The job. Raises NotFound if the caller may not know of it, Forbidden if they may, but not this."""
        wanted = self.jobs(to).filter(pk=job_id).first()
        if wanted is not None:
            return wanted
        if to is not To.SEE and self.jobs(To.SEE).filter(pk=job_id).exists():
            raise Forbidden(
                f"Job {job_id} may be {'seen' if to is To.READ else 'read'} by {self.user}, but not "
                f"{'read' if to is To.READ else 'changed'}; who submitted it or an owner of its group may."
            )
        raise NotFound(f"There is no job {job_id!r} that {self.user} may see.", remedy="The list of jobs has them all.")

    def data_groups(self) -> list[str]:
        """The groups whose staged data the caller may use in jobs of their current group."""
        return [self.group, *(group for group, what in self.sees.items() if "data" in what)]

    def require_group(self) -> str:
        """The current group. Raises Forbidden for a user who belongs to none."""
        if not self.group:
            raise Forbidden(
                f"{self.user} belongs to no group; a code from a colleague, or a group of your own, is right."
            )
        return self.group

    def require_owner(self) -> str:
        """The current group, which the caller owns. Raises Forbidden."""
        if self.owner:
            return self.group
        raise Forbidden(f"Only owners of group {self.require_group()} may do this.")

    def require_operator(self) -> None:
        """Raises NotFound: others are not told of the operators' pages."""
        if not self.operator:
            raise NotFound("There is no such page.")

    def _not_private(self) -> Q:
        return Q(private=False) | Q(user=self.user) | Q(group_id__in=self.owned)

    def _shown(self, what: str) -> Q:
        groups = [group for group, whats in self.sees.items() if what in whats]
        return Q(group_id__in=groups, private=False)

    def _handed_over(self) -> Q:
        if not self.develops:
            return Q(pk__in=())
        lasting = Handover.objects.filter(until__gt=datetime.now(UTC), job__analysis__in=self.develops)
        return Q(pk__in=lasting.values("job_id"))


def _kept() -> QuerySet[Job]:
    return Job.objects.filter(deleted_at=None)


def caller(user: str, group: str = "") -> Caller:
    """The user as deployed now. `group`: the one of theirs that is meant; their first if left out or not theirs."""
    roles = dict(Membership.objects.filter(user=user).order_by("group_id").values_list("group_id", "role"))
    current = group if group in roles else next(iter(roles), "")
    sees: dict[str, set[str]] = {}
    for one in Collaboration.objects.filter(other__in=roles):
        if one.group_id not in roles:
            sees.setdefault(one.group_id, set()).add(one.what)
    return Caller(
        user=user,
        group=current,
        roles=roles,
        operator=Operator.objects.filter(pk=user).exists(),
        develops=developed_by(user),
        sees={name: frozenset(what) for name, what in sees.items()},
    )
