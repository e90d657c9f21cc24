"""A drop-box in a folder, on a site with a simulated cloud, whose results are really there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurocaas.storage import keys
from neurocaas.storage.drops import open_drops
from support.world import World

if TYPE_CHECKING:
    from neurocaas.server.dropbox.boxes import Boxes
    from neurocaas.server.dropbox.models import Submission
    from neurocaas.server.jobs.models import Job

CONFIG = "components: 4\n"


@dataclass
class Dropped:
    """The box of the analysis `mean`, as the group `lab` and the site see it."""

    world: World
    folder: Path
    wakes: list[str] = field(default_factory=list)
    written: int = 0

    def put(self, key: str, data: bytes | str, *, age_seconds: float = 10) -> None:
        """Write a file as a member of a group does; it is so old on the site's clock."""
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}")
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
        # The site's clock stands still, and that of a disk does not.
        self.written += 1
        at = self.world.clock.now.timestamp() - age_seconds + self.written / 1000
        os.utime(temporary, (at, at))
        temporary.replace(path)  # a new file, as a client's second write is

    def recording(self, key: str, number: int = 0) -> str:
        self.put(key, b"\x93NUMPY" + bytes([number]))
        return key

    def submit(self, key: str = "lab/submissions/1_submit.json", **document: Any) -> None:
        self.put(key, json.dumps(document))

    def ordinary(self, key: str = "lab/submissions/1_submit.json", **changes: Any) -> None:
        """A submission that is right: one recording, a config, a time."""
        self.recording("lab/inputs/a.npy")
        self.put("lab/configs/c.yaml", CONFIG)
        document = {"dataname": "lab/inputs/a.npy", "configname": "lab/configs/c.yaml", "timestamp": "1622548800"}
        self.submit(key, **{name: value for name, value in (document | changes).items() if value is not None})

    def boxes(self, wrap: Callable[[Any], Any] = lambda part: part, **site: Any) -> Boxes:
        from neurocaas.server.dropbox.boxes import Box, Boxes

        document = self.world.settings.site.model_copy(update={"dropboxes": {"mean": self.folder.as_uri()}, **site})
        self.world.settings = self.world.settings.model_copy(update={"site": document})
        box = Box(analysis="mean", drops=wrap(open_drops(self.folder.as_uri())))
        return Boxes(
            site=self.world,  # type: ignore[arg-type]
            boxes=(box,),
            wake=lambda: self.wakes.append("manager"),
            clock=self.world.clock,
        )

    def look(self, boxes: Boxes | None = None) -> int:
        """Take what is new, and answer it."""
        from neurocaas.server.dropbox.mirroring import mirror
        from neurocaas.server.dropbox.sweeping import sweep

        boxes = boxes or self.boxes()
        taken = sweep(boxes)
        mirror(boxes)
        return taken

    def run(self, *, failing: str = "") -> None:
        """Let the job manager and the cloud do all there is to do. failing: a dataset whose workflow fails."""
        manager = self.world.manager()
        manager.turn()
        while self.world.cloud.running:
            attempt = self.world.cloud.running[0]
            document = self.world.cloud.document(attempt)
            failed = document["inputs"][0]["filename"] == failing
            if not failed:
                # What the simulated instance says that it wrote, "ok" in each.
                self.world.store.put(keys.result(document["prefix"], "result.txt"), b"ok")
            self.world.cloud.finish(attempt, reason="WORKFLOW_FAILED" if failed else "", message="It broke." * failed)
            manager.turn(self.world.cloud.events())

    def files(self, below: str = "lab/results") -> list[str]:
        """What lies there, by paths relative to it."""
        root = self.folder / below
        return sorted(str(one.relative_to(root)) for one in root.rglob("*") if one.is_file())

    def read(self, key: str) -> str:
        return (self.folder / key).read_text()

    def certificate(self, name: str = "job__box_1622548800", group: str = "lab") -> str:
        return self.read(f"{group}/results/{name}/logs/certificate.txt")

    def ended(self, name: str = "job__box_1622548800", group: str = "lab") -> bool:
        return (self.folder / f"{group}/results/{name}/process_results/end.txt").is_file()

    @staticmethod
    def jobs() -> list[Job]:
        from neurocaas.server.jobs.models import Job

        return list(Job.objects.order_by("submitted_at"))

    @staticmethod
    def submissions() -> list[Submission]:
        from neurocaas.server.dropbox.models import Submission

        return list(Submission.objects.order_by("id"))


def make_dropped(tmp_path: Path, analysis: Path, **world: Any) -> Dropped:
    from neurocaas.server.jobs.models import Group

    dropped = Dropped(world=World(tmp_path, analysis, **world), folder=tmp_path / "box")
    Group.objects.create(pk="lab", profile={"name": "lab"})
    Group.objects.create(pk="other", profile={"name": "other"})
    return dropped
