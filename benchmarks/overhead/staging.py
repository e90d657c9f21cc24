"""How fast a large dataset reaches its workflow on local storage, and how fast it is digested."""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.overhead.neurocaas_run import Site
from neurocaas.storage import digest_file

REPETITIONS = 5
SMALL_BYTES = 1_000_000
RUNS = itertools.count(1)


def staging_report(site: Site, work: Path, large_gb: float) -> str:
    """Jobs that do not read their dataset, over a small and a large one: they differ by the staging alone."""
    small, large = sparse_file(work / "small.bin", SMALL_BYTES), sparse_file(work / "large.bin", int(large_gb * 1e9))
    site.start_manager()
    seconds_to_look(site, small, work)
    first = seconds_to_look(site, large, work)
    pairs = [(seconds_to_look(site, small, work), seconds_to_look(site, large, work)) for _ in range(REPETITIONS)]
    of_small, of_large = (statistics.median(column) for column in zip(*pairs, strict=True))
    digest_seconds = seconds_to_digest(large)
    large.unlink()
    speed = large_gb * 1e9 / digest_seconds / 1e6
    return "\n".join(
        [
            f"Staging {large_gb:g} GB (sparse, local storage), by jobs that do not read it; medians of {REPETITIONS}.",
            f"  job over {SMALL_BYTES / 1e6:g} MB            {of_small:7.2f} s",
            f"  job over {large_gb:g} GB, first time {first:7.2f} s  (digests it)",
            f"  job over {large_gb:g} GB, again      {of_large:7.2f} s  (digest known)",
            f"  staging, the difference   {of_large - of_small:7.2f} s",
            f"Digest (SHA-256, one core): {speed:.0f} MB/s",
        ]
    )


def sparse_file(path: Path, size_bytes: int) -> Path:
    """A file of zeros that takes no room: the disk has no part in what is measured."""
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return path


def seconds_to_look(site: Site, dataset: Path, work: Path) -> float:
    """Wall seconds of one job; its parameter is new each time, so that no earlier result can serve."""
    run = next(RUNS)
    command = site.command("run", "look", str(dataset), "--set", f"run={run}", "--out", str(work / f"look-{run}"))
    started = time.perf_counter()
    answer = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if answer.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with exit code {answer.returncode}:\n{answer.stdout}{answer.stderr}")
    return seconds


def seconds_to_digest(path: Path) -> float:
    started = time.perf_counter()
    digest_file(path)
    return time.perf_counter() - started
