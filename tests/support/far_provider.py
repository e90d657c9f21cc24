"""A provider for tests: runners that share nothing with the site but its store. Each gets a ticket, and no credentials.

They are processes of this machine with an environment of their own. `installed` makes it found by entry point.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from decimal import Decimal
from pathlib import Path

from neurocaas.bank import Hint, InstanceType, Launch, Placement, State
from neurocaas.bank.handover import Handovers
from neurocaas.bank.provider import Carrier, Instance
from neurocaas.blueprint import Need
from neurocaas.runner.runner import start_ticks
from neurocaas.settings import Settings

NAME = "far"
WORKFLOW_UID = 60002


def installed(folder: Path) -> dict[str, str]:
    """The variables of a process that finds this provider as if its package were installed."""
    package = folder / "far-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: far\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(f"[neurocaas.providers]\n{NAME} = support.far_provider:FarProvider\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[1])])}


class FarProvider:
    """Keeps the instances' folders in `elsewhere`, beside the site's folder."""

    name = NAME
    carrier = Carrier.ARCHIVE

    def __init__(self, settings: Settings) -> None:
        self._elsewhere = settings.root.parent / "elsewhere"
        self._handovers = Handovers(settings)
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def repository(self) -> str:
        return ""

    def instance_types(self) -> Sequence[InstanceType]:
        return [
            InstanceType(
                name="far", vcpus=4, memory_mib=4096, gpus=0, price_per_hour=Decimal(0), provider=NAME, site_name=True
            )
        ]

    def at_once(self, need: Need) -> int | None:
        return 2

    def shortage(self, need: Need, placement: Placement) -> str:
        alive = [one for one in self._running.values() if one.poll() is None]
        return "Two run already." if len(alive) >= 2 else ""

    def start(self) -> None:
        pass

    def launch(self, launch: Launch) -> str:
        self._elsewhere.mkdir(mode=0o755, exist_ok=True)
        document = dict(launch.document) | {
            "work": str(self._elsewhere / launch.work.name),
            "shelf": str(self._elsewhere / "shelf"),
            "uid": WORKFLOW_UID if os.geteuid() == 0 else None,
        }
        ticket = self._handovers.hand_over(document, launch.work)
        with (self._elsewhere / f"{launch.work.name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "neurocaas.runner"],
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "NEUROCAAS_TICKET": ticket},
                cwd=self._elsewhere,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running[process.pid] = process
        handle = json.dumps({"pid": process.pid, "start_ticks": start_ticks(process.pid)})
        (launch.work / "far.json").write_text(handle)
        return handle

    def find(self, attempt: str, work: Path) -> str | None:
        with contextlib.suppress(OSError):
            return (work / "far.json").read_text()
        return None

    def adopt(self, handles: Collection[str]) -> None:
        pass

    def sweep(self, handles: Collection[str]) -> dict[str, State]:
        self._handovers.renew()
        return {handle: State.RUNNING if self._pid(handle) else State.GONE for handle in handles}

    def why(self, handle: str) -> str:
        return ""

    def interrupt(self, handle: str) -> None:
        self._signal(handle, signal.SIGTERM)

    def release(self, handle: str) -> None:
        self._signal(handle, signal.SIGKILL)

    def instances(self) -> Sequence[Instance]:
        return []

    def events(self) -> list[Hint]:
        return []

    def filenos(self) -> list[int]:
        return []

    def close(self) -> None:
        pass

    def _signal(self, handle: str, number: signal.Signals) -> None:
        if pid := self._pid(handle):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _pid(self, handle: str) -> int | None:
        """The runner's process, if it lives."""
        said = json.loads(handle)
        if (own := self._running.get(said["pid"])) is not None and own.poll() is not None:
            return None
        with contextlib.suppress(OSError):
            if start_ticks(said["pid"]) == said["start_ticks"]:
                return int(said["pid"])
        return None
