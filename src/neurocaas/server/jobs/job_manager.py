"""The job manager: a loop that brings what is closer to what is wanted (paper §2.1.2). Safe to kill at any line.

Rows say what is wanted; the provider and the store say what is. Hints make it look at once, a sweep makes it sure.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction

from neurocaas.bank import Hint, NoCapacity, Provider, State
from neurocaas.blueprint import Need
from neurocaas.errors import NeurocaasError, NotFound
from neurocaas.reasons import REMEDY, Reason
from neurocaas.runner.document import ExitRecord
from neurocaas.server.jobs import ledger
from neurocaas.server.jobs.followers import CHANGED, ENDED, Followers
from neurocaas.server.jobs.launching import Prepared, claim, launch, prefix, record, revoke, work_folder
from neurocaas.server.jobs.logs import Latest, latest
from neurocaas.server.jobs.models import Attempt, Job, Stack
from neurocaas.server.jobs.preparing import Preparation
from neurocaas.server.jobs.settling import end, settle
from neurocaas.server.jobs.status import LIVE, Status, advance, advance_all
from neurocaas.settings import Settings
from neurocaas.storage import Store, keys

log = logging.getLogger(__name__)

UNFINISHED = (Status.WAITING, Status.LAUNCHING, Status.RUNNING)
SILENCE = timedelta(seconds=60)  # a runner that wrote no segment for so long is taken for lost
CANCEL_GRACE = timedelta(seconds=5)
LOOK_AGAIN = timedelta(seconds=1)  # progress is read from the store at most this often per attempt
LAUNCHES_AT_ONCE = 64


@dataclass(kw_only=True)
class _Watch:
    """What this manager has seen of a live attempt, on its own clock: clocks of other machines need not agree."""

    sequence: int = -1
    changed_at: datetime
    looked_at: datetime
    interrupted_at: datetime | None = None


@dataclass(kw_only=True)
class JobManager:
    """Reconciles jobs, stacks and attempts. One leads at a time; whoever starts it sees to that."""

    settings: Settings
    store: Store
    provider: Provider
    preparation: Preparation
    certify: Callable[[Job, Status, Reason], None]
    followers: Followers
    clock: Callable[[], datetime]
    remove_work: Callable[[Attempt], None]
    _watches: dict[int, _Watch] = field(default_factory=dict)

    def recover(self) -> None:
        """Take over what a manager before this one left: adopt what runs, give up what never started."""
        live = self._live()
        self.provider.adopt([one.handle for one in live if one.handle])
        for attempt in live:
            if attempt.status == Status.LAUNCHING:
                self._recover_launch(attempt)

    def turn(self, hints: Collection[Hint] | None = None) -> None:
        """One pass. With `hints`, only the attempts they name are looked at; without, everything is."""
        now = self.clock()
        live = self._live()
        settled = self._observe(live, hints, now)
        if hints is None or any(hint.what == "cancel" for hint in hints):
            settled |= self._cancel(now)
        self._launch_waiting(len(live) - len(settled), now)
        if hints is None or settled:
            self._conclude(now)

    def next_turn_at(self) -> datetime | None:
        """When a stack is due for another attempt, if any waits for one."""
        due = Stack.objects.filter(status=Status.WAITING, retry_at__isnull=False).order_by("retry_at").first()
        return due.retry_at if due else None

    def has_work(self) -> bool:
        return Job.objects.filter(status__in=UNFINISHED).exists()

    # Observing

    def _live(self) -> list[Attempt]:
        return list(Attempt.objects.filter(status__in=LIVE).select_related("stack__job"))

    def _observe(self, live: list[Attempt], hints: Collection[Hint] | None, now: datetime) -> set[int]:
        """Settle what has ended, and note the progress of what has not. Returns the attempts that ended."""
        whats = {hint.attempt: hint.what for hint in hints or () if hint.what == "log"}
        whats |= {hint.attempt: hint.what for hint in hints or () if hint.what != "log"}
        named = live if hints is None else [one for one in live if one.name in whats]
        states = self.provider.sweep([one.handle for one in named])
        ended: set[int] = set()
        for attempt in named:
            if whats.get(attempt.name) != "log" and self._settle_if_ended(attempt, states[attempt.handle], now):
                ended.add(attempt.pk)
            else:
                self._note_progress(attempt, now)
        return ended

    def _settle_if_ended(self, attempt: Attempt, state: State, now: datetime) -> bool:
        # The state was asked for first: a runner that is gone has written its exit record, or never will.
        exit_record = self._exit_record(attempt)
        if exit_record is None and state is State.RUNNING:
            return False
        if exit_record is not None:
            settle(attempt, exit_record, self.store, now)
        elif attempt.stack.job.cancel_requested:
            end(attempt, Reason.CANCELLED, "Cancelled on request.", now)
        else:
            end(attempt, Reason.INSTANCE_LOST, "The instance or its runner went away.", now)
        self._let_go(attempt)
        return True

    def _exit_record(self, attempt: Attempt) -> ExitRecord | None:
        try:
            data = self.store.get(keys.exit_record(prefix(attempt)))
        except NotFound:
            return None
        exit_record = ExitRecord.model_validate_json(data)
        return exit_record if exit_record.token == attempt.token else None

    def _note_progress(self, attempt: Attempt, now: datetime) -> None:
        watch = self._watches.setdefault(attempt.pk, _Watch(changed_at=now, looked_at=now - LOOK_AGAIN))
        if now - watch.looked_at < LOOK_AGAIN:
            return
        watch.looked_at = now
        seen: Latest | None = latest(self.store, prefix(attempt))
        if seen is not None and seen.sequence != watch.sequence:
            watch.sequence, watch.changed_at = seen.sequence, now
            Stack.objects.filter(pk=attempt.stack_id).update(progress=seen.progress, note=seen.message)
            self.followers.tell(attempt.stack.job_id, CHANGED)
        elif now - watch.changed_at > SILENCE:
            # Without its lease it must not go on elsewhere; without its allocation it can't go on here.
            revoke(attempt, self.store)
            self.provider.release(attempt.handle)
            log.warning("%s was silent for %s; released", attempt, SILENCE)

    def _let_go(self, attempt: Attempt) -> None:
        self._watches.pop(attempt.pk, None)
        if attempt.handle:
            self.provider.release(attempt.handle)
        revoke(attempt, self.store)
        self.remove_work(attempt)
        self.followers.tell(attempt.stack.job_id, CHANGED)

    def _recover_launch(self, attempt: Attempt) -> None:
        """An attempt whose handle was never recorded: find its runner, or make sure that it can never begin."""
        revoked_at = self.clock()
        work = work_folder(self.settings.work, attempt)
        handle = self.provider.find(attempt.name, work)
        if handle is None:
            # A runner says who it is before it asks for its lease; so one that we do not find now finds no lease.
            revoke(attempt, self.store)
            handle = self.provider.find(attempt.name, work)
        if handle is None:
            end(attempt, Reason.INSTANCE_LOST, "The job manager ended while it launched the stack.", revoked_at)
            return
        record(attempt, handle, self.clock())
        self.provider.adopt([handle])

    # Cancelling

    def _cancel(self, now: datetime) -> set[int]:
        for job in Job.objects.filter(cancel_requested=True, status__in=UNFINISHED):
            waiting = Stack.objects.filter(job=job)
            message = "Cancelled on request."
            advance_all(
                waiting, start=Status.WAITING, to=Status.CANCELLED, at=now, reason=Reason.CANCELLED, message=message
            )
            self.followers.tell(job.id, CHANGED)
        stopping = Attempt.objects.filter(status__in=LIVE, stack__job__cancel_requested=True)
        gone: set[int] = set()
        for attempt in stopping.select_related("stack__job"):
            watch = self._watches.setdefault(attempt.pk, _Watch(changed_at=now, looked_at=now))
            if watch.interrupted_at is None:
                revoke(attempt, self.store)
                self.provider.interrupt(attempt.handle)
                watch.interrupted_at = now
            elif now - watch.interrupted_at > CANCEL_GRACE:
                self.provider.release(attempt.handle)
                if self._settle_if_ended(attempt, State.GONE, now):
                    gone.add(attempt.pk)
        return gone

    # Launching

    def _launch_waiting(self, running: int, now: datetime) -> None:
        """Launch stacks in the order in which they came, until no instance is free; then say why the rest waits."""
        unready: set[str] = set()
        busy: dict[str, int] = {}
        for stack in self._waiting(now):
            job = stack.job
            if job.id in unready:
                continue
            if job.id not in busy:
                busy[job.id] = Attempt.objects.filter(stack__job=job, status__in=LIVE).count() if running else 0
            if busy[job.id] >= job.max_instances:
                continue
            prepared = self._prepared(job, now)
            if prepared is None:
                unready.add(job.id)
                continue
            if short := self.provider.shortage(Need(**stack.need)):
                self._explain_waiting(short)
                return
            if self._launch(stack, prepared, now):
                busy[job.id] += 1

    def _waiting(self, now: datetime) -> list[Stack]:
        waiting = Stack.objects.filter(status=Status.WAITING, job__cancel_requested=False)
        # Prefetched, so that all stacks of a job share one row of it in memory, and see it move.
        due = waiting.exclude(retry_at__gt=now).prefetch_related("job").order_by("job__submitted_at", "job_id", "index")
        return list(due[:LAUNCHES_AT_ONCE])

    def _launch(self, stack: Stack, prepared: Prepared, now: datetime) -> bool:
        attempt = claim(stack, self.provider, now)
        try:
            handle = launch(attempt, prepared, self.store, self.provider, self.settings.work)
        except (NeurocaasError, OSError) as fault:
            log.warning("%s could not be launched: %s", attempt, fault)
            revoke(attempt, self.store)
            reason = Reason.INTERRUPTED if isinstance(fault, NoCapacity) else Reason.INSTANCE_LOST
            end(attempt, reason, f"The instance could not be started: {fault}", self.clock())
            return False
        record(attempt, handle, self.clock())
        self.followers.tell(stack.job_id, CHANGED)
        return True

    def _prepared(self, job: Job, now: datetime) -> Prepared | None:
        waiting = Stack.objects.filter(job=job, status=Status.WAITING)
        try:
            prepared = self.preparation.get(job.id, job.analysis, job.version)
        except (NeurocaasError, OSError) as fault:
            message = f"The analysis environment can't be used: {fault} {REMEDY[Reason.ENVIRONMENT_BROKEN]}"
            reason = Reason.ENVIRONMENT_BROKEN
            advance_all(waiting, start=Status.WAITING, to=Status.FAILED, at=now, reason=reason, message=message)
            self._conclude(now)
            return None
        if prepared is None:
            line = self.preparation.latest.get(job.version, "")
            message = f"The analysis environment is being built. {line}".strip()
            waiting.exclude(message=message).update(reason=Reason.WAITING_FOR_ENVIRONMENT, message=message)
            self.followers.tell(job.id, CHANGED)
        elif job.environment_digest != prepared.environment.digest:
            job.environment_digest = prepared.environment.digest
            job.save(update_fields=["environment_digest"])
        return prepared

    def _explain_waiting(self, short: str) -> None:
        waiting = Stack.objects.filter(status=Status.WAITING).exclude(reason=Reason.RETRYING)
        waiting.exclude(reason=Reason.WAITING_FOR_INSTANCE).update(reason=Reason.WAITING_FOR_INSTANCE, message=short)

    # Concluding

    def _conclude(self, now: datetime) -> None:
        """End every job whose stacks have all ended: certificate first, so that who sees the end finds it."""
        open_jobs = Job.objects.filter(status__in=(Status.WAITING, Status.RUNNING))
        for job in open_jobs.exclude(stacks__status__in=UNFINISHED):
            status, reason, message = _verdict(job)
            job.ended_at = now
            self.certify(job, status, reason)
            with transaction.atomic():
                ledger.release(job, now)
                advance(job, to=status, at=now, reason=reason, message=message)
            self.preparation.forget(job.id)
            self.followers.tell(job.id, ENDED)


def _verdict(job: Job) -> tuple[Status, Reason, str]:
    """How the job ended: its worst stack decides."""
    stacks = list(job.stacks.order_by("index").only("status", "reason", "message", "dataset"))
    failed = [one for one in stacks if one.status == Status.FAILED]
    if failed:
        message = f"{len(failed)} of {len(stacks)} datasets failed; the first: {failed[0].message}"
        return Status.FAILED, Reason(failed[0].reason), message
    if any(one.status == Status.CANCELLED for one in stacks):
        return Status.CANCELLED, Reason.CANCELLED, "Cancelled on request."
    return Status.SUCCEEDED, Reason.NONE, ""
