"""How much a group keeps, and whether more fits in."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Sum

from neurocaas.blueprint.model import GIB
from neurocaas.errors import Refused
from neurocaas.server.uploads.desk import Desk
from neurocaas.server.uploads.models import ARRIVING, Content, Upload


@dataclass(frozen=True, kw_only=True)
class Quota:
    """Bytes that a group's data takes, counting what is on its way, and may take (None: any number)."""

    used_bytes: int
    limit_bytes: int | None

    @property
    def left_bytes(self) -> int | None:
        return None if self.limit_bytes is None else max(0, self.limit_bytes - self.used_bytes)


def quota(desk: Desk, group: str) -> Quota:
    """What the group uses and may use. Content that several items share counts once."""
    stored = Content.objects.filter(group_id=group, unused_since=None).aggregate(sum=Sum("size_bytes"))["sum"]
    coming = Upload.objects.filter(group_id=group, state__in=ARRIVING).aggregate(sum=Sum("size_bytes"))["sum"]
    return Quota(used_bytes=(stored or 0) + (coming or 0), limit_bytes=desk.quota_bytes(group))


def check(desk: Desk, group: str, size_bytes: int) -> None:
    """Raises Refused, with the number left, if so much more is too much."""
    found = quota(desk, group)
    left = found.left_bytes
    if left is not None and size_bytes > left:
        raise Refused(
            f"upload: found {gib(size_bytes)} GiB; at most {gib(left)} GiB, which are left of the "
            f"{gib(found.limit_bytes or 0)} GiB of {group}, are right.",
            remedy="Delete data that is not needed any more, or ask an owner of the group for more.",
        )


def gib(size_bytes: int) -> str:
    """Three digits, and never rounded to nothing."""
    return f"{size_bytes / GIB:.3g}"
