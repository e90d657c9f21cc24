"""A queue of EventBridge's messages, read by a process that has nothing else to wait for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from neurocaas.bank.aws.account import Account, told
from neurocaas.bank.aws.events import WAIT_SECONDS


def each_message(
    account: Account, queue_url: str, handle: Callable[[dict[str, Any]], object], *, wait_seconds: int = WAIT_SECONDS
) -> int:
    """Wait once for messages, and handle each before it is deleted. Returns how many there were.

    What is no JSON object is deleted unread. Raises RemoteFailed.
    """
    client = account.client("sqs")
    with told("read messages"):
        answer = client.receive_message(QueueUrl=queue_url, WaitTimeSeconds=wait_seconds, MaxNumberOfMessages=10)
    messages = answer.get("Messages", [])
    for one in messages:
        if (event := _event(one.get("Body", ""))) is not None:
            handle(event)
    if messages:
        entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(messages)]
        with told("delete messages"):
            client.delete_message_batch(QueueUrl=queue_url, Entries=entries)
    return len(messages)


def _event(body: str) -> dict[str, Any] | None:
    try:
        event = json.loads(body)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
