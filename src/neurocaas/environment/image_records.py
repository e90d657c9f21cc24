"""What images were made of which environments: a record beside the store's environments, and an end to both."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from neurocaas.documents import Document, write_whole
from neurocaas.environment.locks import locked_if_free
from neurocaas.environment.oci import Blobs, Image

LOCK = "images.lock"


class ImageRef(Document):
    """An image of an environment, made here.

    digest: of its manifest, by which a registry names it; id: of its config, by which an engine does; reference: the
    name it has in an engine that `load` gave it to; environment: the digest of what is in it; made_of: what else is;
    root: below which it lies, which is not part of its record.
    """

    digest: str
    id: str
    reference: str
    environment: str
    made_of: str
    size_bytes: int
    root: Path
    pushed: tuple[str, ...] = ()

    @property
    def image(self) -> Image:
        return Image(digest=self.digest, id=self.id, size_bytes=self.size_bytes)


def recorded(root: Path, environment: str) -> ImageRef | None:
    """The image below `root` that was made of the environment with this digest; None if none was."""
    with contextlib.suppress(OSError, ValueError):
        # Where it lies now: a store may be moved, or reached by another path.
        return ImageRef.model_validate({**json.loads(_place(root, environment).read_bytes()), "root": root})
    return None


def record(image: ImageRef) -> ImageRef:
    place = _place(image.root, image.environment)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_whole(place, image.model_dump_json(indent=1, exclude={"root"}))
    return image


def _place(root: Path, environment: str) -> Path:
    return root / "environments" / f"{environment}.json"


def prune(root: Path, environments: Collection[str], *, older_than_seconds: float) -> Iterator[tuple[str, int]]:
    """Forget the images of environments that are gone, and blobs that no image consists of. Yields (digest, bytes).

    Nothing while an image is being made, whose layers nobody refers to yet.
    """
    if not root.is_dir():
        return
    with locked_if_free(root / LOCK) as nobody_makes:
        if not nobody_makes:
            return
        blobs, used = Blobs(root), set()
        for place in (root / "environments").glob("*.json"):
            image = recorded(root, place.stem)
            if image is None or image.environment not in environments or not blobs.whole(image.image):
                place.unlink()
            else:
                used |= blobs.parts(image.image)
        for blob in blobs.folder.glob("*"):
            status = blob.stat()
            if blob.name not in used and time.time() - status.st_mtime >= older_than_seconds:
                blob.unlink()
                yield blob.name, status.st_size
