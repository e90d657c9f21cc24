"""A site's drop-boxes, and where in them things lie: the layout of the original NeuroCAAS, which its clients know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from neurocaas.storage.drops import Drop, Drops, open_drops

if TYPE_CHECKING:
    from neurocaas.server.site import Site

SUBMISSION = "submit.json"
ASKING = ("configs/", "inputs/", "submissions/")  # the folders of a group where submissions are looked for
RESULTS = "results"
USER = "dropbox"  # a drop-box tells which group wrote, not who of it


@dataclass(frozen=True, kw_only=True)
class Box:
    """The drop-box of one analysis."""

    analysis: str
    drops: Drops

    @property
    def name(self) -> str:
        """The bucket's or folder's, as it stands in the names of jobs."""
        scheme, _, rest = self.drops.url.partition("://")
        return rest.partition("/")[0] if scheme == "s3" else PurePosixPath(rest).name

    def submissions(self) -> Iterator[Drop]:
        """Every submission in it, of whatever group, in no order."""
        for group in self.drops.folders():
            for folder in ASKING:
                for one in self.drops.listed(f"{group}/{folder}"):
                    if is_submission(one.key):
                        yield one


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """All of them, and what looking after them needs. wake: has the job manager look at the database now."""

    site: Site
    boxes: tuple[Box, ...]
    wake: Callable[[], object]
    clock: Callable[[], datetime]

    def of(self, analysis: str) -> Box | None:
        """The box of this analysis; None if the site has none of it any more."""
        return next((one for one in self.boxes if one.analysis == analysis), None)


def open_boxes(site: Site) -> Boxes:
    """The drop-boxes that `site.json` names. Nothing is contacted yet."""
    from neurocaas.server.jobs import daemon

    declared = site.settings.site.dropboxes
    return Boxes(
        site=site,
        boxes=tuple(Box(analysis=name, drops=open_drops(url)) for name, url in declared.items()),
        wake=partial(daemon.wake, site.settings),
        clock=partial(datetime.now, UTC),
    )


def is_submission(key: str) -> bool:
    """Whether an object at this key asks for something."""
    _, _, rest = key.partition("/")
    # What was delivered beside a client's own files is nobody's submission, whatever it is called; and no database
    # holds a zero byte.
    return rest.startswith(ASKING) and key.endswith(SUBMISSION) and f"/{RESULTS}/" not in key and "\0" not in key


def group_of(key: str) -> str:
    """The group that an object of a drop-box belongs to."""
    return key.partition("/")[0]


def folder_of(group: str, name: str) -> str:
    """Where a submission is answered."""
    return f"{group}/{RESULTS}/{name}"


def own_place(key: str) -> str:
    """Where the client that wrote a submission at this key looks for results; "" if nowhere of its own.

    One rule: `G/inputs/F/…submit.json` is answered in `G/results/F`, and `G/configs/F/…submit.json` in
    `G/configs/F/results`.
    """
    group, _, rest = key.partition("/")
    where, _, inside = rest.partition("/")
    folder = inside.rpartition("/")[0]
    if not folder or where not in {"inputs", "configs"}:
        return ""
    return f"{group}/{RESULTS}/{folder}" if where == "inputs" else f"{group}/configs/{folder}/{RESULTS}"
