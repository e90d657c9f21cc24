"""Pin the composite analyses in analyses/ to the others as they are now: make pins, after any of them was edited."""

from __future__ import annotations

import sys
from pathlib import Path

from neurocaas.blueprint import read_version
from neurocaas.blueprint.pinning import pin

ANALYSES = Path(__file__).resolve().parent.parent / "analyses"


def main() -> int:
    for folder in sorted(path.parent for path in ANALYSES.glob("*/blueprint.json")):
        if read_version(folder).blueprint.pins:
            for pinned in pin(folder, lambda name: read_version(ANALYSES / name).digest).values():
                print(f"{folder.name}: {pinned}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
