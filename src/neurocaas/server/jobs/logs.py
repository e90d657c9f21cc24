"""What attempts said: their numbered log segments, read in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from neurocaas.errors import NotFound
from neurocaas.storage import Store, keys


@dataclass(frozen=True, kw_only=True)
class Latest:
    """The newest segment of an attempt: its number, progress from 0 to 1, and the workflow's one-line message."""

    sequence: int
    progress: float
    message: str


def latest(store: Store, prefix: str) -> Latest | None:
    """The newest segment below an attempt's prefix; None before the first."""
    key = ""
    for entry in store.list(keys.log(prefix)):
        key = entry.key
    if not key:
        return None
    try:
        segment = json.loads(store.get(key))
    except NotFound:  # the runner dropped it between the two calls: it keeps the head and the tail only
        return None
    return Latest(
        sequence=segment["sequence"], progress=segment.get("progress") or 0.0, message=segment.get("message") or ""
    )


def read(store: Store, prefix: str, *, after: int = -1) -> Iterator[tuple[int, str]]:
    """(number, text) of each segment with a number above `after`, in order."""
    for entry in store.list(keys.log(prefix)):
        number = int(entry.key.rpartition("/")[2].removesuffix(".json"))
        if number <= after:
            continue
        try:
            yield number, json.loads(store.get(entry.key))["text"]
        except NotFound:
            continue


def numbers(store: Store, prefix: str) -> list[int]:
    """The numbers of the segments there are, in order."""
    return [int(one.key.rpartition("/")[2].removesuffix(".json")) for one in store.list(keys.log(prefix))]


def segment(store: Store, prefix: str, number: int) -> dict[str, Any]:
    """One segment: text, time, usage; an empty one where the runner has dropped it since."""
    try:
        found: dict[str, Any] = json.loads(store.get(keys.log_segment(prefix, number)))
    except NotFound:
        return {"text": ""}
    return found
