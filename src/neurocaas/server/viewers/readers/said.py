"""How a reader answers: the fields of a preview, and the numbers of its picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from neurocaas.comparison.reading import Source, Unreadable
from neurocaas.server.viewers.sizes import LINE_CHARACTERS


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What of the file is to be shown, as `Selection` says it."""

    dataset: str = ""
    index: int | None = None
    page: int = 0


@dataclass(frozen=True, kw_only=True)
class Said:
    """preview and block: as the models of `previews` have them. numbers: what the block describes."""

    preview: dict[str, Any]
    block: dict[str, Any] | None = None
    numbers: bytes = b""


def source_of(path: Any, kind: str) -> Source:
    return Source(path, "result", kind)


def line(value: Any, limit: int = LINE_CHARACTERS) -> str:
    """On one line, without what a browser or terminal obeys, shortened."""
    text = "".join(one if one.isprintable() else " " for one in str(value)[: 2 * limit])
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def finite(number: Any) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None


def sentence_of(fault: Unreadable) -> str:
    text = line(fault)
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."[:LINE_CHARACTERS]
