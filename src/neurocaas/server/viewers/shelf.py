"""Previews that were made before, by the content of the file; the folder may be emptied at any time."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from pydantic import ValidationError

from neurocaas.server.viewers.opening import Opened
from neurocaas.server.viewers.previews import Answer, NotShown

ANSWER, NUMBERS = "answer.json", "numbers"
# What the machine is to blame for may be other in a while, but not be tried again at each look.
PASSING_SECONDS = 60.0
DAY_SECONDS = 86400.0


def find(folder: Path) -> Opened | None:
    """What lies here, if it is whole and still holds."""
    try:
        answer = Answer.model_validate_json((folder / ANSWER).read_bytes())
        numbers = (folder / NUMBERS).read_bytes() if answer.block is not None else b""
        age = time.time() - folder.stat().st_mtime
    except (OSError, ValidationError):
        return None
    if isinstance(answer.preview, NotShown) and not answer.preview.lasting and age > PASSING_SECONDS:
        return None
    if answer.block is not None and len(numbers) != answer.block.size_bytes:
        return None
    if age > DAY_SECONDS:
        with contextlib.suppress(OSError):
            os.utime(folder)  # what is looked at is kept longest
    return Opened(answer, numbers)


def keep(folder: Path, opened: Opened) -> None:
    """Put it here as a whole, in place of what may lie here. A full disk costs the next look its time, and no error."""
    with contextlib.suppress(OSError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            (made / ANSWER).write_text(opened.answer.model_dump_json(), encoding="utf-8")
            if opened.answer.block is not None:
                (made / NUMBERS).write_bytes(opened.numbers)
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)


def keep_picture(path: Path, png: bytes) -> None:
    """Beside the numbers it was drawn from."""
    with contextlib.suppress(OSError):
        descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(png)
        Path(name).rename(path)


def prune(cache: Path, *, most_bytes: int) -> int:
    """Remove what was looked at longest ago until no more than this is left. Returns the bytes that were removed."""
    held: list[tuple[float, int, Path]] = []
    for folder in cache.glob("*/*"):
        with contextlib.suppress(OSError):
            size = sum(file.stat().st_size for file in folder.iterdir())
            held.append((folder.stat().st_mtime, size, folder))
    removed, total = 0, sum(size for _, size, _ in held)
    for _, size, folder in sorted(held):
        if total - removed <= most_bytes:
            break
        shutil.rmtree(folder, ignore_errors=True)
        removed += size
    return removed
