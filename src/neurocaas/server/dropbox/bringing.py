"""Data of a submission, brought into its group's staged data: once for each content, under the group's quota.

Nothing is referred to where it lies in a drop-box: whoever wrote it may write over it while a job waits, and what a
certificate says of an input must stay true. See docs/adr/0026.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from neurocaas.blueprint import Blueprint
from neurocaas.blueprint.model import Input
from neurocaas.errors import Refused
from neurocaas.protocol import Dataset
from neurocaas.server.dropbox.boxes import USER
from neurocaas.server.dropbox.finding import Found, look_at
from neurocaas.server.jobs.datasets import Given, datasets, fault, kinds, named_inputs, refuse, wanted
from neurocaas.server.site import Site
from neurocaas.server.uploads.completing import HereFile, store_files
from neurocaas.server.uploads.desk import Desk
from neurocaas.server.uploads.models import Form, Item
from neurocaas.server.uploads.opening import open_desk
from neurocaas.server.uploads.staging import reference
from neurocaas.storage import digest_file
from neurocaas.storage.drops import Drop, Drops


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A file or folder that is to be one dataset. files: by their paths in the folder; a file itself by its name."""

    shown: str
    name: str
    is_folder: bool
    drops: Drops
    files: Mapping[str, Drop]

    @property
    def given(self) -> Given:
        file = next(iter(self.files.values()))
        return Given(
            shown=f"dataname: {self.shown}",
            suffix=PurePosixPath(self.name).suffix,
            is_folder=self.is_folder,
            size_bytes=sum(one.size_bytes for one in self.files.values()),
            look=partial(look_at, self.drops, file),
        )


def work_folder(site: Site) -> Path:
    """Where files lie on their way between a drop-box and the store."""
    return site.settings.state / "dropbox"


@dataclass(frozen=True, kw_only=True)
class Bringing:
    """Makes datasets of what a submission names, as `jobs.submit` asks of a stage.

    A folder is one dataset of an analysis that takes folders; of another, each file right in it that fits is one.
    named: what the submission calls each of them, once they are made.
    """

    site: Site
    group: str
    found: Sequence[Found]
    named: list[str] = field(default_factory=list)

    def __call__(
        self,
        blueprint: Blueprint,
        data: Sequence[str],  # noqa: ARG002 (`found` says more)
        more: Mapping[str, str],
        /,
    ) -> tuple[Dataset, ...]:
        """Everything is looked at before anything is brought. Raises Refused, with a sentence for each fault."""
        name, main = blueprint.main_input
        faults: list[str] = []
        named_inputs(blueprint, more, faults)
        pieces = [piece for one in self.found for piece in _pieces(one, main, faults)]
        faults.extend(filter(None, (fault(main, one.given) for one in pieces)))
        refuse(pieces, main, faults)
        desk = open_desk(self.site)
        brought = [reference(name, main, _bring(self.site, desk, self.group, one)) for one in pieces]
        self.named[:] = [one.shown for one in pieces]
        return datasets(brought, [])


def _pieces(found: Found, main: Input, faults: list[str]) -> Iterator[Piece]:
    place = found.place
    if not place.is_folder or main.form == "folder":
        start = len(place.key) if place.is_folder else place.key.rfind("/") + 1
        yield Piece(
            shown=place.shown,
            name=PurePosixPath(place.key).name,
            is_folder=place.is_folder,
            drops=place.drops,
            files={one.key[start:]: one for one in found.files},
        )
        return
    fitting = {
        name: one
        for one in found.files
        if "/" not in (name := one.key.removeprefix(place.key)) and PurePosixPath(name).suffix.lower() in kinds(main)
    }
    if not fitting:
        faults.append(f"dataname: {place.shown} is a folder without {wanted(main)} in it.")
    for name, one in fitting.items():
        shown = place.shown + name
        yield Piece(shown=shown, name=name, is_folder=False, drops=place.drops, files={name: one})


def _bring(site: Site, desk: Desk, group: str, piece: Piece) -> Item:
    """The piece as an item of the group: the one that is there already if it has this content and name."""
    folder = work_folder(site) / uuid.uuid4().hex
    try:
        files = []
        for index, (path, one) in enumerate(piece.files.items()):
            place = folder / str(index)
            piece.drops.fetch(one.key, place)
            files.append(HereFile(path=path, place=place, digest=digest_file(place)))
        form = Form.FOLDER if piece.is_folder else Form.FILE
        origin = piece.shown if piece.shown.startswith("s3://") else f"{piece.drops.url}/{piece.shown}"
        return store_files(desk, group, USER, piece.name, files, form=form, origin=origin, move=True)
    except Refused as cause:
        raise Refused(f"dataname: {piece.shown}: {cause.message}", remedy=cause.remedy) from cause
    finally:
        shutil.rmtree(folder, ignore_errors=True)
