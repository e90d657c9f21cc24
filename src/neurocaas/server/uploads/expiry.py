"""What time takes away: expired items, uploads that nobody goes on with, and objects that belong to nothing."""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import transaction

from neurocaas.errors import NeurocaasError
from neurocaas.server.jobs.models import Group
from neurocaas.server.uploads.beginning import locked
from neurocaas.server.uploads.completing import finish, remove_received
from neurocaas.server.uploads.desk import Desk
from neurocaas.server.uploads.items import forget, places_in_use
from neurocaas.server.uploads.models import ARRIVING, Content, Item, State, Upload, UploadFile
from neurocaas.storage import keys
from neurocaas.storage.files import FileStore

STALE_AFTER = timedelta(days=7)
FORGOTTEN_AFTER = timedelta(days=30)
# A job that was being submitted when its data was deleted has been admitted, or refused, by then.
GRACE = timedelta(hours=1)
_PLACE = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class Swept:
    """How many of each were removed; completed: uploads whose check a dead process had left."""

    expired: int = 0
    completed: int = 0
    stale: int = 0
    contents: int = 0
    orphans: int = 0


def chore_expire(desk: Desk, *, stale_after: timedelta = STALE_AFTER) -> Swept:
    """One sweep. It may be killed at any line, and run in two processes at once. What a live job needs stays."""
    completed = _complete_checked(desk)
    stale = _give_up_stale(desk, stale_after)
    used = places_in_use()
    expired = _expire(desk, used)
    contents = _remove_unused(desk, used)
    orphans = _remove_orphans(desk, stale_after)
    return Swept(expired=expired, completed=completed, stale=stale, contents=contents, orphans=orphans)


def give_up(desk: Desk, upload: Upload) -> bool:
    """End an upload whose bytes are still arriving, and remove them. False, and nothing done, if they all have."""
    if not Upload.objects.filter(pk=upload.pk, state=State.RECEIVING).update(state=State.GONE):
        return False
    remove_received(desk, upload, list(upload.files.select_related("upload")))
    return True


def _complete_checked(desk: Desk) -> int:
    done = 0
    for upload_id in list(Upload.objects.filter(state=State.CHECKING).values_list("id", flat=True)):
        try:
            desk.checks.start(upload_id, partial(finish, desk, upload_id)).result()
        except NeurocaasError:
            continue  # kept in the upload, or to be tried again by the next sweep
        done += 1
    return done


def _give_up_stale(desk: Desk, stale_after: timedelta) -> int:
    now = desk.clock()
    Upload.objects.exclude(state__in=ARRIVING).filter(touched_at__lt=now - FORGOTTEN_AFTER).delete()
    stale = Upload.objects.filter(state=State.RECEIVING, touched_at__lt=now - stale_after)
    return sum(give_up(desk, upload) for upload in list(stale) if not _grows(desk, upload, now - stale_after))


def _grows(desk: Desk, upload: Upload, since: datetime) -> bool:
    """Whether bytes came since then: no note is kept of them before their connection ends."""
    if desk.multipart is not None:
        return False
    return any(one.stat().st_mtime > since.timestamp() for one in desk.folder(upload.id).iterdir())


def _expire(desk: Desk, used: set[str]) -> int:
    expired: dict[str, list[UUID]] = defaultdict(list)
    found = Item.objects.filter(keep=False, expires_at__lt=desk.clock())
    for item_id, group, content_id in found.values_list("id", "group_id", "content_id"):
        if content_id.hex not in used:
            expired[group].append(item_id)
    at_once = 500  # a database bounds the parameters of one query
    return sum(
        forget(desk, group, ids[start : start + at_once])
        for group, ids in expired.items()
        for start in range(0, len(ids), at_once)
    )


def _remove_unused(desk: Desk, used: set[str]) -> int:
    removed = 0
    unused = Content.objects.filter(unused_since__lt=desk.clock() - GRACE).defer("parts")
    for content in list(unused):
        if content.id.hex in used:
            continue
        with transaction.atomic():
            locked(content.group_id)
            # Unless somebody uploaded it again meanwhile.
            gone, _ = Content.objects.filter(pk=content.pk, unused_since=content.unused_since, items=None).delete()
        if gone:
            desk.store.delete_below(keys.content(content.group_id, content.id.hex))
            removed += 1
    return removed


def _remove_orphans(desk: Desk, stale_after: timedelta) -> int:
    """Objects at places that no living upload and no content names. No place is used twice, so no lock is needed."""
    removed = _remove_received_by_nobody(desk)
    for group in list(Group.objects.values_list("name", flat=True)):
        prefix = keys.data(group)
        places = {entry.key.removeprefix(f"{prefix}/").partition("/")[0] for entry in desk.store.list(prefix)}
        # Uploads before contents: one that is completed in between is then found as a content.
        known = {one.hex for one in Upload.objects.filter(group=group, state__in=ARRIVING).values_list("id", flat=True)}
        known |= {one.hex for one in Content.objects.filter(group=group).values_list("id", flat=True)}
        for place in places - known:
            if _PLACE.fullmatch(place):
                desk.store.delete_below(f"{prefix}/{place}")
                removed += 1
        if desk.multipart is not None:
            begun = UploadFile.objects.filter(upload__group=group, upload__state__in=ARRIVING).exclude(multipart="")
            names = set(begun.values_list("multipart", flat=True))
            for key, name in desk.multipart.abandoned(prefix, desk.clock() - stale_after, names):
                desk.multipart.abort(key, name)
                removed += 1
    return removed


def _remove_received_by_nobody(desk: Desk) -> int:
    """Folders of uploads that no longer arrive: their process was killed before it removed them."""
    if not isinstance(desk.store, FileStore):
        return 0
    names = desk.store.being_received()
    known = {one.hex for one in Upload.objects.filter(state__in=ARRIVING).values_list("id", flat=True)}
    for name in (lost := set(names) - known):
        shutil.rmtree(desk.store.receiving(name), ignore_errors=True)
    return len(lost)
