"""The folder on a person's machine that a job's results are brought to, in place of those of an earlier job."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from neurocaas.errors import NeurocaasError, Refused
from neurocaas.storage import keys

CERTIFICATE = "certificate.json"
CERTIFICATE_TEXT = "certificate.txt"
LOG = "log.txt"
UNFINISHED = ".neurocaas-fetching"  # is there while results are fetched bit by bit, and until they are certified
FIGURES = frozenset({".png", ".svg", ".pdf"})


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """Where a job's results lie now: folder per dataset, and the figures among them."""

    out: Path
    files: int
    figures: tuple[Path, ...]


def check_out(out: Path) -> None:
    """Refuse a folder that can't be written, or that holds something else than results of an earlier job."""
    there = next(one for one in (out.absolute(), *out.absolute().parents) if os.path.lexists(one))
    if not there.is_dir():
        raise Refused(f"--out {out}: {there} is not a folder; a folder of your own is right.")
    try:
        # Permission bits do not tell of read-only or special file systems, so it is tried.
        tempfile.TemporaryDirectory(prefix=".neurocaas-", dir=there).cleanup()
    except OSError as cause:
        raise Refused(
            f"--out {out}: {there} can't be written: {cause.strerror}; a folder of your own is right."
        ) from cause
    ours = any((out / name).is_file() for name in (CERTIFICATE, UNFINISHED))
    if out.is_dir() and any(out.iterdir()) and not ours:
        raise Refused(f"--out {out} holds other files; a new or empty folder, or one of earlier results, is right.")


def remove_earlier(out: Path, *, keep: Collection[str] = ()) -> None:
    """Take away what the certificate in `out` says an earlier job delivered there, but for the paths in `keep`."""
    try:
        earlier = json.loads((out / CERTIFICATE).read_text(encoding="utf-8"))
        folders = [keys.relative(stack["folder"]) for stack in earlier["stacks"]]
        files = [keys.segment(one["path"]) for one in earlier.get("outputs", ())]
    except (OSError, ValueError, KeyError, TypeError, NeurocaasError):
        return
    kept = {out / path for path in keep}
    for folder in folders:
        _empty(out / folder, kept)
        for above in (out / folder).parents:
            if above == out or (above.is_dir() and any(above.iterdir())):
                break
            with contextlib.suppress(FileNotFoundError):
                above.rmdir()
    for path in {out / name for name in (*files, CERTIFICATE_TEXT, CERTIFICATE)} - kept:
        path.unlink(missing_ok=True)


def _empty(folder: Path, kept: Collection[Path]) -> None:
    """Remove the folder with all that is in it, but for these files."""
    for path, folders, files in os.walk(folder, topdown=False):
        for name in files:
            if (file := Path(path) / name) not in kept:
                file.unlink(missing_ok=True)
        for name in folders:
            if (Path(path) / name).is_symlink():
                (Path(path) / name).unlink()
        with contextlib.suppress(OSError):  # something is kept in it
            Path(path).rmdir()
