"""One job of many stacks on the simulated cloud, from its submission to its certificate, and what that took."""

from __future__ import annotations

import hashlib
import multiprocessing
import re
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil

from benchmarks.scale.simulated_site import (
    GROUP,
    USER,
    SimulatedSite,
    WorkingClock,
    job_manager,
    make_site,
    open_simulated,
)
from neurocaas.bank import Placement
from neurocaas.server.jobs.daemon import SWEEP_SECONDS
from neurocaas.settings import read_settings
from neurocaas.storage import keys, open_store
from neurocaas.testing import SimulatedCloud

PROVISIONING_SECONDS = 45.0
PRICE_PER_HOUR = Decimal("0.4")
MIB = 1024**2


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """minutes: what each dataset takes. capacity: instances at one time; None: as many as are asked for.
    interrupted: the share of attempts whose instance is taken back before they have ended.
    """

    stacks: int
    minutes: float = 0
    capacity: int | None = None
    interrupted: float = 0

    @property
    def seconds(self) -> float:
        return self.minutes * 60

    def interrupted_after(self, attempt: str, _: Placement) -> float | None:
        """The same for the same stack and attempt in every run, spread evenly over the time that an attempt takes."""
        digest = hashlib.sha256(attempt.partition("/")[2].encode()).digest()
        chance, moment = (int.from_bytes(digest[at : at + 8], "big") / 2**64 for at in (0, 8))
        return (PROVISIONING_SECONDS + self.seconds) * moment if chance < self.interrupted else None


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured. CPU: processor time of the manager's turns alone; memory: of the process that has them.

    makespan: on the simulated clock, on which the manager's processor time passes too. ended_once: stacks of which one
    attempt succeeded, and whose results are published.
    """

    stacks: int
    minutes: float
    capacity: int | None
    interrupted: float
    submission_cpu_ms_per_stack: float
    submission_seconds: float
    manager_cpu_ms_per_stack: float
    turns: int
    rss_before_mib: float
    peak_rss_mib: float
    makespan_seconds: float
    cost_dollars: float
    attempts: int
    interruptions: int
    ended_once: int

    @property
    def kib_per_stack(self) -> float:
        return (self.peak_rss_mib - self.rss_before_mib) * 1024 / self.stacks

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"kib_per_stack": self.kib_per_stack}


def measure(scenario: Scenario, folder: Path) -> Figures:
    """Once per process: the database is chosen once, and memory is that of the process."""
    root = folder / "site"
    make_site(root)
    # In a process of its own, as a submission is not the manager's work, nor its memory the manager's.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as submitting:
        submission = submitting.submit(_submit, root, scenario).result()
    clock = WorkingClock()
    cloud = _cloud(root, scenario, clock)
    site = open_simulated(root, cloud)
    rss_before = psutil.Process().memory_info().rss / MIB
    began = clock.now
    turns = list(_drive(site, clock))
    return Figures(
        **asdict(scenario),
        **submission,
        manager_cpu_ms_per_stack=sum(turns) / scenario.stacks * 1000,
        turns=len(turns),
        rss_before_mib=rss_before,
        peak_rss_mib=_peak_rss_mib(),
        **_outcome(site, began),
    )


def _peak_rss_mib() -> float:
    """Of this program alone: `getrusage` counts what its parent had when it was started, too."""
    [peak] = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(peak) / 1024


def _cloud(root: Path, scenario: Scenario, clock: WorkingClock) -> SimulatedCloud:
    return SimulatedCloud(
        store=open_store(read_settings(root).store_url),
        capacity=scenario.capacity,
        price_per_hour=PRICE_PER_HOUR,
        clock=clock,
        provisioning_seconds=PROVISIONING_SECONDS,
        run_seconds=lambda _: scenario.seconds,
        interrupted_after=scenario.interrupted_after,
    )


def _submit(root: Path, scenario: Scenario) -> dict[str, Any]:
    site = open_simulated(root, _cloud(root, scenario, WorkingClock()))
    from neurocaas.server.jobs.submit import Request, submit

    data = root.parent / "data"
    data.mkdir()
    for index in range(scenario.stacks):
        (data / f"recording-{index:05d}.bin").write_bytes(index.to_bytes(8, "big"))
    cpu, wall = time.process_time(), time.perf_counter()
    submit(site, Request(analysis="noop", data=[str(data)], group=GROUP, user=USER))
    return {
        "submission_cpu_ms_per_stack": (time.process_time() - cpu) / scenario.stacks * 1000,
        "submission_seconds": time.perf_counter() - wall,
    }


def _drive(site: SimulatedSite, clock: WorkingClock) -> Iterator[float]:
    """Turn after turn, as the daemon takes them: at hints, when a retry is due, and everything every so often.

    Yields the processor seconds of each.
    """
    manager, cloud = job_manager(site), site.cloud
    yield clock.work(manager.recover)
    sweep_at = clock.now
    while True:
        while (event := cloud.next_event()) is not None and event <= clock.now:
            cloud.step()
        hints = cloud.events()
        due = manager.due is not None and clock.now >= manager.due
        if clock.now >= sweep_at:
            yield clock.work(manager.turn)
            sweep_at = clock.now + timedelta(seconds=SWEEP_SECONDS)
            if not manager.has_work():
                return
        elif hints or due:
            yield clock.work(lambda hints=hints: manager.turn(hints))  # type: ignore[misc]
        else:
            clock.now = min(one for one in (sweep_at, manager.due, cloud.next_event()) if one is not None)


def _outcome(site: SimulatedSite, began: datetime) -> dict[str, Any]:
    from django.db.models import Count, Q

    from neurocaas.server.jobs import ledger
    from neurocaas.server.jobs.models import Attempt, Job, Stack

    job = Job.objects.get()
    assert job.ended_at is not None
    assert ledger.held(job) == 0
    ended = Stack.objects.annotate(successes=Count("attempts", filter=Q(attempts__status="succeeded")))
    once = [
        stack.index
        for stack in ended.filter(status="succeeded", successes=1)
        if site.store.head(keys.stack_manifest(GROUP, job.id, stack.index)) is not None
    ]
    return {
        "makespan_seconds": (job.ended_at - began).total_seconds(),
        "cost_dollars": float(ledger.dollars(ledger.charged(job))),
        "attempts": Attempt.objects.count(),
        "interruptions": Attempt.objects.filter(reason="INTERRUPTED").count(),
        "ended_once": len(once),
    }
