"""The preview of a result file and its picture, from the shelf or made anew."""

from __future__ import annotations

import re
from pathlib import Path

from neurocaas.documents import digest_of
from neurocaas.errors import NotFound, Refused
from neurocaas.server.viewers import shelf
from neurocaas.server.viewers.kinds import KINDS, UNKNOWN
from neurocaas.server.viewers.opening import TIMEOUT_SECONDS, Opened, open_in_sandbox
from neurocaas.server.viewers.previews import Answer, FramePreview, NotShown, Preview, Selection, Theme

# Counted up whenever a reader or a drawing shows something else than before.
VERSION = 1
SHA256 = re.compile(r"[0-9a-f]{64}")
ALL = Selection()


def preview(
    file: Path,
    *,
    kind: str,
    cache: Path,
    sha256: str,
    selection: Selection = ALL,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Preview:
    """What a page shows of `file`, of a kind from `viewer_for`; a second when it is new, else a few milliseconds.

    sha256: of the file, by which it is found in the folder `cache` again. Raises NotFound if there is no file, and
    Unavailable where no sandbox can be made. Whatever is wrong with the file itself is a `NotShown`.
    """
    if KINDS.get(kind, UNKNOWN).reader == "frame":
        return FramePreview(kind="svg" if kind == ".svg" else "html")
    return _opened(file, kind, cache, sha256, selection, timeout_seconds).answer.preview


def picture(
    file: Path,
    *,
    kind: str,
    cache: Path,
    sha256: str,
    selection: Selection = ALL,
    theme: Theme = "light",
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> bytes | None:
    """The PNG that belongs to the preview of the same selection; None if that says it has no picture."""
    if KINDS.get(kind, UNKNOWN).reader == "frame":
        return None
    opened = _opened(file, kind, cache, sha256, selection, timeout_seconds)
    block = opened.answer.block
    if block is None:
        return None
    path = _place(cache, sha256, kind, selection) / f"{'pixels' if block.how == 'pixels' else theme}.png"
    try:
        return path.read_bytes()
    except OSError:
        # matplotlib takes a second to import, so only once there is something to draw.
        from neurocaas.server.viewers.drawing import draw

        png = draw(block, opened.numbers, theme)
        shelf.keep_picture(path, png)
        return png


def _opened(file: Path, kind: str, cache: Path, sha256: str, selection: Selection, timeout_seconds: float) -> Opened:
    place = _place(cache, sha256, kind, selection)
    found = shelf.find(place)
    if found is not None:
        return found
    # A link would show, with the server's own rights, whatever its workflow made it point at.
    if file.is_symlink() or not file.is_file():
        raise NotFound(f"There is no file {file.name} among the results any more.")
    if KINDS.get(kind, UNKNOWN).reader == "nothing":
        sentence = f"No viewer here shows {kind} files."
        return Opened(Answer(preview=NotShown(sentence=sentence, remedy="Download it.")))
    opened = open_in_sandbox(file, kind, selection, timeout_seconds=timeout_seconds)
    shelf.keep(place, opened)
    return opened


def _place(cache: Path, sha256: str, kind: str, selection: Selection) -> Path:
    if not SHA256.fullmatch(sha256):
        raise Refused("A result file is known by its SHA-256, which has 64 hex digits.")
    name = digest_of([VERSION, sha256, kind, selection.model_dump()])
    return cache / name[:2] / name
