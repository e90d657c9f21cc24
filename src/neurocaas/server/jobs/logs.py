"""What attempts said: their numbered log segments, read in order."""

from __future__ import annotations

import itertools
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


def latest(store: Store, prefix: str, *, after: int = -1) -> Latest | None:
    """The newest segment below an attempt's prefix with a number above `after`; None if there is none.

    Asking for the next is a twelfth of the price of a list on S3, so who knows one already says which.
    """
    if after < 0:
        after = max(numbers(store, prefix), default=0) - 1
        if after < 0:
            return None
    newest: dict[str, Any] = {}
    for _, found in segments(store, prefix, after=after):
        newest = found
    if not newest:
        return None
    return Latest(
        sequence=newest["sequence"], progress=newest.get("progress") or 0.0, message=newest.get("message") or ""
    )


def segments(store: Store, prefix: str, *, after: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, segment) of each with a number above `after`, in order. They count from 1 and none is left out."""
    for number in itertools.count(max(0, after) + 1):
        try:
            yield number, json.loads(store.get(keys.log_segment(prefix, number)))
        except NotFound:
            return


def read(store: Store, prefix: str, *, after: int = -1) -> Iterator[tuple[int, str]]:
    """(number, text) of each segment with a number above `after`, in order."""
    for number, found in segments(store, prefix, after=after):
        yield number, found["text"]


def numbers(store: Store, prefix: str) -> list[int]:
    """The numbers of the segments there are, in order."""
    return [int(one.key.rpartition("/")[2].removesuffix(".json")) for one in store.list(keys.log(prefix))]


def segment(store: Store, prefix: str, number: int) -> dict[str, Any]:
    """One segment: text, time, usage; an empty one if it is gone."""
    try:
        found: dict[str, Any] = json.loads(store.get(keys.log_segment(prefix, number)))
    except NotFound:
        return {"text": ""}
    return found
