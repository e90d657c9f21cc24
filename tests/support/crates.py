"""A job of two steps as facts, files and workflows: what a crate is written from, with every odd thing in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocaas.blueprint import Version, read_version
from neurocaas.certificate import SigningKey, seal

PRICE = "standard"
DATASETS = ("mouse 1", "fly #2 100%", "größe?")
RESULTS = {
    "mouse 1-reduce/courses.npy": b"courses of the mouse",
    "mouse 1-reduce/figures/größe 100%.png": b"figure of the mouse",
    "mouse 1-smooth/smooth&<b>.csv": b"smooth courses of the mouse",
    "fly #2 100%-reduce/courses.npy": b"courses of the fly",
    "größe?-reduce/courses.npy": b"courses of the third",
    "größe?-smooth/smooth&<b>.csv": b"smooth courses of the third",
    "sweep/table.csv": b"size,score\n3,0.5\n4,0.75\n",
}


@dataclass(frozen=True)
class Exported:
    """What `write_crate` takes."""

    certificate: dict[str, Any]
    results: Path
    workflows: dict[str, Path]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def two_step_job(folder: Path, **changes: Any) -> Exported:
    """Two steps on three datasets: one stack of the second step failed, and one of the first came from earlier."""
    analyses = {name: analysis(folder / "analyses" / name, name) for name in ("whole", "reduce", "smooth")}
    return exported(folder, job_facts(analyses) | changes, list(analyses.values()))


def one_step_job(folder: Path) -> Exported:
    """As most jobs are: the analysis is its own only step."""
    reduce = analysis(folder / "analyses" / "reduce", "reduce")
    facts = job_facts({"whole": reduce, "reduce": reduce, "smooth": reduce})
    stacks = [one for one in facts["stacks"] if one["step"] == "reduce"]
    changes = {"steps": [step("reduce", reduce)], "stacks": stacks, "sweep": [], "outputs": []}
    return exported(folder, facts | changes, [reduce])


def job_without_stacks(folder: Path) -> Exported:
    """Cancelled before anything was planned, by nobody known."""
    reduce = analysis(folder / "analyses" / "reduce", "reduce")
    facts = job_facts({"whole": reduce, "reduce": reduce, "smooth": reduce})
    ended = {"user": "", "retry_of": None, "started_at": None, "status": "cancelled", "reason": "CANCELLED"}
    changes = {"job": facts["job"] | ended, "steps": [step("reduce", reduce)], "stacks": [], "outputs": []}
    return exported(folder, facts | changes, [reduce])


def exported(folder: Path, facts: dict[str, Any], versions: list[Version]) -> Exported:
    certificate = seal(facts, SigningKey.create(folder / "site.pem"))
    results = folder / "results"
    results.mkdir()
    delivered = [f"{one['folder']}/{output['path']}" for one in facts["stacks"] for output in one["outputs"]]
    for path in [*delivered, *(output["path"] for output in facts["outputs"])]:
        (results / path).parent.mkdir(parents=True, exist_ok=True)
        (results / path).write_bytes(RESULTS[path])
    for one in facts["stacks"]:
        (results / one["folder"]).mkdir(parents=True, exist_ok=True)
        (results / one["folder"] / "log.txt").write_text(f"the log of {one['folder']}\n")
    (results / "certificate.json").write_text(json.dumps(certificate, ensure_ascii=False, indent=2))
    (results / "certificate.txt").write_text("a page for people\n")
    workflows = {version.digest: folder / "analyses" / version.name for version in versions}
    return Exported(certificate=certificate, results=results, workflows=workflows)


def analysis(folder: Path, name: str) -> Version:
    blueprint = {
        "name": name,
        "title": f"The analysis {name}",
        "summary": "An analysis for tests.",
        "paper": {"title": "On tests", "authors": "A. Tester", "doi": f"10.1234/{name}"},
        "environment": {"kind": "python", "python": "3.11", "lock": "requirements.lock"},
        "workflow": {"command": ["bash", "/workflow/work flow.sh"], "files": ["work flow.sh"]},
        "inputs": {"smooth": {"courses": {"title": "Courses", "kinds": [".npy"]}}}.get(
            name, {"movie": {"title": "Movie", "kinds": [".tif"]}}
        ),
        "parameters": {
            "type": "object",
            "properties": {
                "size": {"type": "integer", "default": 3, "description": "A number."},
                "window": {"type": ["array", "null"], "default": None, "description": "Two numbers."},
            },
        },
        "outputs": {
            "smooth": {"smooth": {"kind": "csv", "pattern": "*.csv"}},
            "reduce": {
                "courses": {"kind": "npy", "pattern": "courses.npy", "description": "Time courses."},
                "figures": {"kind": "png", "pattern": "figures", "required": False},
            },
            "whole": {"table": {"kind": "csv", "pattern": "sweep/table.csv", "required": False}},
        }[name],
    }
    folder.mkdir(parents=True)
    (folder / "blueprint.json").write_text(json.dumps(blueprint, indent=1))
    (folder / "requirements.lock").write_text("# nothing\n")
    (folder / "work flow.sh").write_text(f"echo {name}\n")
    return read_version(folder, name)


def job_facts(analyses: dict[str, Version]) -> dict[str, Any]:
    whole = analyses["whole"]
    submitted = [data("movie", f"{name}.tif") for name in DATASETS]
    stacks = []
    for name, movie in zip(DATASETS, submitted, strict=True):
        stacks.append(stack(len(stacks), "reduce", name, [movie | {"from_stacks": []}]))
    for index, name in enumerate(DATASETS):
        courses = RESULTS[f"{name}-reduce/courses.npy"]
        read = data("courses", "courses.npy", courses) | {"from_stacks": [index]}
        stacks.append(stack(len(stacks), "smooth", name, [read]))
    stacks[2] |= {
        "attempts": [],
        "reused_from": {"job": "20261001-aaaa", "stack": 4, "environment": "99" * 32},
        "cost_dollars": "0",
    }
    failed = {"status": "failed", "reason": "OUT_OF_MEMORY", "message": "It used more than 2048 MiB of memory."}
    stacks[4] |= failed | {"attempts": [attempt(1, "INSTANCE_LOST", usage=None), attempt(2, "OUT_OF_MEMORY")]}
    return {
        "job": {
            "id": "20261102-k3x9",
            "group": "local",
            "user": "ada",
            "price": PRICE,
            "bound_dollars": "12",
            "retry_of": "20261101-aaaa",
            "submitted_at": "2026-11-02T09:15:00.000Z",
            "started_at": "2026-11-02T09:15:01.250Z",
            "ended_at": "2026-11-02T09:16:02.000Z",
            "status": "failed",
            "reason": "OUT_OF_MEMORY",
        },
        "site": {"name": "Bench Lab"},
        "analysis": {
            "name": "whole",
            "version": whole.digest,
            "committed": True,
            "label": whole.short,
            "git_commit": "c0ffee" * 6 + "beef",
            "execution_digest": whole.execution_digest,
        },
        "datasets": [{"name": name, "inputs": [one]} for name, one in zip(DATASETS, submitted, strict=True)],
        "config": {"size": 3, "window": None, "reduce": {"size": 3}},
        "sweep": [{"size": 3}, {"size": 4}],
        "seed": 7,
        "timeout_minutes": None,
        "steps": [step(name, analyses[name]) for name in ("reduce", "smooth")],
        "stacks": stacks,
        "outputs": outputs("", "sweep/table.csv"),
        "cost_dollars": "0.060000002",
        "software": {"neurocaas": "0.1.0"},
    }


def step(name: str, version: Version) -> dict[str, Any]:
    return {
        "name": name,
        "analysis": version.name,
        "version": version.digest,
        "label": version.short,
        "execution_digest": version.execution_digest,
        "environment": {"kind": "python", "digest": "56" * 32, "platform": "linux-x86_64"},
    }


def data(name: str, filename: str, content: bytes = b"") -> dict[str, Any]:
    digest = sha256(content or filename.encode())
    return {"name": name, "filename": filename, "sha256": digest, "size_bytes": 1_234_567, "form": "file"}


def outputs(folder: str, only: str = "") -> list[dict[str, Any]]:
    mine = {path.removeprefix(folder): content for path, content in RESULTS.items() if path.startswith(folder + only)}
    return [{"path": path, "size_bytes": len(one), "sha256": sha256(one)} for path, one in mine.items()]


def stack(index: int, step: str, dataset: str, inputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "index": index,
        "step": step,
        "label": "",
        "dataset": dataset,
        "folder": f"{dataset}-{step}",
        "status": "succeeded",
        "reason": "",
        "message": "",
        "inputs": inputs,
        "config": {"size": 3, "window": [1, 2]},
        "seed": 7 + index,
        "attempts": [attempt(1, "")],
        "outputs": outputs(f"{dataset}-{step}/"),
        "metrics": {"score": 0.5 + index},
        "reused_from": None,
        "cost_dollars": "0.01",
    }


def attempt(number: int, reason: str, **changes: Any) -> dict[str, Any]:
    return {
        "number": number,
        "reason": reason,
        "message": "",
        "started_at": f"2026-11-02T09:15:0{number}.250Z",
        "ended_at": f"2026-11-02T09:16:0{number}.750Z",
        "instance": {
            "provider": "local",
            "type": "local-1",
            "price": PRICE,
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
        **changes,
    }
