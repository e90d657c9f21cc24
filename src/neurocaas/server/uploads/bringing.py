"""Data given as paths on this machine, stored as the group's own, for jobs on machines that do not see its files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from neurocaas.errors import Refused
from neurocaas.protocol import DataRef
from neurocaas.server.jobs.admission import Admissible
from neurocaas.server.uploads.completing import HereFile, store_files
from neurocaas.server.uploads.desk import Desk
from neurocaas.server.uploads.models import Form
from neurocaas.storage import FileDigest, digest_folder, fingerprint


def bring(desk: Desk, admissible: Admissible, *, progress: Callable[[str], None]) -> Admissible:
    """The same job, with all of its data in the store. What the group has there already is not stored again.

    progress: called with a line for each file or folder that is looked at. Raises Refused for one that was changed
    since it was digested, or beyond the group's quota; StorageFailed.
    """
    stored: dict[str, str] = {}
    for one in _on_this_machine(admissible):
        progress(f"Storing {one.filename} ({one.size_bytes / (1 << 20):.1f} MiB).")
        stored[str(one.path)] = _stored(desk, admissible.group, admissible.job.user, one)

    def placed(one: DataRef) -> DataRef:
        return one.model_copy(update={"path": None, "key": stored[one.path], "fingerprint": None}) if one.path else one

    stacks = [replace(stack, inputs=tuple(map(placed, stack.inputs))) for stack in admissible.stacks]
    return replace(admissible, stacks=stacks)


def _on_this_machine(admissible: Admissible) -> Iterable[DataRef]:
    """Each once, of the stacks that will run."""
    running = (stack for stack in admissible.stacks if stack.index not in admissible.found.origins)
    return {one.path: one for stack in running for one in stack.inputs if one.path}.values()


def _stored(desk: Desk, group: str, user: str, one: DataRef) -> str:
    """The key of the data in the store."""
    path = Path(str(one.path))
    if one.form == "folder":
        found = digest_folder(path)
        same, form = found.sha256 == one.sha256, Form.FOLDER
        files = [_here(name, path / name, sha256, size) for name, sha256, size in found.files]
    else:
        same, form = True, Form.FILE
        files = [_here(one.filename, path, one.sha256, one.size_bytes)]
    item = store_files(desk, group, user, one.filename, files, form=form)
    if not same or (one.fingerprint is not None and fingerprint(path) != one.fingerprint):
        raise Refused(f"{path} was written to while it was stored; submit it when nothing writes to it any more.")
    return item.content.key


def _here(path: str, place: Path, sha256: str, size_bytes: int) -> HereFile:
    return HereFile(path=path, place=place, digest=FileDigest(sha256=sha256, size_bytes=size_bytes))
