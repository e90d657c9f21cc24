"""Messages that something appeared in a drop-box: they save a sweep's wait, and lost ones cost no more than that."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from neurocaas.bank.aws.account import Account
from neurocaas.bank.aws.messages import each_message
from neurocaas.bank.aws.stack import read_stack
from neurocaas.server.chores import wake
from neurocaas.server.dropbox.boxes import is_submission
from neurocaas.settings import Settings

if TYPE_CHECKING:
    from neurocaas.server.site import Site

CHORE = "dropbox"
POLLS = 30  # of 20 seconds each; then the stack is looked at again, which may have another queue by now


def listen(site: Site) -> None:
    """Pass on what the queue of the site's CloudFormation stack says of its drop-boxes, for ten minutes.

    Nothing on a site without a stack, or without drop-boxes in S3: the sweep finds all there. Raises RemoteFailed.
    """
    document = site.settings.site
    if document.aws is None or not any(url.startswith("s3://") for url in document.dropboxes.values()):
        return
    account = Account(document.aws.region)
    queue = read_stack(account, document.aws.stack).submissions_queue
    for _ in range(POLLS if queue else 0):
        each_message(account, queue, partial(take_hint, site.settings))


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
