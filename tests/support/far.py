"""A site on S3 whose runners are elsewhere: what its manager hands over, and what a runner can do with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from neurocaas.bank.handover import Handovers
from neurocaas.errors import StorageFailed
from neurocaas.runner.arrival import Arrived, arrive
from neurocaas.runner.document import ExitRecord
from neurocaas.settings import Settings, SiteDocument, StorageSettings
from neurocaas.storage import Store, keys, open_store
from support.aws import Aws

if TYPE_CHECKING:
    from system.conftest import Bench

FOREIGN = keys.content_file("other-group", "c1")
INPUT = keys.content_file("lab", "c1")


@dataclass(kw_only=True)
class Clock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now


@dataclass(kw_only=True)
class Far:
    """A site on S3 and what its manager hands over."""

    aws: Aws
    bench: Bench
    settings: Settings
    store: Store
    clock: Clock
    handovers: Handovers

    def document(self, script: str = "true", **changes: Any) -> dict[str, Any]:
        changes = {"workflow": {}, **changes}
        path = self.bench.document(script, store=self.settings.store_url, **changes)
        document: dict[str, Any] = json.loads(path.read_text())
        path.unlink()
        self.store.put(keys.lease(document["prefix"]), json.dumps({"token": document["token"]}).encode())
        return document

    def work(self, document: dict[str, Any]) -> Path:
        """The folder that the manager keeps for the attempt."""
        return self.settings.work / document["attempt"].replace("/", "-")

    def hand_over(self, document: dict[str, Any]) -> str:
        return self.handovers.hand_over(document, self.work(document))

    def run(self, ticket: str) -> subprocess.CompletedProcess[str]:
        """A runner as another machine would start it: with its ticket, and nothing else that is secret."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return subprocess.run(
            [sys.executable, "-m", "neurocaas.runner"],
            env=variables | {"NEUROCAAS_TICKET": ticket},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def record(self, document: dict[str, Any]) -> ExitRecord:
        return ExitRecord.model_validate_json(self.store.get(keys.exit_record(document["prefix"])))

    def log(self, document: dict[str, Any]) -> str:
        entries = self.store.list(keys.log(document["prefix"]))
        return "".join(json.loads(self.store.get(entry.key))["text"] for entry in entries)


@pytest.fixture
def far(as_admin: Aws, own_bench: Bench, tmp_path: Path) -> Far:
    bucket = as_admin.bucket()
    storage = StorageSettings(runner_role=as_admin.runner_role(bucket))
    url = f"s3://{bucket}/site"
    site = SiteDocument(name="far", store=url, storage=storage)
    settings = Settings(root=tmp_path, site=site, database_url="", store_url=url)
    store = open_store(url)
    store.put(FOREIGN, b"another group's")
    store.put(INPUT, b"the group's own")
    clock = Clock(now=datetime.now(UTC))
    return Far(
        aws=as_admin,
        bench=own_bench,
        settings=settings,
        store=store,
        clock=clock,
        handovers=Handovers(settings, clock=clock),
    )


def arrived(far: Far, **changes: Any) -> Arrived:
    given = {"name": "movie", "form": "file", "filename": "m.txt", "key": INPUT, "sha256": "0" * 64, "size_bytes": 15}
    return arrive(far.hand_over(far.document(inputs=[given], **changes)))


def refused(action: Any) -> None:
    """The store says 403: the credentials do not reach so far."""
    with pytest.raises(StorageFailed, match="do not reach so far"):
        action()
