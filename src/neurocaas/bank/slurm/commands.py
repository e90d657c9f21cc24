"""Slurm's programs: the one place that runs them. Each question is asked once for all tasks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Mapping
from itertools import islice

from neurocaas.bank.slurm.answers import (
    SACCT_FIELDS,
    SINFO_FORMAT,
    SQUEUE_FORMAT,
    Nodes,
    Task,
    TaskState,
    read_sacct,
    read_sinfo,
    read_squeue,
)
from neurocaas.errors import NeurocaasError, Refused, Unavailable

PATIENCE_SECONDS = 30
MOST_ARGUMENTS = 1000
# Of this process's environment they get what says which cluster is meant, and nothing that a job should not see.
PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SLURM_CONF")
SPOKEN = {"SLURM_TIME_FORMAT": "%s"}  # moments as seconds of the epoch, whatever this machine's time zone is
UNHEARD = ("unable to contact", "socket timed out", "connection refused", "zero bytes", "try again", "timed out")


class NotAnswering(NeurocaasError):
    """Slurm's controller can't be reached now; asking again later may succeed."""


class Slurm:
    """The cluster that this machine's Slurm programs speak to, as this user sees it."""

    def __init__(self) -> None:
        self._accounting = True

    def submit(self, options: Collection[str], script: str) -> None:
        """Raises Refused if Slurm won't have it, NotAnswering if it may have or not."""
        _run("sbatch", *options, script=script)

    def tasks(self) -> Mapping[Task, TaskState]:
        """All tasks of ours that Slurm's controller remembers: also those that ended some minutes ago (MinJobAge)."""
        return read_squeue(
            _run(
                *("squeue", "--noheader", "--array", "--states=all"),
                *(f"--user={os.geteuid()}", f"--format={SQUEUE_FORMAT}"),
            )
        )

    def forgotten(self, names: Collection[str]) -> Mapping[Task, TaskState]:
        """What accounting knows of batches that the controller has forgotten; nothing where there is no accounting."""
        if not self._accounting or not names:
            return {}
        try:
            return read_sacct(
                _run(
                    *("sacct", "--noheader", "--allocations", "--parsable2", "--starttime=now-30days"),
                    *(f"--format={SACCT_FIELDS}", f"--name={','.join(sorted(names))}"),
                )
            )
        except Refused:
            self._accounting = False
            return {}

    def nodes(self) -> tuple[Nodes, ...]:
        return read_sinfo(_run("sinfo", "--noheader", "--exact", f"--format={SINFO_FORMAT}"))

    def interrupt(self, ids: Collection[str]) -> None:
        """Send the batch scripts of running tasks the signal TERM. Quiet about those that are gone."""
        self._cancel(["--signal=TERM", "--batch"], ids)

    def cancel(self, ids: Collection[str]) -> None:
        """End tasks, whether they wait or run. Quiet about those that are gone."""
        # Without any filter: with `--state=PENDING`, Slurm 22.05 cancels all tasks of an array that wait, not the one.
        self._cancel([], ids)

    def _cancel(self, options: list[str], ids: Collection[str]) -> None:
        rest = iter(sorted(ids))
        while some := list(islice(rest, MOST_ARGUMENTS)):
            try:
                _run("scancel", "--quiet", *options, *some)
            except Refused:  # one of them is gone, which is what was wanted
                continue


def _run(*command: str, script: str = "") -> str:
    """What the program printed. Raises NotAnswering or Refused with what it complained of, Unavailable without it."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | SPOKEN
    try:
        done = subprocess.run(
            command, input=script, capture_output=True, text=True, env=passed, timeout=PATIENCE_SECONDS, check=False
        )
    except FileNotFoundError:
        raise Unavailable(
            f"{command[0]} is not on PATH; a machine with Slurm's programs, which may submit to the cluster, is right."
        ) from None
    except subprocess.TimeoutExpired:
        raise NotAnswering(f"Slurm did not answer {command[0]} in {PATIENCE_SECONDS} seconds.") from None
    if done.returncode == 0:
        return done.stdout
    said = complaint(done.stderr) or f"{command[0]} ended with exit code {done.returncode}"
    if any(one in said.lower() for one in UNHEARD):
        raise NotAnswering(f"Slurm's controller does not answer: {said}.")
    raise Refused(f"Slurm says: {said}.")


def complaint(said: str) -> str:
    """The last line of what a program complained of, without its name and full stop."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1].partition("error: ")[2].rstrip(".") or lines[-1].rstrip(".") if lines else ""
