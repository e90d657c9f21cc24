"""Messages that something appeared in a drop-box: they save a sweep's wait, and lost ones cost no more than that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurocaas.server.chores import wake
from neurocaas.server.dropbox.boxes import is_submission
from neurocaas.settings import Settings

CHORE = "dropbox"


def take_hint(settings: Settings, message: Mapping[str, Any]) -> bool:
    """Have the drop-boxes looked at now, if this event of EventBridge says that a submission appeared in one.

    False for an event that is about no drop-box, and so somebody else's. Needs no database.
    """
    detail = message.get("detail")
    if message.get("detail-type") != "Object Created" or not isinstance(detail, Mapping):
        return False
    bucket, key = (_named(detail, "bucket", "name"), _named(detail, "object", "key"))
    for url in settings.site.dropboxes.values():
        name, _, prefix = url.removeprefix("s3://").strip("/").partition("/")
        above = f"{prefix}/" if prefix else ""
        if url.startswith("s3://") and name == bucket and key.startswith(above):
            if is_submission(key.removeprefix(above)):
                wake(settings, CHORE)
            return True
    return False


def _named(detail: Mapping[str, Any], part: str, name: str) -> str:
    found = detail.get(part)
    return str(found.get(name, "")) if isinstance(found, Mapping) else ""
