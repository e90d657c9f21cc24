"""Compare two files in a process of their own, so that a file which crashes its library ends only that process."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from neurocaas.comparison.kinds import compare_here
from neurocaas.comparison.reading import AT_ONCE_BYTES, Source
from neurocaas.comparison.verdict import Comparison, Sameness, different

# What a damaged file may make its library ask for; beyond it the library is told that there is no more.
MEMORY_BYTES = 16 * AT_ONCE_BYTES
# A damaged file can send its library round for ever. No whole file of that size takes this long.
CPU_SECONDS = 120
BYTES_PER_CPU_SECOND = 256 * 1024
ROLES = ("expected", "found")


def compare_apart(expected: Source, found: Source) -> Comparison:
    """As `compare_here`. A file that crashes its library is different, and the detail says so."""
    # -P: nothing that lies in the working directory is imported.
    command = [sys.executable, "-P", "-c", f"from {__name__} import main; main()"]
    paths = [os.path.abspath(source.path) for source in (expected, found)]  # noqa: PTH100  links stay links
    answer = subprocess.run([*command, expected.kind, *paths], capture_output=True, check=False)
    try:
        said = json.loads(answer.stdout)
    except ValueError:
        return different(f"one of the files can't be read as {found.kind}: {_how_it_ended(answer.returncode)}")
    return Comparison(verdict=Sameness(said["verdict"]), detail=said["detail"], largest=said["largest"])


def _how_it_ended(returncode: int) -> str:
    if returncode == -signal.SIGXCPU:
        return "reading it took longer than any file of its size should"
    how = signal.Signals(-returncode).name if returncode < 0 else f"exit code {returncode}"
    return f"reading it ended its process ({how})"


def main() -> None:
    """Compare the two files that are named on the command line after their kind; print the comparison as JSON."""
    kind, *paths = sys.argv[1:]
    seconds = CPU_SECONDS + sum(Path(path).stat().st_size for path in paths) // BYTES_PER_CPU_SECOND
    for limit, most in (
        (resource.RLIMIT_DATA, MEMORY_BYTES),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    # Libraries print, and only the answer may come out where it is expected.
    with os.fdopen(os.dup(1), "w") as answer:
        os.dup2(2, 1)
        expected, found = (Source(Path(path), role, kind) for path, role in zip(paths, ROLES, strict=True))
        comparison = compare_here(expected, found)
        json.dump({name: getattr(comparison, name) for name in ("verdict", "detail", "largest")}, answer)
