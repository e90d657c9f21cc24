"""What callers ask: to begin an import, to see theirs, to cancel one. Nothing here sees another group's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction
from django.db.models import Q, Sum

from neurocaas.errors import NotFound, NotNow, Refused
from neurocaas.server.chores import wake
from neurocaas.server.fetching import Network, describe
from neurocaas.server.groups.scope import Caller
from neurocaas.server.imports.models import OPEN, Import, State
from neurocaas.server.site import Site
from neurocaas.server.uploads import documents, quotas
from neurocaas.server.uploads.beginning import locked
from neurocaas.server.uploads.desk import identifier
from neurocaas.server.uploads.opening import open_desk
from neurocaas.storage import keys

CHORE = "imports"
MOST_OPEN = 100  # of one group
IMPORTS_AT_ONCE = 20


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some imports, newest first; `cursor` asks for those after them, and is empty at the end."""

    imports: Sequence[Import]
    cursor: str


def begin_import(
    site: Site, caller: Caller, url: str, tags: Sequence[str] = (), *, network: Network | None = None
) -> Import:
    """Have what stands behind an address fetched into the caller's group's data.

    The address is asked at once what it has. Raises Refused (also for what the quota has no room for), NotFound,
    RemoteFailed.
    """
    group, words, url = caller.require_group(), documents.tags(list(tags)), url.strip()
    remote = describe(url, limits=site.settings.site.fetching, network=network)
    desk = open_desk(site)
    with transaction.atomic():
        locked(group)
        coming = Import.objects.filter(group_id=group, state__in=OPEN)
        if coming.count() >= MOST_OPEN:
            raise Refused(f"imports: {MOST_OPEN} of {group} are on their way, which is the most at once; wait a while.")
        # What other imports will bring is not counted by the quota yet. Of an unknown size, one byte has to fit.
        size_bytes = 1 if remote.size_bytes is None else remote.size_bytes
        quotas.check(desk, group, size_bytes + (coming.aggregate(sum=Sum("size_bytes"))["sum"] or 0))
        made = Import.objects.create(
            group_id=group,
            user=caller.user,
            url=url,
            shown=shown(remote.url),
            name=keys.segment(remote.name),
            tags=list(words),
            size_bytes=remote.size_bytes,
            created_at=desk.clock(),
        )
    wake(site.settings, CHORE)
    return made


def list_imports(caller: Caller, cursor: str = "", *, count: int = IMPORTS_AT_ONCE) -> Page:
    """The imports of the caller's group, newest first."""
    found = Import.objects.filter(group_id=caller.require_group()).order_by("-created_at", "-id")
    if cursor:
        at, import_id = _position(cursor)
        found = found.filter(Q(created_at__lt=at) | Q(created_at=at, id__lt=import_id))
    listed = list(found[: count + 1])
    last = listed[count - 1] if len(listed) > count else None
    return Page(imports=listed[:count], cursor=f"{last.created_at.isoformat()}_{last.id.hex}" if last else "")


def find_import(caller: Caller, import_id: str | UUID) -> Import:
    """One import of the caller's group. Raises NotFound."""
    found = Import.objects.filter(group_id=caller.require_group(), pk=identifier(import_id)).first()
    if found is None:
        raise NotFound(f"There is no import {import_id}.")
    return found


def cancel_import(site: Site, caller: Caller, import_id: str | UUID) -> Import:
    """Have it not go on. Raises NotFound, and NotNow if it has arrived already."""
    found = find_import(caller, import_id)
    going = Import.objects.filter(pk=found.pk, state__in=(State.WAITING, State.FETCHING))
    if not going.update(state=State.CANCELLED, url="", ended_at=open_desk(site).clock()):
        found.refresh_from_db()
        if found.state != State.CANCELLED:
            raise NotNow(f"The import of {found.name} is {found.state}; it can't be cancelled any more.")
    found.refresh_from_db()
    return found


def shown(url: str) -> str:
    """An address without what may be a signature or a password in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _position(cursor: str) -> tuple[datetime, UUID]:
    at, _, import_id = cursor.partition("_")
    try:
        return datetime.fromisoformat(at).astimezone(UTC), UUID(import_id)
    except (ValueError, OverflowError):
        raise Refused(f"cursor: found {cursor[:80]!r}; one that an earlier answer gave is right.") from None
