"""Changes of Batch jobs as they happen, through EventBridge and SQS. They are hints: the sweep is the truth."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import threading
from typing import Any

from neurocaas.bank.aws.account import Account, told
from neurocaas.bank.aws.batch import attempt_name
from neurocaas.bank.provider import Hint
from neurocaas.errors import NeurocaasError

log = logging.getLogger(__name__)

WAIT_SECONDS = 20  # the longest poll that SQS offers
PAUSE_SECONDS = 30.0  # after a fault that retrying did not mend
CLOSE_SECONDS = 2.0
STATE_CHANGE = "Batch Job State Change"
WORTH_A_LOOK = {"RUNNING": "begun", "SUCCEEDED": "exit", "FAILED": "gone"}


class Events:
    """Hints from the queue. One thread waits for its messages, from `start` to `close`."""

    def __init__(self, account: Account, url: str, *, wait_seconds: int = WAIT_SECONDS) -> None:
        self._account = account
        self._url = url
        self._wait_seconds = wait_seconds
        self._hints: queue.SimpleQueue[Hint] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._signal: int | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._signal = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        # A daemon: nobody waits for a long poll to end when the manager is told to.
        self._thread = threading.Thread(target=self._listen, name="aws-events", daemon=True)
        self._thread.start()

    def take(self) -> list[Hint]:
        """Hints since the last call, without waiting."""
        if self._signal is not None:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._signal)
        hints = []
        with contextlib.suppress(queue.Empty):
            while True:
                hints.append(self._hints.get_nowait())
        return hints

    def filenos(self) -> list[int]:
        return [] if self._signal is None else [self._signal]

    def close(self) -> None:
        self._closed.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
        with self._lock:
            if self._signal is not None:
                os.close(self._signal)
                self._signal = None

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                self._receive()
            except Exception as fault:
                # Without events the site is slower, not wrong; so listening goes on whatever happened.
                log.warning("events could not be read: %s", fault, exc_info=not isinstance(fault, NeurocaasError))
                self._closed.wait(PAUSE_SECONDS)

    def _receive(self) -> None:
        client = self._account.client("sqs")
        with told("read events"):
            answer = client.receive_message(
                QueueUrl=self._url, WaitTimeSeconds=self._wait_seconds, MaxNumberOfMessages=10
            )
        messages = answer.get("Messages", [])
        hints = [hint for one in messages if (hint := read_event(one.get("Body", ""))) is not None]
        self._pass_on(hints)
        if messages:
            entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(messages)]
            with told("delete events"):
                client.delete_message_batch(QueueUrl=self._url, Entries=entries)

    def _pass_on(self, hints: list[Hint]) -> None:
        for hint in hints:
            self._hints.put(hint)
        with self._lock:
            if hints and self._signal is not None:
                os.eventfd_write(self._signal, 1)


def read_event(body: str) -> Hint | None:
    """The hint in a message; None for a message that is none, or not worth a look."""
    try:
        event: Any = json.loads(body)
        if event["detail-type"] != STATE_CHANGE:
            return None
        what = WORTH_A_LOOK.get(event["detail"]["status"])
        attempt = attempt_name(event["detail"]["jobName"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return Hint(attempt=attempt, what=what) if what and attempt else None
