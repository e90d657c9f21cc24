"""Run every contender over 1, 32 and 256 datasets in turn and print what each adds (`make bench`).

Figures are printed and written to benchmarks/results/; none is judged. Only wrong results end the measurement.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.overhead.contenders import AT_ONCE, Bare, Contender, Cwltool, Snakemake, pin_to_two_cores
from benchmarks.overhead.neurocaas_run import Platform, Site
from benchmarks.overhead.processor_time import adopt_orphans, processor_seconds
from benchmarks.overhead.staging import staging_report

RESULTS = Path(__file__).parents[1] / "results"
DATASET_BYTES = 1_000_000
COUNTS = (1, 32, 256)


class Figure(NamedTuple):
    """One run of one contender over `count` datasets."""

    contender: str
    datasets: int
    repetition: int
    wall_seconds: float
    cpu_seconds: float


def main() -> None:
    options = parse_options()
    pin_to_two_cores()
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="neurocaas-bench-", dir=options.folder) as folder:
        work = Path(folder)
        contenders: list[Contender] = [Bare(), Snakemake(options.peers), Cwltool(options.peers)]
        site = None
        if not options.peers_only:
            site = Site(work / "site")
            contenders += [Platform(site, warm=False), Platform(site, warm=True)]
        try:
            figures = list(measure_all(contenders, options.counts, options.repetitions, work))
            report = table(figures, [contender.name for contender in contenders])
            if site is not None:
                report += "\n\n" + staging_report(site, work, options.staged_gb)
        finally:
            if site is not None:
                site.stop_manager()
    print(report)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "overhead.txt").write_text(report + "\n")
    (RESULTS / "overhead.json").write_text(json.dumps([figure._asdict() for figure in figures], indent=2) + "\n")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.overhead", description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="folder of the programs snakemake and cwltool")
    parser.add_argument("--peers-only", action="store_true", help="leave the platform itself out")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="numbers of datasets")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--staged-gb", type=float, default=10.0, help="size of the dataset whose staging is timed")
    parser.add_argument("--folder", type=Path, help="where the datasets are written (default: the temporary folder)")
    options = parser.parse_args()
    options.peers = options.peers.resolve()
    return options


def measure_all(contenders: list[Contender], counts: list[int], repetitions: int, work: Path) -> Iterator[Figure]:
    """Interleaved, so that what else the machine does falls on all alike; each repetition begins with another one."""
    for repetition in range(repetitions):
        first = repetition % len(contenders)
        for count in counts:
            for contender in contenders[first:] + contenders[:first]:
                figure = measure(contender, count, repetition, work)
                print(
                    f"{figure.contender:>15}  {count:4d} datasets  {figure.wall_seconds:7.2f} s",
                    file=sys.stderr,
                    flush=True,
                )
                yield figure


def measure(contender: Contender, count: int, repetition: int, work: Path) -> Figure:
    """New datasets every time, so that nobody can hand out a result it already has."""
    folder = work / "run"
    folder.mkdir()
    datasets, expected = write_datasets(folder / "datasets", count)
    contender.make_ready()
    command = contender.command(datasets, folder)
    os.sync()  # otherwise the datasets' way to the disk falls into somebody's time
    with (folder / "output").open("w+") as output:
        cpu_before = processor_seconds()
        started = time.perf_counter()
        answer = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
        )
        wall_seconds = time.perf_counter() - started
        time.sleep(0.3)  # what a daemon does right after the job counts as the job's
        cpu_seconds = processor_seconds() - cpu_before
        if answer.returncode != 0 or sorted(contender.digests(folder)) != sorted(expected):
            output.seek(0)
            sys.exit(f"{contender.name}: wrong results, exit code {answer.returncode}:\n{output.read()[-4000:]}")
    shutil.rmtree(folder)
    return Figure(contender.name, count, repetition, wall_seconds, cpu_seconds)


def write_datasets(folder: Path, count: int) -> tuple[list[Path], list[str]]:
    """(files, their SHA-256) of new random bytes."""
    folder.mkdir()
    datasets, digests = [], []
    for number in range(count):
        data = os.urandom(DATASET_BYTES)
        datasets.append(folder / f"dataset-{number:03d}.bin")
        datasets[-1].write_bytes(data)
        digests.append(hashlib.sha256(data).hexdigest())
    return datasets, digests


def table(figures: list[Figure], names: list[str]) -> str:
    """Medians over the repetitions: seconds, how many times xargs' seconds, CPU milliseconds added per dataset."""
    counts = sorted({figure.datasets for figure in figures})
    repetitions = 1 + max(figure.repetition for figure in figures)

    def medians(name: str, count: int) -> tuple[float, float]:
        fitting = [figure for figure in figures if (figure.contender, figure.datasets) == (name, count)]
        return (
            statistics.median(figure.wall_seconds for figure in fitting),
            statistics.median(figure.cpu_seconds for figure in fitting),
        )

    lines = [
        f"Datasets of {DATASET_BYTES / 1e6:g} MB, one script hashes each; {AT_ONCE} at once; medians of {repetitions}.",
        "Each cell: wall seconds (times xargs; seconds more than xargs); CPU milliseconds added per dataset.",
        "",
        " " * 16 + "".join(f"{f'{count} datasets':>40}" for count in counts),
    ]
    for name in names:
        cells = []
        for count in counts:
            (wall, cpu), (bare_wall, bare_cpu) = medians(name, count), medians(names[0], count)
            added_ms = (cpu - bare_cpu) / count * 1000
            cells.append(f"{wall:.2f} ({wall / bare_wall:.2f}x; {wall - bare_wall:+.2f} s); {added_ms:+.1f} ms")
        lines.append(f"{name:<16}" + "".join(f"{cell:>40}" for cell in cells))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
