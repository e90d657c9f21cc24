"""Server-sent events, as far as a follower needs them (WHATWG HTML, 9.2): the name of each, as it comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event. id: of the newest event that had one, for Last-Event-ID."""

    name: str
    data: str
    id: str


def events(lines: Iterable[str], last_id: str = "") -> Iterator[Event]:
    """The whole events of a stream; one that breaks off in the middle is none."""
    name = "message"
    data: list[str] = []
    for line in lines:
        if not line:
            if data:
                yield Event(name=name, data="\n".join(data), id=last_id)
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id" and "\0" not in value:
            last_id = value
