"""From rows to files in a drop-box: written when they change, in an order whose last file says that nothing follows.

Everything may be written again, after a death at any line: the rows say what is to be there, and `end.txt` comes last.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.db.models import Count, QuerySet

from neurocaas.errors import NeurocaasError, NotFound, Refused
from neurocaas.server.dropbox import wording
from neurocaas.server.dropbox.boxes import Box, Boxes, folder_of, own_place
from neurocaas.server.dropbox.finding import result_place
from neurocaas.server.dropbox.models import Arrival, Submission
from neurocaas.server.dropbox.taking import PATIENCE
from neurocaas.server.dropbox.wording import Progress
from neurocaas.server.jobs import results
from neurocaas.server.jobs.deliverables import Deliverable, deliverables, job_stacks, of_the_job
from neurocaas.server.jobs.delivered import chunks
from neurocaas.server.jobs.models import Attempt, Job, Stack
from neurocaas.server.jobs.status import ENDED
from neurocaas.storage import keys
from neurocaas.storage.delivery import CERTIFICATE, CERTIFICATE_TEXT
from neurocaas.storage.drops import Drops

log = logging.getLogger(__name__)

UPDATE = "update.txt"
END = "end.txt"
DELIVERED = "delivered"
STATE, PLACES = "state", "places"  # kept beside the names of files
_MARKERS = frozenset({UPDATE, END, CERTIFICATE})


@dataclass(frozen=True, kw_only=True)
class Target:
    """A folder of a drop-box or bucket. flat: what one dataset delivers lies right in it, without a folder above."""

    drops: Drops
    folder: str
    flat: bool = False

    def key(self, path: str) -> str:
        return f"{self.folder}/{path}" if self.folder else path


def mirror(boxes: Boxes) -> int:
    """Bring every answer up to date. Returns how many were looked at."""
    going = list(Submission.objects.filter(done=False).select_related("job").order_by("id"))
    late = Arrival.objects.filter(delivered=False, submission__done=True).select_related("submission__job")
    states = _states([one.job for one in going if one.job])
    for one in going:
        state = states.get(one.job_id or "", "")
        # A job may have many thousands of stacks, which are read only if some have gone on since the last time.
        if not state or one.answered.get(STATE) != state:
            with _told(boxes, one):
                _answer(boxes, one, state)
    for arrival in late.order_by("id"):
        with _told(boxes, arrival.submission):
            _deliver_late(boxes, arrival)
    return len(going)


@contextlib.contextmanager
def _told(boxes: Boxes, submission: Submission) -> Iterator[None]:
    """One answer that can't be written holds up no other, and a mere refusal is not tried for ever."""
    try:
        yield
    except Exception as fault:
        known = isinstance(fault, NeurocaasError)
        log.warning("the answer to %s can't be written: %s", submission, fault, exc_info=None if known else fault)
        if submission.job_id is None and boxes.clock() - submission.taken_at > PATIENCE:
            Submission.objects.filter(pk=submission.pk).update(done=True)


def _states(jobs: Sequence[Job]) -> dict[str, str]:
    """By job: how far it is, and how many of its stacks are where. One query for every 500 jobs."""
    states = {job.pk: job.status for job in jobs}
    for some in chunks(list(states)):
        counted = Stack.objects.filter(job__in=some).values_list("job", "status").annotate(count=Count("pk"))
        for job, status, count in counted.order_by("job", "status"):
            states[job] += f" {status}={count}"
    return states


def _answer(boxes: Boxes, submission: Submission, state: str) -> None:
    """state: what was known of the job before its rows are read; if they are newer, they are read once more."""
    box = boxes.of(submission.analysis)
    if box is None:
        return  # until the site has this drop-box again
    answer = _Answer(boxes, box, submission)
    if answer.write():
        # In this order: who dies in between writes the last files once more.
        answer.served().update(delivered=True)
        submission.done = True
    else:
        submission.answered[STATE] = state
    submission.save(update_fields=["answered", "done"])


def _deliver_late(boxes: Boxes, arrival: Arrival) -> None:
    """The same submission appeared once more after it was answered: the client that wrote it finds its results too."""
    box = boxes.of(arrival.submission.analysis)
    if box is not None:
        target = Target(drops=box.drops, folder=own_place(arrival.key), flat=True)
        _Answer(boxes, box, arrival.submission).deliver_all([target])
        Arrival.objects.filter(pk=arrival.pk).update(delivered=True)


class _Answer:
    """What is written for one submission, of which its rows are read once."""

    def __init__(self, boxes: Boxes, box: Box, submission: Submission) -> None:
        self._boxes, self._box, self._submission = boxes, box, submission
        self._store = boxes.site.store
        self._folder = folder_of(submission.group, submission.name)
        self._job = submission.job
        self._datasets = _datasets(submission, self._job) if self._job else []
        self._command = _command(boxes, self._job) if self._job else ""

    def write(self) -> bool:
        """What there is to write by now. Returns whether that is all that there will be."""
        targets = self._targets()
        for name, one in zip(wording.status_names([one.shown for one in self._datasets]), self._datasets, strict=True):
            # Before anything says that it is done, since readers of that look for its results at once.
            if one.ended and self._submission.answered.get(f"results of {name}") != DELIVERED:
                self._deliver(one, targets)
                self._logs(one)
                self._submission.answered[f"results of {name}"] = DELIVERED
                self._submission.save(update_fields=["answered"])  # copying may take long
            self._status(name, one)
        self._write(f"logs/{CERTIFICATE_TEXT}", self._certificate())
        if any(one.ended for one in self._datasets) and self._job:
            self._write(f"process_results/{UPDATE}", wording.update(self._datasets, self._job.config))
        # The job's row was read before those of its stacks: if it has ended, they all have.
        ended = self._job is None or self._job.status in ENDED
        if ended:
            self._finish(targets)
            self._write(f"process_results/{END}", wording.end(self._submission))
        return ended

    def served(self) -> QuerySet[Arrival]:
        """The arrivals whose clients were given everything; one that came in the middle is served after the end."""
        served = {"", *self._places()}
        keys = [one.key for one in self._submission.arrivals.all() if own_place(one.key) in served]
        return self._submission.arrivals.filter(key__in=keys)

    def deliver_all(self, targets: Sequence[Target]) -> None:
        """Everything that a job that has ended gives to people, to these targets."""
        for one in self._datasets:
            self._deliver(one, targets)
        self._finish(targets)

    def _deliver(self, progress: Progress, targets: Sequence[Target]) -> None:
        """The files that a dataset delivered. In a flat target nothing is above those of a job's only stack."""
        folder = progress.stacks[0].folder
        alone = len(self._datasets) == len(progress.stacks) == 1
        for one in deliverables(self._store, progress.stacks[0].job, progress.stacks):
            if one.stack is None:
                below = one.path.removeprefix(f"{folder}/")
                paths = [below if at.flat and alone else _apart(one.path) for at in targets]
                self._copy(one, [(at.drops, at.key(path)) for at, path in zip(targets, paths, strict=True)])

    def _logs(self, progress: Progress) -> None:
        for one in deliverables(self._store, progress.stacks[0].job, progress.stacks):
            if one.stack is not None:
                self._copy(one, [(self._box.drops, f"{self._folder}/logs/{_apart(one.path)}")])

    def _finish(self, targets: Sequence[Target]) -> None:
        """What belongs to the job as a whole: figures, tables, certificates."""
        for one in of_the_job(self._store, self._job) if self._job else ():
            if one.path != CERTIFICATE_TEXT:
                self._copy(one, [(at.drops, at.key(one.path)) for at in targets])
        for at in targets:
            at.drops.put(at.key(CERTIFICATE_TEXT), self._certificate().encode())

    def _certificate(self) -> str:
        """For people: what the original's says, and once the job has ended all that is certified."""
        if self._job is None:
            return wording.refusal(self._submission)
        text = wording.certificate(self._submission, self._job, self._datasets, self._command)
        if self._job.status in ENDED:
            with contextlib.suppress(NotFound):  # a job that was deleted
                text += "\n" + self._store.get(keys.certificate_text(self._job.group_id, self._job.id)).decode()
        return text

    def _status(self, name: str, one: Progress) -> None:
        state = f"{one.status} {one.telling.attempts_made} {one.telling.ended_at}"
        if self._submission.answered.get(f"status of {name}") != state:
            text = "".join(results.log_text(self._store, one.telling)) if one.ended else ""
            self._write(f"logs/{name}", wording.status_file(one, self._command, text[-wording.LOG_CHARACTERS :]))
            self._submission.answered[f"status of {name}"] = state

    def _targets(self) -> list[Target]:
        """Where results go: the submission's own folder, where its clients look for them, and where it says."""
        targets = [Target(drops=self._box.drops, folder=place, flat=True) for place in self._places()]
        if self._job is not None:
            targets.append(Target(drops=self._box.drops, folder=f"{self._folder}/process_results"))
            targets += self._named_target()
        return targets

    def _places(self) -> list[str]:
        """Where clients look for results; no more are added once the first results have been delivered."""
        answered = self._submission.answered
        if PLACES not in answered:
            places = sorted({own_place(one.key) for one in self._submission.arrivals.all()} - {""})
            if self._job is not None and not any(one.ended for one in self._datasets):
                return places
            answered[PLACES] = json.dumps(places)
        found: list[str] = json.loads(answered[PLACES])
        return found

    def _named_target(self) -> Iterator[Target]:
        wanted, group = self._submission.asked.get("result", ""), self._submission.group
        if wanted:
            try:
                drops, folder = result_place(self._boxes, self._box, group, wanted)
            except Refused as cause:  # the operator has taken the permission back
                log.warning("results of %s go to no other place: %s", self._submission, cause)
            else:
                yield Target(drops=drops, folder=f"{folder}/{self._submission.name}".lstrip("/"))

    def _copy(self, one: Deliverable, places: Sequence[tuple[Drops, str]]) -> None:
        """One file to each of these places; nothing where its job was deleted meanwhile."""
        try:
            with _here(self._boxes, one) as path:
                for drops, key in places:
                    drops.put_file(path, key)
        except NotFound as fault:
            log.warning("a result of %s is gone: %s", self._submission, fault)

    def _write(self, name: str, text: str) -> None:
        """Write a file of the answer, unless it is there so already."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        if self._submission.answered.get(name) != digest:
            self._box.drops.put(f"{self._folder}/{name}", text.encode())
            self._submission.answered[name] = digest


@contextlib.contextmanager
def _here(boxes: Boxes, one: Deliverable) -> Iterator[Path]:
    """The file on this machine, for as long as the block lasts: where it lies, or a copy."""
    store = boxes.site.store
    if one.key and (path := store.local_path(one.key)) is not None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="neurocaas-dropbox-") as folder:
        copy = Path(folder) / "file"
        if one.key:
            store.get_file(one.key, copy)
        else:
            with copy.open("wb") as file:
                file.writelines(one.blocks(store))
        yield copy


def _datasets(submission: Submission, job: Job) -> list[Progress]:
    """The job's datasets as they stand."""
    stacks: dict[int, list[Stack]] = defaultdict(list)
    for stack in job_stacks(job).select_related("step"):
        stacks[stack.dataset_index].append(stack)
    newest = {one.stack_id: one for one in Attempt.objects.filter(stack__job=job).order_by("number")}
    named = dict(enumerate(submission.datasets))
    return [
        Progress(shown=named.get(index, stacks[index][0].dataset), stacks=stacks[index], attempts=newest)
        for index in sorted(stacks)
    ]


def _apart(path: str) -> str:
    """A path of results that is none of the markers', nor below one: on a disk nothing is a file and a folder."""
    first, slash, rest = path.partition("/")
    return f"{first}_{slash}{rest}" if first in _MARKERS and slash else path


def _command(boxes: Boxes, job: Job) -> str:
    """What an analysis runs; "" for one that consists of others."""
    blueprint = boxes.site.analyses.version(job.analysis, job.version).blueprint
    return " ".join(blueprint.workflow.command) if blueprint.workflow else ""
