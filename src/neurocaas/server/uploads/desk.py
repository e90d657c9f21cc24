"""Where staged data is taken in: the store, the limits and the clock that all of this room works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from neurocaas.errors import NotFound
from neurocaas.server.uploads.checks import Checks
from neurocaas.server.uploads.models import Upload, UploadFile
from neurocaas.storage import Store
from neurocaas.storage.files import FileStore

if TYPE_CHECKING:
    from neurocaas.storage.multipart import Multipart


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One per process. Uploads come through this site to a store on disk, and straight to S3 to one that is there.

    quota_bytes: what a group may keep; None for no limit. expires_after: how long an item is kept unless somebody says
    to keep it; None for ever. link_seconds: how long a signed link works.
    """

    store: Store
    quota_bytes: Callable[[str], int | None] = lambda group: None  # noqa: ARG005 (called by position)
    expires_after: timedelta | None = None
    link_seconds: int = 3600
    clock: Callable[[], datetime] = _now
    checks: Checks = field(default_factory=Checks)

    @cached_property
    def multipart(self) -> Multipart | None:
        """Links straight to the store, where it takes them."""
        if isinstance(self.store, FileStore):
            return None
        from neurocaas.storage.multipart import Multipart
        from neurocaas.storage.s3 import S3Store

        assert isinstance(self.store, S3Store)
        return Multipart(self.store)

    def folder(self, upload: UUID) -> Path:
        """Where an upload's files grow, on the disk of the store."""
        assert isinstance(self.store, FileStore)
        return self.store.receiving(upload.hex)

    def partial(self, file: UploadFile) -> Path:
        """Where one file of an upload grows."""
        return self.folder(file.upload_id) / str(file.index)


def find_upload(group: str, upload_id: str | UUID) -> Upload:
    """The group's upload. Raises NotFound, for another group's too."""
    found = Upload.objects.filter(pk=identifier(upload_id), group_id=group).first()
    if found is None:
        raise NotFound(f"There is no upload {upload_id}.")
    return found


def identifier(text: str | UUID) -> UUID:
    """The id that the text spells; if it spells none, the one that nothing has."""
    try:
        return text if isinstance(text, UUID) else UUID(text)
    except ValueError:
        return UUID(int=0)
