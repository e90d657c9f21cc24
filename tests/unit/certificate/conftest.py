"""A job of two datasets, one of which failed at first and then for good; and the site that signed its certificate."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from neurocaas.certificate import SigningKey, TrustedKeys, seal

VERSION, EXECUTION = "12" * 32, "34" * 32
RESULTS = {
    "mouse 1/components.npy": b"components",
    "mouse 1/figures/größe 100%.png": b"figure",
    "fly/partial.npy": b"part of it",
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def outputs(folder: str) -> list[dict[str, Any]]:
    mine = {path.partition("/")[2]: data for path, data in RESULTS.items() if path.startswith(f"{folder}/")}
    return [{"path": path, "size_bytes": len(data), "sha256": sha256(data)} for path, data in mine.items()]


def data(name: str) -> dict[str, Any]:
    return {
        "name": "recording",
        "filename": name,
        "sha256": sha256(name.encode()),
        "size_bytes": 1_234_567,
        "form": "file",
    }


def attempt(number: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "number": number,
        "reason": reason,
        "message": message,
        "started_at": "2026-11-02T09:15:01.250Z",
        "ended_at": "2026-11-02T09:16:01.750Z",
        "instance": {
            "provider": "local",
            "type": "local-1",
            "price": "standard",
            "vcpus": 1,
            "memory_mib": 2048,
            "gpus": 0,
            "host": {"hostname": "bench", "platform": "Linux 6.1 x86_64", "cpu_model": "AMD EPYC"},
        },
        "exit_code": 1 if reason else 0,
        "sandbox": {"method": "bubblewrap", "identity": "uid 60001", "limits": "cgroup"},
        "usage": {
            "wall_seconds": 60.5,
            "cpu_seconds": 58.25,
            "peak_memory_bytes": 512_000_000,
            "peak_storage_bytes": 1_000,
        },
        "cost_dollars": "0.01",
    }


def stack(index: int, dataset: str, folder: str, **changes: Any) -> dict[str, Any]:
    return {
        "index": index,
        "step": "pca",
        "label": "",
        "dataset": dataset,
        "folder": folder,
        "status": "succeeded",
        "reason": "",
        "message": "",
        "inputs": [
            data(dataset) | {"from_stacks": []},
        ],
        "config": {"components": 10, "tolerance": 1e-6},
        "seed": 7,
        "attempts": [attempt(1, "", "")],
        "outputs": outputs(folder),
        "metrics": {"explained": 0.75},
        "reused_from": None,
        "cost_dollars": "0.01",
        **changes,
    }


def job_facts() -> dict[str, Any]:
    return {
        "job": {
            "id": "20261102-k3x9",
            "group": "local",
            "user": "ada",
            "price": "standard",
            "bound_dollars": "12.50",
            "retry_of": None,
            "submitted_at": "2026-11-02T09:15:00.000Z",
            "started_at": "2026-11-02T09:15:01.250Z",
            "ended_at": "2026-11-02T09:16:02.000Z",
            "status": "failed",
            "reason": "OUT_OF_MEMORY",
        },
        "site": {"name": "Bench Lab"},
        "analysis": {
            "name": "pca",
            "version": VERSION,
            "committed": True,
            "label": f"pca@{VERSION[:12]}",
            "git_commit": "c0ffee" * 6 + "beef",
            "execution_digest": EXECUTION,
        },
        "datasets": [{"name": name, "inputs": [data(name)]} for name in ("mouse 1.tif", "fly.tif")],
        "config": {"components": 10, "tolerance": 1e-6},
        "sweep": [],
        "seed": 7,
        "timeout_minutes": None,
        "steps": [
            {
                "name": "pca",
                "analysis": "pca",
                "version": VERSION,
                "label": f"pca@{VERSION[:12]}",
                "execution_digest": EXECUTION,
                "environment": {"kind": "python", "digest": "56" * 32, "platform": "linux-x86_64"},
            }
        ],
        "outputs": [],
        "stacks": [
            stack(0, "mouse 1.tif", "mouse 1"),
            stack(
                1,
                "fly.tif",
                "fly",
                status="failed",
                reason="OUT_OF_MEMORY",
                message="The workflow used more than 2048 MiB of memory.",
                seed=8,
                attempts=[attempt(1, "INSTANCE_LOST", "It went away."), attempt(2, "OUT_OF_MEMORY", "Too much.")],
                cost_dollars="2E-9",
            ),
        ],
        "cost_dollars": "0.030000002",
        "software": {"neurocaas": "0.1.0"},
    }


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey.create(tmp_path_factory.mktemp("site") / "site.pem")


@pytest.fixture(scope="session")
def trusted(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> TrustedKeys:
    keys = TrustedKeys(tmp_path_factory.mktemp("trusted"))
    keys.add(key.public_path, "Bench Lab")
    return keys


@pytest.fixture
def facts() -> dict[str, Any]:
    return job_facts()


@pytest.fixture
def certificate(facts: dict[str, Any], key: SigningKey) -> dict[str, Any]:
    """As it is after it was written and read."""
    sealed: dict[str, Any] = json.loads(json.dumps(seal(facts, key), ensure_ascii=False, indent=2))
    return sealed


@pytest.fixture
def results(tmp_path: Path, certificate: dict[str, Any]) -> Path:
    """The folder a person fetched, with all that lies in it."""
    folder = tmp_path / "out"
    for path, data in RESULTS.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    for path in ("certificate.json", "certificate.txt", "mouse 1/log.txt", "fly/log.txt"):
        (folder / path).write_text("not a result")
    (folder / "certificate.json").write_text(json.dumps(certificate))
    return folder
