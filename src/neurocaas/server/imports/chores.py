"""Fetches what waits to be imported, two at once.

A fetch may be killed at any line. What stands in the row says where to go on: what has arrived is taken up where it
stopped, and what had arrived whole is put into its place, by the same upload if that was begun.
"""

from __future__ import annotations

import logging
import shutil
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from time import monotonic

from django.db import connections, transaction

from neurocaas.errors import NeurocaasError
from neurocaas.server.chores import Chore
from neurocaas.server.fetching import Cancelled, Network, fetch
from neurocaas.server.imports.models import OPEN, Import, State
from neurocaas.server.imports.requests import CHORE
from neurocaas.server.site import Site
from neurocaas.server.uploads import quotas
from neurocaas.server.uploads.beginning import begin
from neurocaas.server.uploads.completing import finish
from neurocaas.server.uploads.desk import Desk
from neurocaas.server.uploads.models import Item, UploadFile
from neurocaas.server.uploads.models import State as UploadState
from neurocaas.server.uploads.opening import open_desk

log = logging.getLogger(__name__)

AT_ONCE = 2
TOLD_SECONDS = 1.0  # progress is written, and cancelling noticed, no more often
EVERY_SECONDS = 60.0  # beginning one rings, so this is for rings that were lost
FORGOTTEN_AFTER = timedelta(days=30)


def work(site: Site, network: Network | None = None) -> None:
    """Fetch all that waits, and what begins to wait meanwhile."""
    # This is never done twice at the same time, so whatever was being fetched was left by a process that died.
    Import.objects.filter(state__in=(State.FETCHING, State.CHECKING)).update(state=State.WAITING)
    _tidy(site)
    desk = open_desk(site)
    going: set[Future[None]] = set()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="import") as lanes:
        while True:
            while len(going) < AT_ONCE and (one := _claim()) is not None:
                going.add(lanes.submit(_connected, site, desk, one, network))
            if not going:
                return
            going = wait(going, timeout=TOLD_SECONDS, return_when=FIRST_COMPLETED).not_done


CHORES = (Chore(name=CHORE, every_seconds=EVERY_SECONDS, work=work),)


@dataclass
class _Watch:
    """Keeps the row up to date while bytes come, and says whether to stop."""

    one: Import
    desk: Desk
    received_bytes: int = 0
    told_at: float = field(default_factory=monotonic)
    stop: bool = False
    full: bool = False

    def progress(self, received_bytes: int, size_bytes: int | None) -> None:
        self.received_bytes = received_bytes
        if size_bytes is not None:
            self.one.size_bytes = size_bytes
        self.stopped()

    def stopped(self) -> bool:
        """Whether it was cancelled, or has become more than the group may keep. Asks once a second at most."""
        if not self.stop and monotonic() - self.told_at >= TOLD_SECONDS:
            self.told_at = monotonic()
            row = Import.objects.filter(pk=self.one.pk, state=State.FETCHING)
            self.stop = not row.update(received_bytes=self.received_bytes, size_bytes=self.one.size_bytes)
            left = quotas.quota(self.desk, self.one.group_id).left_bytes
            if left is not None and self.received_bytes > left:
                self.stop = self.full = True
        return self.stop


def folder(site: Site) -> Path:
    """Where what is fetched grows."""
    return site.settings.state / "imports"


def _connected(site: Site, desk: Desk, one: Import, network: Network | None) -> None:
    """With a database connection of this thread's own, which is given back at the end."""
    try:
        _bring(site, desk, one, network)
    finally:
        connections.close_all()


def _bring(site: Site, desk: Desk, one: Import, network: Network | None) -> None:
    path = folder(site) / one.id.hex / "file"
    try:
        if not one.sha256 and not _fetched(site, desk, one, path, network):
            return
        item = _stored(desk, one, path)
    except NeurocaasError as fault:
        _end(desk, one, State.FAILED, str(fault))
    except Exception:
        # One fault must not hold up the others.
        log.exception("an import failed", extra={"import": str(one.pk)})
        _end(desk, one, State.FAILED, "The platform failed; an operator finds why in its log.")
    else:
        Import.objects.filter(pk=one.pk).update(item=item)
        _end(desk, one, State.COMPLETE)
    finally:
        shutil.rmtree(path.parent, ignore_errors=True)


def _claim() -> Import | None:
    while (one := Import.objects.filter(state=State.WAITING).order_by("created_at").first()) is not None:
        state = State.CHECKING if one.sha256 else State.FETCHING
        if Import.objects.filter(pk=one.pk, state=State.WAITING).update(state=state):
            return one  # else it was cancelled at this moment
    return None


def _fetched(site: Site, desk: Desk, one: Import, path: Path, network: Network | None) -> bool:
    """Have all of it at `path`, and its digest in the row. False if it was cancelled. Raises as `fetch` does."""
    watch = _Watch(one, desk)
    try:
        found = fetch(
            one.url,
            path,
            limits=site.settings.site.fetching,
            progress=watch.progress,
            cancelled=watch.stopped,
            network=network,
            resumable=True,
        )
    except Cancelled:
        if watch.full:
            quotas.check(desk, one.group_id, watch.received_bytes)
        return False
    one.sha256, one.size_bytes = found.sha256, found.size_bytes
    row = Import.objects.filter(pk=one.pk, state=State.FETCHING)
    return bool(
        row.update(
            state=State.CHECKING,
            sha256=found.sha256,
            size_bytes=found.size_bytes,
            received_bytes=found.size_bytes,
        )
    )


def _stored(desk: Desk, one: Import, path: Path) -> Item | None:
    """Put the file into its place, as if it had been uploaded. Raises Refused, for the quota too, and StorageFailed."""
    if one.upload is None:
        document = {
            "name": one.name,
            "files": [{"path": one.name, "size_bytes": one.size_bytes, "sha256": one.sha256}],
            "tags": one.tags,
            "origin": one.shown,
        }
        with transaction.atomic():
            one.upload = begin(desk, one.group_id, one.user, document)
            Import.objects.filter(pk=one.pk).update(upload=one.upload)
    upload = one.upload
    if upload.state == UploadState.RECEIVING:
        file = upload.files.select_related("upload").get()
        if not file.done:
            if path.exists():  # else a process died just after it had moved it
                desk.store.put_file(path, file.key, move=True)
            # It was digested while it came.
            UploadFile.objects.filter(pk=file.pk).update(done=True, received_bytes=file.size_bytes, sha256=one.sha256)
    finish(desk, upload.id)
    upload.refresh_from_db()
    return upload.item


def _end(desk: Desk, one: Import, state: State, message: str = "") -> None:
    """The row's last word, unless it was cancelled. The address, which may be signed, is not kept."""
    row = Import.objects.filter(pk=one.pk, state__in=OPEN)
    row.update(state=state, message=message, url="", ended_at=desk.clock())


def _tidy(site: Site) -> None:
    """Forget imports that ended long ago, and remove what dead processes left of those that do not go on."""
    Import.objects.filter(ended_at__lt=open_desk(site).clock() - FORGOTTEN_AFTER).delete()
    if folder(site).is_dir():
        going = {one.hex for one in Import.objects.filter(state__in=OPEN).values_list("id", flat=True)}
        for left in folder(site).iterdir():
            if left.name not in going:
                shutil.rmtree(left, ignore_errors=True)
