"""Looking after drop-boxes where no website is served, whose housekeeping does it otherwise."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator

from neurocaas.errors import NotNow, Refused
from neurocaas.server.dropbox.boxes import Boxes, open_boxes
from neurocaas.server.dropbox.chores import CHORES
from neurocaas.server.dropbox.mirroring import mirror
from neurocaas.server.dropbox.sweeping import sweep
from neurocaas.server.logs import log_to
from neurocaas.server.serving.housekeeping import keep, lead
from neurocaas.server.site import Site
from neurocaas.settings import Settings


def watch(site: Site) -> None:
    """Take submissions and answer them until SIGTERM. Raises Refused, NotNow."""
    opened(site)
    with _alone(site.settings):
        log_to(site.settings.state / "logs" / "housekeeping.log")
        keep(site, CHORES)


def look_once(site: Site) -> tuple[int, int]:
    """The same once, for whoever has a clock of their own call it. Returns how many were taken and answered."""
    boxes = opened(site)
    with _alone(site.settings):
        return sweep(boxes), mirror(boxes)


def opened(site: Site) -> Boxes:
    """The site's drop-boxes. Raises Refused if it has none."""
    if not site.settings.site.dropboxes:
        raise Refused(
            'dropboxes: found none in site.json; an analysis and a place, as {"pca": "s3://bucket"}, are right.'
        )
    return open_boxes(site)


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    settings.run.mkdir(parents=True, exist_ok=True)
    with (settings.run / "housekeeping.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotNow(
                "Another process looks after the drop-boxes already: the site is served, or watched."
            ) from None
        lead(lock)
        yield
