"""Processes are killed at random moments; every stack still ends exactly once, whole or absent, and nothing runs on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import time
from pathlib import Path

from support.sites import TestSite, kill, until

DATASETS = 40
KILLS = 20
SEED = 20261123
SCRIPT = """
sleep 0.2
sha256sum < "$NEUROCAAS_INPUT_DATA" > "$NEUROCAAS_RESULTS/first.txt"
sleep 0.2
sha256sum < "$NEUROCAAS_INPUT_DATA" > "$NEUROCAAS_RESULTS/second.txt"
"""
OUTPUTS = {
    "first": {"kind": "txt", "pattern": "first.txt"},
    "second": {"kind": "txt", "pattern": "second.txt"},
}


def _victims(site: TestSite, what: str) -> list[int]:
    """The processes to kill: of the manager, of a runner, of a workflow, or all of them."""
    if what == "manager":
        return [pid] if (pid := site.manager_pid()) else []
    if what == "everything":
        return list(site.processes())
    runners = []
    for one in (site.root / ".neurocaas" / "work").glob("*/runner.json"):
        with contextlib.suppress(FileNotFoundError):  # its stack has ended meanwhile
            runners.append(json.loads(one.read_text())["pid"])
    if what == "runner":
        return runners[:1]
    return [child for runner in runners for child in _workflows(runner)][:1]


def _workflows(runner: int) -> list[int]:
    """The workflow's own processes below a runner: what runs `sleep`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
                parents = _ancestors(int(entry.name))
            except (OSError, ValueError, IndexError):
                continue
            if words.startswith(b"sleep") and runner in parents:
                found.append(int(entry.name))
    return found


def _ancestors(pid: int) -> set[int]:
    ancestors: set[int] = set()
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        ancestors.add(pid)
    return ancestors


def test_killed_at_random_moments_every_stack_ends_once_and_nothing_runs_on(site: TestSite) -> None:
    site.analysis("pair", SCRIPT, outputs=OUTPUTS)
    chance = random.Random(SEED)
    job = site("submit", "pair", *site.data(DATASETS)).out.strip()
    until(lambda: any(one["status"] == "running" for one in site("show", job, "--json").json["stacks"]))
    killed: dict[str, int] = {}
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.0, 0.5))
        what = chance.choice(["manager", "runner", "workflow", "everything"])
        victims = _victims(site, what)
        for pid in victims:
            kill(pid)
        killed[what] = killed.get(what, 0) + bool(victims)
        site("manager", "start")
    described = site.wait(job, 240)
    print(f"killed: {killed}; attempts: {sum(len(one['attempts']) for one in described['stacks'])}")
    assert len(killed) == 4
    for index, stack in enumerate(described["stacks"]):
        succeeded = [one for one in stack["attempts"] if one["status"] == "succeeded"]
        if stack["status"] == "succeeded":
            assert len(succeeded) == 1
        else:  # only a workflow that was killed itself fails: its exit decides, and it is not tried again
            assert (stack["status"], stack["reason"], succeeded) == ("failed", "WORKFLOW_FAILED", [])
            assert "signal 9" in stack["message"]
        assert all(one["status"] in {"succeeded", "failed"} for one in stack["attempts"]), index
    _results_are_whole_or_absent(site, job, described["stacks"])
    site("manager", "stop")
    until(lambda: site.processes() == {})


def _results_are_whole_or_absent(site: TestSite, job: str, stacks: list[dict[str, object]]) -> None:
    out = site.folder / "out"
    site("results", job, "--out", out)
    site("verify", out / "certificate.json", out)
    for index, stack in enumerate(stacks):
        expected = hashlib.sha256(f"dataset {index}\n".encode()).hexdigest() + "  -\n"
        folder = out / f"d{index:03d}"
        for name in ("first.txt", "second.txt"):
            if stack["status"] == "succeeded":
                assert (folder / name).read_text() == expected
            else:
                assert not (folder / name).exists()
