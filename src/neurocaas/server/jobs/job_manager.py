"""The job manager: a loop that brings what is closer to what is wanted (paper §2.1.2). Safe to kill at any line.

Rows say what is wanted; the provider and the store say what is. Hints make it look at once, a sweep makes it sure.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Min, QuerySet

from neurocaas.bank import Hint, NoCapacity, Placement, State, Supplier
from neurocaas.blueprint import Need
from neurocaas.errors import NeurocaasError, Refused
from neurocaas.reasons import Reason
from neurocaas.runner.checkpoint import forget_checkpoints
from neurocaas.server.jobs import ledger
from neurocaas.server.jobs.delivered import chunks
from neurocaas.server.jobs.exit_records import stored, unstored
from neurocaas.server.jobs.followers import CHANGED, ENDED, Followers
from neurocaas.server.jobs.following import UNFINISHED, Following
from neurocaas.server.jobs.launching import Prepared, claim, launch, prefix, record, revoke, work_folder
from neurocaas.server.jobs.models import Attempt, Job, Stack, Step, waiting
from neurocaas.server.jobs.observed import LOST, UNBEGUN, Seen
from neurocaas.server.jobs.placing import Placing
from neurocaas.server.jobs.preparing import Preparation
from neurocaas.server.jobs.settling import end, settle
from neurocaas.server.jobs.status import LIVE, Status, advance, advance_all
from neurocaas.server.jobs.verdict import verdict
from neurocaas.server.jobs.waiting import Skipped, WaitingQueue
from neurocaas.server.jobs.watching import Watching
from neurocaas.settings import Settings
from neurocaas.storage import Store, keys

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class JobManager:
    """Reconciles jobs, stacks and attempts. One leads at a time; whoever starts it sees to that."""

    settings: Settings
    store: Store
    provider: Supplier
    placing: Placing
    preparation: Preparation
    following: Following
    watching: Watching
    summarize: Callable[[Job], list[dict[str, Any]]]
    certify: Callable[[Job, Status, Reason], None]
    look_at_instances: Callable[[datetime], None]
    followers: Followers
    clock: Callable[[], datetime]
    _live: dict[str, Attempt] = field(default_factory=dict)  # by their names
    _busy: Counter[str] = field(default_factory=Counter)  # how many live attempts each job has
    _queue: WaitingQueue = field(default_factory=WaitingQueue)
    _unlaunched: set[str] = field(default_factory=set)  # jobs of which a stack ended that could not be launched
    due: datetime | None = None  # when a turn is needed though nothing happened: a stack may be tried again, or that

    def recover(self) -> None:
        """Take over what a manager before this one left: adopt what runs, give up what never started."""
        self._live.clear()
        self._read_live()
        self.provider.adopt([one.handle for one in self._live.values() if one.handle])
        for attempt in [*self._live.values()]:
            if attempt.status == Status.LAUNCHING:
                self._recover_launch(attempt)
        in_use = {work_folder(self.settings.work, attempt) for attempt in self._live.values()}
        for folder in self.settings.work.glob("*"):
            if folder not in in_use:
                shutil.rmtree(folder, ignore_errors=True)

    def turn(self, hints: Collection[Hint] | None = None) -> None:
        """One pass. With `hints`, only the attempts they name and the stacks that are due are looked at; without, all.

        Nobody else moves attempts, so between two full passes what is in memory is what is in the database.
        """
        now = self.clock()
        if self.watching.grace_is_over(now):
            hints = None
        since = self.due if self.due is not None and now >= self.due else None
        if hints is None:
            self._read_live()
            self._queue.clear()
            self.placing.look_again()
            self.due = self._next_due(now)
            self._cancel(now)
            self.following.look_at_all(now)
            self._expect()
        elif since is not None:
            self._queue.take_due(since, now)
            self.due = self._next_due(now)
        ended = self._observe(hints, now)
        if hints is None or ended or since is not None:
            self._launch_waiting(now)
        for attempt, seen in ended.items():
            self._settle(attempt, seen, now)
        if self.following.after([one.stack_id for one in ended if one.stack.job.chained], now):
            self._launch_waiting(now)
        touched = {attempt.stack.job_id for attempt in ended} | self._unlaunched
        self._unlaunched = set()
        for job_id in self._open_jobs() if hints is None else touched:
            try:
                self._conclude(job_id, now)
            except Exception:
                # A fault of ours in one job must not keep the others from ending; this one is tried again.
                log.exception("job %s could not be concluded", job_id)
        if hints is None:
            self._note_instances(now)

    def _note_instances(self, now: datetime) -> None:
        try:
            self.look_at_instances(now)
        except Exception:
            # Records are for people to read; no job waits for them.
            log.exception("the instances could not be recorded")

    def has_work(self) -> bool:
        return Job.objects.filter(status__in=UNFINISHED).exists()

    def _read_live(self) -> None:
        """See which attempts are live. Of those that are known nothing is read again, as nobody else moves them."""
        live = set(Attempt.objects.filter(status__in=LIVE).values_list("pk", flat=True))
        known = {one.pk for one in self._live.values()}
        self._live = {name: one for name, one in self._live.items() if one.pk in live}
        for some in chunks(sorted(live - known)):
            # Prefetched, so that attempts share one row of their job in memory.
            new = Attempt.objects.filter(pk__in=some).prefetch_related("stack__job", "stack__step")
            self._live |= {one.name: one for one in new}
        self._busy = Counter(one.stack.job_id for one in self._live.values())

    def _next_due(self, now: datetime) -> datetime | None:
        retried = Stack.objects.filter(status=Status.WAITING, retry_at__gt=now)
        first: datetime | None = retried.aggregate(Min("retry_at"))["retry_at__min"]
        return min((one for one in (first, self.watching.grace_ends) if one is not None), default=None)

    # Observing

    def _observe(self, hints: Collection[Hint] | None, now: datetime) -> dict[Attempt, Seen]:
        """Note the progress of what runs. Returns what has ended, which gave its instance back: others need not wait
        until it is settled."""
        whats = {hint.attempt: hint.what for hint in hints or () if hint.what == "log"}
        whats |= {hint.attempt: hint.what for hint in hints or () if hint.what != "log"}
        names = self._live if hints is None else whats
        named = [self._live[name] for name in names if name in self._live]
        states = self.provider.sweep([one.handle for one in named])
        self._begin_to_count([one for one in named if states[one.handle] in UNBEGUN], now)
        ended = {}
        for attempt in named:
            seen = Seen(state=states[attempt.handle], why=self.provider.why(attempt.handle))
            if whats.get(attempt.name) != "log" and self._has_ended(attempt, seen.state):
                self._forget(attempt)
                self.provider.release(attempt.handle)
                ended[attempt] = seen
            elif seen.state is State.PENDING:
                self.watching.note_pending(attempt, seen.why)
            else:
                self.watching.note_progress(attempt)
        return ended

    def _begin_to_count(self, unbegun: list[Attempt], now: datetime) -> None:
        """What has no instance yet costs nothing: its time counts from when it was last seen so."""
        for some in chunks(unbegun):
            Attempt.objects.filter(pk__in=[one.pk for one in some]).update(started_at=now)
        for attempt in unbegun:
            attempt.started_at = now

    def _forget(self, attempt: Attempt) -> None:
        """The attempt is live no longer."""
        del self._live[attempt.name]
        self._busy[attempt.stack.job_id] -= 1

    def _has_ended(self, attempt: Attempt, state: State) -> bool:
        return (
            state not in {State.RUNNING, State.PENDING}
            or self.store.head(keys.exit_record(prefix(attempt))) is not None
        )

    def _settle(self, attempt: Attempt, seen: Seen, now: datetime) -> None:
        """Record how an attempt ended. It was seen to be gone before this looks for its record: no other will come."""
        try:
            exit_record = stored(attempt, self.store) or unstored(attempt, self.settings.work)
        except ValueError:
            end(attempt, Reason.INTERNAL, "The runner's record of the stack's end can't be read.", now)
        else:
            cancelled = attempt.stack.job.cancel_requested
            if exit_record is not None and (cancelled or exit_record.reason is not Reason.CANCELLED):
                settle(attempt, exit_record, self.store, now)
            elif cancelled:
                end(attempt, Reason.CANCELLED, "Cancelled on request.", now)
            else:
                reason, message = LOST[seen.state]
                # A runner that was stopped though nobody cancelled its job: its instance was taken back, or it was
                # silent for so long that it lost its lease. It has said so, but it is lost like one that has not.
                end(attempt, reason, f"{message} {seen.why}".rstrip(), now, record=exit_record)
        self._clean_up(attempt)

    def _clean_up(self, attempt: Attempt) -> None:
        """Remove what an ended attempt left."""
        self.watching.forget(attempt)
        if attempt.stack.status == Status.WAITING and attempt.stack.retry_at:
            self.due = min(self.due or attempt.stack.retry_at, attempt.stack.retry_at)
        revoke(attempt, self.store)
        shutil.rmtree(work_folder(self.settings.work, attempt), ignore_errors=True)
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
            self._forget(attempt)
            return
        record(attempt, handle, self.clock())
        self.provider.adopt([handle])

    # Cancelling

    def _cancel(self, now: datetime) -> None:
        cancelled = set()
        for job in Job.objects.filter(cancel_requested=True, status__in=UNFINISHED):
            cancelled.add(job.id)
            self._end_waiting(
                Stack.objects.filter(job=job), Status.CANCELLED, Reason.CANCELLED, "Cancelled on request.", now
            )
            self.followers.tell(job.id, CHANGED)
        for attempt in self._live.values():
            if attempt.stack.job_id in cancelled:
                attempt.stack.job.cancel_requested = True  # it was read when the attempt was launched
                self.watching.stop(attempt, now)
        if self.watching.grace_ends is not None:
            self.due = min(self.due or self.watching.grace_ends, self.watching.grace_ends)

    def _end_waiting(
        self, stacks: QuerySet[Stack], to: Status, reason: Reason, message: str, now: datetime
    ) -> list[int]:
        """End all of these stacks that wait, and give back what they hold. Returns which."""
        with transaction.atomic():
            waiting = list(stacks.filter(status=Status.WAITING).select_related("job"))
            advance_all(stacks, start=Status.WAITING, to=to, at=now, reason=reason, message=message)
            ledger.release(waiting, now)
        self._unlaunched |= {one.job_id for one in waiting}
        return [one.pk for one in waiting]

    # Launching

    def _launch_waiting(self, now: datetime) -> None:
        """Launch stacks in the order in which they came, until no instance is free; then say why the rest waits."""
        skipped = Skipped()
        while stack := self._queue.first(skipped, now):
            job = stack.job
            if self._busy[job.id] >= job.max_instances:
                allowed = f"The job has as many instances as its analysis may use at once ({job.max_instances})."
                self._queue.explain(allowed, Stack.objects.filter(job=job))
                skipped.jobs.add(job.id)
            elif (prepared := self._prepared(stack, now)) is None:
                skipped.steps.add(stack.step_id)
            elif (placement := self._place(stack, now)) is None:
                self._queue.pop()
            elif short := self.provider.shortage(Need(**stack.need), placement):
                # Who came first is served first: nothing smaller overtakes a stack that waits for this type.
                self._queue.explain(short, Stack.objects.filter(instance_type=stack.instance_type))
                skipped.instance_types.add(stack.instance_type)
            else:
                self._launch(self._queue.pop(), placement, prepared, now)

    def _place(self, stack: Stack, now: datetime) -> Placement | None:
        """Where the stack goes; None if no instance will ever do, though one would have when the job was admitted."""
        try:
            return self.placing.place(stack)
        except Refused as cause:
            ended = self._end_waiting(
                Stack.objects.filter(pk=stack.pk), Status.FAILED, Reason.NO_CAPACITY, cause.message, now
            )
            self.following.after(ended, now)
            return None

    def _launch(self, stack: Stack, placement: Placement, prepared: Prepared, now: datetime) -> None:
        attempt = claim(stack, placement, now)
        try:
            handle = launch(attempt, placement, prepared, self.store, self.provider, self.settings.work)
        except (NeurocaasError, OSError, ValueError) as fault:
            log.warning("%s could not be launched: %s", attempt, fault)
            reason = Reason.NO_CAPACITY if isinstance(fault, NoCapacity) else Reason.INSTANCE_LOST
            end(attempt, reason, f"The instance could not be started: {fault}", self.clock())
            self._clean_up(attempt)
            self._unlaunched.add(stack.job_id)
            self.following.after([stack.pk] if stack.job.chained and stack.status == Status.FAILED else [], now)
            return
        record(attempt, handle, self.clock())
        self._live[attempt.name] = attempt
        self._busy[stack.job_id] += 1
        self.followers.tell(stack.job_id, CHANGED)

    def _prepared(self, stack: Stack, now: datetime) -> Prepared | None:
        job, step = stack.job, stack.step
        try:
            prepared = self.preparation.get(job.id, step.analysis, step.version, job.provider)
        except (NeurocaasError, OSError, ValueError) as fault:
            message = f"The analysis environment can't be used: {fault}"
            stacks = Stack.objects.filter(step=step)
            self.following.after(self._end_waiting(stacks, Status.FAILED, Reason.ENVIRONMENT_BROKEN, message, now), now)
            return None
        if prepared is None:
            line = self.preparation.latest.get(step.version, "")
            message = f"The analysis environment is being built. {line}".strip()
            unsaid = waiting(ready=True).filter(step=step).exclude(message=message)
            unsaid.update(reason=Reason.WAITING_FOR_ENVIRONMENT, message=message)
            self.followers.tell(job.id, CHANGED)
        elif step.environment_digest != prepared.environment.digest:
            step.environment_digest = prepared.environment.digest
            Step.objects.filter(pk=step.pk).update(environment_digest=step.environment_digest)
        return prepared

    def _expect(self) -> None:
        """Have the environments of steps to come built while those before them run."""
        coming = waiting(ready=False).values_list("step__analysis", "step__version", "job__provider").distinct()
        for name, digest, provider in coming:
            self.preparation.expect(name, digest, provider)

    # Concluding

    def _open_jobs(self) -> set[str]:
        return set(Job.objects.filter(status__in=UNFINISHED).values_list("pk", flat=True))

    def _conclude(self, job_id: str, now: datetime) -> None:
        """End the job if its stacks have all ended: certificate first, so that who sees the end finds it."""
        if self._busy[job_id]:
            return
        if Stack.objects.filter(job_id=job_id, status__in=UNFINISHED).exists():
            return
        job = Job.objects.get(pk=job_id)
        status, reason, message = verdict(job)
        job.ended_at = now
        job.outputs = self.summarize(job)
        self._forget_checkpoints(job)
        self.certify(job, status, reason)
        advance(job, to=status, at=now, reason=reason, message=message, outputs=job.outputs)
        self.preparation.forget(job.id)
        del self._busy[job_id]
        self.followers.tell(job.id, ENDED)

    def _forget_checkpoints(self, job: Job) -> None:
        """Delete what only an attempt of a stack that has not ended could go on from."""
        for step in job.steps.all():
            workflow = self.following.analyses.version(step.analysis, step.version).blueprint.workflow
            if workflow is not None and workflow.checkpoints:
                attempts = Attempt.objects.filter(stack__step=step).select_related("stack__job")
                forget_checkpoints(self.store, [prefix(one) for one in attempts])
