"""The texts that are written into a drop-box, in the form in which the original's readers expect them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurocaas.reasons import REMEDY, Reason
from neurocaas.server.dropbox.models import Submission
from neurocaas.server.jobs.models import Attempt, Job, Stack
from neurocaas.server.jobs.status import ENDED, Status
from neurocaas.server.jobs.view import timestamp

LOG_CHARACTERS = 64 * 1024
_LINE = "=" * 100
_NAME_BYTES = 150

INITIALIZING = "INITIALIZING"
IN_PROGRESS = "IN PROGRESS"
SUCCESS = "SUCCESS"
FAILED = "FAILED"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One dataset of a job: what the submission calls it, its stacks, and their newest attempts by stack."""

    shown: str
    stacks: Sequence[Stack]
    attempts: Mapping[int, Attempt]

    @property
    def ended(self) -> bool:
        return all(one.status in ENDED for one in self.stacks)

    @property
    def status(self) -> str:
        """In the original's words."""
        if self.ended:
            return SUCCESS if all(one.status == Status.SUCCEEDED for one in self.stacks) else FAILED
        begun = any(one.status in {Status.RUNNING, *ENDED} for one in self.stacks)
        return IN_PROGRESS if begun else INITIALIZING

    @property
    def telling(self) -> Stack:
        """The stack whose state is the dataset's: one that failed, else one that has not ended, else the last."""
        bad = [one for one in self.stacks if one.status in {Status.FAILED, Status.CANCELLED}]
        going = [one for one in self.stacks if one.status not in ENDED]
        return next(iter([*bad, *going]), self.stacks[-1])

    @property
    def attempt(self) -> Attempt | None:
        return self.attempts.get(self.telling.pk)

    @property
    def why(self) -> str:
        """Reason, message and remedy of a dataset that failed; "" for one that did not."""
        one = self.telling
        if self.status != FAILED:
            return ""
        return " ".join(filter(None, (one.reason, one.message, REMEDY[Reason(one.reason)])))


def status_names(shown: Sequence[str]) -> list[str]:
    """The name of each dataset's status file; by a number where two are of one name (the original's collide)."""
    names: list[str] = []
    for one in shown:
        base = one.rstrip("/").rpartition("/")[2].encode()[:_NAME_BYTES].decode(errors="ignore")
        stem, dot, ending = base.rpartition(".") if "." in base.strip(".") else (base, "", "")
        name, number = base, 1
        while name in names:
            number += 1
            name = f"{stem}-{number}{dot}{ending}"
        names.append(name)
    return [f"DATASET_NAME:{name}_STATUS.txt" for name in names]


def status_file(progress: Progress, command: str, log: str) -> str:
    """The status file of one dataset. log: what it printed so far, or the end of it."""
    attempt, usage = progress.attempt, _usage(progress.attempt)
    document = {
        "status": progress.status,
        "reason": progress.why,
        "stdout": log,
        "stderr": "",  # the two are one stream here
        "input": progress.shown,
        "instance": f"{attempt.provider} {attempt.instance_type}" if attempt else "",
        "command": command,
        "memory_usage": usage.get("peak_memory_bytes"),
        "cpu_usage": usage.get("cpu_seconds"),
        "job_start": timestamp(attempt.started_at) if attempt else None,
        "job_finish": timestamp(progress.telling.ended_at) if progress.ended else None,
    }
    return json.dumps(document, ensure_ascii=False, indent=1)


def certificate(submission: Submission, job: Job, datasets: Sequence[Progress], command: str) -> str:
    """The live block and the setup log of a job."""
    live = [_live(one, command) for one in datasets]
    asked = submission.asked
    hardware = sorted({stack.instance_type for one in datasets for stack in one.stacks})
    wished = f" ({asked['instance_type']} was asked for; the blueprint decides)" if asked.get("instance_type") else ""
    log = [
        *_head(submission),
        f"ANALYSIS VERSION ID: {job.git_commit or job.version} ({job.label})",
        f"JOB ID: {job.id}",
        "[Job Manager] STEP 1/4 (Initialization): DONE. The submission was read.",
        f"[Job Manager] STEP 2/4 (Validation): DONE. {len(datasets)} dataset(s), config and cost were found right.",
        f"[Job Manager] STEP 3/4 (Environment Setup): {_setup(job)} Instance type: {', '.join(hardware)}{wished}.",
        f"[Job Manager] STEP 4/4 (Processing): {_processing(job, datasets)}",
    ]
    return "\n".join([*live, _LINE, *log, ""])


def refusal(submission: Submission) -> str:
    """The certificate of a submission that was refused: why, a line for each thing that is not right."""
    log = [
        *_head(submission),
        "[Job Manager] STEP 1/4 (Initialization): DONE. The submission was looked at.",
        "[Job Manager] STEP 2/4 (Validation): FAILED. It is refused:",
        *(f"    {line}" for line in submission.message.splitlines()),
        "[Job Manager] Nothing was started, and nothing is charged.",
    ]
    return "\n".join([_LINE, *log, ""])


def update(datasets: Sequence[Progress], config: Mapping[str, Any]) -> str:
    """The marker of finished datasets, with a copy of the config."""
    lines = [f"{one.shown}: {one.status}" for one in datasets if one.ended]
    return "\n".join([*lines, _LINE, json.dumps(dict(config), ensure_ascii=False, indent=1, sort_keys=True), ""])


def end(submission: Submission) -> str:
    """The marker that nothing follows."""
    job = submission.job
    return f"{submission.name}: {'REFUSED' if job is None else job.status.upper()}\n"


def _head(submission: Submission) -> list[str]:
    return [
        f"REQUEST START TIME: {timestamp(submission.taken_at)}",
        f"ANALYSIS: {submission.analysis}",
        f"GROUP: {submission.group}",
        f"JOB NAME: {submission.name}",
    ]


def _live(one: Progress, command: str) -> str:
    usage = _usage(one.attempt)
    since = timestamp(one.telling.ended_at if one.ended else one.telling.started_at) or "-"
    cpu = f"{usage['cpu_seconds']} s" if "cpu_seconds" in usage else "-"
    line = (
        f"DATANAME: {one.shown} | STATUS: {one.status} | TIME: {since} | "
        f"LAST COMMAND: {command if one.attempt else '-'} | CPU_USAGE: {cpu}"
    )
    return f"{line}\n    {one.why}" if one.why else line


def _setup(job: Job) -> str:
    return "WAITING." if job.started_at is None and job.status not in ENDED else "DONE."


def _processing(job: Job, datasets: Sequence[Progress]) -> str:
    done = sum(one.ended for one in datasets)
    if job.status not in ENDED:
        return f"{done} of {len(datasets)} dataset(s) ended."
    good = sum(one.status == SUCCESS for one in datasets)
    return f"DONE. {good} of {len(datasets)} dataset(s) succeeded; the job {job.status}."


def _usage(attempt: Attempt | None) -> Mapping[str, Any]:
    return (attempt.exit_record or {}).get("usage") or {} if attempt else {}
