"""Which field of a form each sentence of a refusal belongs to."""

from __future__ import annotations

import re
from collections.abc import Collection

FORM = ""  # what belongs to no field
_NAMED = re.compile(r"^(config|sweep|--sweep|input) ?:? ?([^:\s]+?)(?:\[\d+\])?(?::|\.\s|\s)")
_FIELDS = ("data", "minutes", "seed", "save", "points", "config_text", "save_name")


def by_field(message: str, parameters: Collection[str]) -> dict[str, list[str]]:
    """The sentences of a refusal, by the name of the field where they are shown: a parameter's, `data`, `input.NAME`,
    `minutes` and such; FORM for the form as a whole."""
    found: dict[str, list[str]] = {}
    for sentence in message.splitlines():
        found.setdefault(_field(sentence, parameters), []).append(sentence)
    return found


def _field(sentence: str, parameters: Collection[str]) -> str:
    head = sentence.partition(":")[0].strip()
    if head in _FIELDS:
        return "minutes" if head == "save" else head
    match = _NAMED.match(sentence)
    if match and match[1] == "input":
        return f"input.{match[2]}"
    if match:
        name = match[2]
        while name and name not in parameters:
            name = name.rpartition(".")[0]  # config: list[2].x is the fault of `list`
        if name:
            return name
    return FORM
