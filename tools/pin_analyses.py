"""Pin the composite analyses in analyses/ to the others as they are now: make pins, after any of them was edited."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from neurocaas.blueprint import read_version
from neurocaas.blueprint.pinning import pin

ANALYSES = Path(__file__).resolve().parent.parent / "analyses"


def main() -> int:
    told: list[str] = []
    while (now := list(_pinned())) != told:  # what was pinned has another digest, which others may name
        told = now
    print(*told, sep="\n")
    return 0


def _pinned() -> Iterator[str]:
    for folder in sorted(path.parent for path in ANALYSES.glob("*/blueprint.json")):
        blueprint = read_version(folder).blueprint
        if blueprint.pins or blueprint.preview_pin:
            for one in pin(folder, lambda name: read_version(ANALYSES / name).digest).values():
                yield f"{folder.name}: {one}"


if __name__ == "__main__":
    sys.exit(main())
