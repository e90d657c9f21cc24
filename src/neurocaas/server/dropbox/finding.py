"""What a submission names: files and folders of its own group, or of buckets that the site may read for anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from neurocaas.blueprint.config_files import MAX_CONFIG_BYTES, parse_config
from neurocaas.blueprint.parameters import Config
from neurocaas.documents import shown
from neurocaas.errors import NotFound, Refused
from neurocaas.server.dropbox.boxes import RESULTS, SUBMISSION, Box, Boxes
from neurocaas.server.jobs.kinds import HEAD_BYTES, ZIP_TAIL_BYTES, Look
from neurocaas.storage import keys
from neurocaas.storage.drops import Drop, Drops, open_drops

CONFIG_NAMES = ("config.yaml", "config.yml", "config.json")
_CONFIG_KINDS = (".json", ".yaml", ".yml")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A key as a submission gives it, and where it leads. A folder's ends in a slash."""

    shown: str
    drops: Drops
    key: str

    @property
    def is_folder(self) -> bool:
        return self.key.endswith("/")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is at a place: one file, or those of a folder, which the submission and its config do not count among."""

    place: Place
    files: tuple[Drop, ...]

    @property
    def marks(self) -> list[object]:
        """What changes when any of it does."""
        return [self.place.shown, [[one.key, one.size_bytes, one.mark] for one in self.files]]


def locate(boxes: Boxes, box: Box, group: str, field: str, text: str) -> Place:
    """Where a key leads: below the group's folder, or into a bucket that may be read. Raises Refused."""
    if not text.startswith("s3://"):
        return Place(shown=text, drops=box.drops, key=_inside(field, text, group))
    bucket, _, key = text.removeprefix("s3://").partition("/")
    if box.drops.url.startswith("s3://") and bucket == box.name:
        above = box.drops.url.removeprefix("s3://").partition("/")[2]
        own = key.removeprefix(f"{above}/") if above else key
        return Place(shown=text, drops=box.drops, key=_inside(field, own, group))
    # Other drop-boxes are other people's, whatever else the site may read.
    if bucket not in boxes.site.settings.site.fetching.allowed_buckets or bucket in box_buckets(boxes):
        raise Refused(
            f"{field}: found {shown(text)}; the bucket {bucket[:63]!r} is none that this site reads: one of "
            "fetching.allowed_buckets in its site.json is right."
        )
    _check_parts(field, text, key)
    return Place(shown=text, drops=open_drops(f"s3://{bucket}"), key=key)


def box_buckets(boxes: Boxes) -> set[str]:
    """The buckets that drop-boxes of the site are in."""
    return {one.name for one in boxes.boxes if one.drops.url.startswith("s3://")}


def look_for(place: Place, field: str) -> Found:
    """What is there. Raises NotFound."""
    if not place.is_folder:
        found = place.drops.find(place.key)
        if found is None:
            raise NotFound(f"{field}: {place.shown}: there is no such file.")
        return Found(place=place, files=(found,))
    files = tuple(one for one in place.drops.listed(place.key) if not one.key.endswith(SUBMISSION))
    if not files:
        raise NotFound(f"{field}: {place.shown}: there is no file in this folder.")
    return Found(place=place, files=files)


def without(found: Found, key: str) -> Found:
    """A folder without the file at this key."""
    return Found(place=found.place, files=tuple(one for one in found.files if one.key != key))


def config_within(found: Sequence[Found]) -> Place | None:
    """The config that lies in the only folder there is, for a submission that names none; None if none does."""
    if len(found) != 1 or not found[0].place.is_folder:
        return None
    place = found[0].place
    there = {one.key for one in found[0].files}
    for name in CONFIG_NAMES:
        if place.key + name in there:
            return Place(shown=place.shown + name, drops=place.drops, key=place.key + name)
    return None


def read_config(place: Place) -> tuple[Config, bytes]:
    """The config, and its bytes. Raises NotFound or Refused."""
    name = f"configname: {place.shown}"
    if not place.key.endswith(_CONFIG_KINDS):
        raise Refused(f"{name}: a file of kind {', '.join(_CONFIG_KINDS)} is right.")
    found = place.drops.find(place.key)
    if found is None:
        raise NotFound(f"{name}: there is no such file.")
    if found.size_bytes > MAX_CONFIG_BYTES:
        raise Refused(f"{name}: it is larger than 4 MiB; a config of a few lines is right.")
    data = place.drops.read(place.key, 0, MAX_CONFIG_BYTES)
    try:
        text = data.decode()
    except UnicodeDecodeError as cause:
        raise Refused(f"{name}: byte {cause.start} is not UTF-8 text; a YAML or JSON file is right.") from cause
    return parse_config(text, name), data


def look_at(drops: Drops, file: Drop) -> Look:
    """What kind of file it is, by its first bytes and, of an archive, its last."""
    read = partial(drops.read, file.key)
    head = read(0, HEAD_BYTES)
    whole = head.startswith(b"PK") and b"PK\x05\x06" in read(max(0, file.size_bytes - ZIP_TAIL_BYTES), file.size_bytes)
    return Look(head=head, zip=whole)


def result_place(boxes: Boxes, box: Box, group: str, text: str) -> tuple[Drops, str]:
    """Where else results are to go: a drop-box or bucket, and the key of a folder there. Raises Refused."""
    if not text.startswith("s3://"):
        key = _inside("resultpath", text.rstrip("/"), group)
        if not key.startswith(f"{group}/{RESULTS}/"):
            raise Refused(f"resultpath: found {shown(text)}; a folder below {group}/{RESULTS}/ is right.")
        return box.drops, key
    bucket, _, key = text.removeprefix("s3://").rstrip("/").partition("/")
    if bucket not in boxes.site.settings.site.result_buckets or bucket in box_buckets(boxes):
        raise Refused(
            f"resultpath: found {shown(text)}; the bucket {bucket[:63]!r} is none that this site writes to: one of "
            "result_buckets in its site.json is right."
        )
    if key:
        _check_parts("resultpath", text, key)
    return open_drops(f"s3://{bucket}"), key


def _inside(field: str, key: str, group: str) -> str:
    _check_parts(field, key, key)
    if not key.startswith(f"{group}/"):
        raise Refused(f"{field}: found {shown(key)}; a key below {group}/, the group's own folder, is right.")
    return key


def _check_parts(field: str, text: str, key: str) -> None:
    try:
        keys.relative(key.removesuffix("/"))
    except Refused as cause:
        raise Refused(f"{field}: found {shown(text)}. {cause.message}") from cause
