"""Configurations as rows that people can compare."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

MOST_ROWS, VALUE_CHARACTERS = 500, 400


def flat(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each parameter by its path, as `model.layers`, with its value as JSON writes it; bounded in number and length."""
    found: list[tuple[str, str]] = []
    for name, value in _leaves(config, ""):
        if len(found) == MOST_ROWS:
            break
        text = json.dumps(value, ensure_ascii=False)
        found.append((name, text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}…"))
    return found


def _leaves(value: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, f"{above}{name}.")
        else:
            yield f"{above}{name}", inner
