"""Pin the parts of a composite analysis to versions: the one change that a tool makes to a blueprint."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from neurocaas.blueprint.version import BLUEPRINT_FILE
from neurocaas.documents import read_json
from neurocaas.errors import Refused

_VALUE = r'([a-z][a-z0-9-]{0,62})(?:@[0-9a-f]{64})?(")'
_PART = re.compile(r'("analysis"\s*:\s*")' + _VALUE)
_LISTED = re.compile(r'("[a-z][a-z0-9-]*"\s*:\s*")' + _VALUE)
_LIST = re.compile(r'"analyses"\s*:\s*\{[^}]*\}')
_PREVIEW = re.compile(r'("preview"\s*:\s*")' + _VALUE)


def pin(folder: Path, digest_of: Callable[[str], str]) -> dict[str, str]:
    """Write into the blueprint in `folder`, for every analysis that its protocol or its set-up page's preview names,
    that version's digest.

    digest_of: the digest of the version of an analysis that is meant. Only the pins change in the file. Returns the
    pins by analysis. Raises Refused if the blueprint names none.
    """
    path = folder / BLUEPRINT_FILE
    document = read_json(path)
    protocol = document.get("protocol", {}) if isinstance(document, dict) else {}
    preview = _preview(document, protocol)
    names = sorted({one.partition("@")[0] for one in (*_named(protocol), *preview)})
    if not names:
        raise Refused(f"{path}: its protocol names no other analysis; a chain or an ensemble does.")
    pins = {name: f"{name}@{digest_of(name)}" for name in names}

    def pinned(match: re.Match[str]) -> str:
        return f"{match[1]}{pins[match[2]]}{match[3]}" if match[2] in pins else match[0]

    changed = path.read_text(encoding="utf-8")
    if protocol:
        start = changed.index('"protocol"')
        protocol_text = _LIST.sub(lambda match: _LISTED.sub(pinned, match[0]), changed[start:])
        changed = changed[:start] + _PART.sub(pinned, protocol_text)
    if preview:
        changed = _PREVIEW.sub(pinned, changed)
    temporary = path.with_suffix(".new")
    temporary.write_text(changed, encoding="utf-8")
    json.loads(changed)
    temporary.replace(path)
    return pins


def _preview(document: object, protocol: object) -> list[str]:
    """The analysis that the set-up page's preview names, unless that is a step."""
    found: object = document
    for key in ("pages", "setup", "preview"):
        found = found.get(key) if isinstance(found, dict) else None
    composite = isinstance(protocol, dict) and protocol.get("kind") in {"chain", "ensemble"}
    return [found] if isinstance(found, str) and ("@" in found or not composite) else []


def _named(protocol: object) -> list[str]:
    """Every analysis that a protocol names, wherever in it."""
    if isinstance(protocol, list):
        return [name for one in protocol for name in _named(one)]
    if not isinstance(protocol, dict):
        return []
    named = [one for key, one in protocol.items() if key == "analysis" and isinstance(one, str)]
    named += [one for one in protocol.get("analyses", {}).values() if isinstance(one, str)]
    return named + [name for one in protocol.values() for name in _named(one)]
