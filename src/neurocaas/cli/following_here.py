"""A job of this machine's site at each change, and what its stacks write: told by bells, read from the database."""

from __future__ import annotations

import time
from collections.abc import Iterator

from neurocaas.cli.door import Json
from neurocaas.server.jobs import daemon
from neurocaas.server.jobs import logs as segments
from neurocaas.server.jobs.followers import ENDED
from neurocaas.server.jobs.followers import follow as bell_of
from neurocaas.server.jobs.models import Job, Stack
from neurocaas.server.jobs.status import ENDED as ENDED_STATUSES
from neurocaas.server.site import Site
from neurocaas.settings import Settings
from neurocaas.storage import keys

LOOK_SECONDS = 1.0  # should a ring be lost, this is how late the change is seen
REDRAW_SECONDS = 0.1


def follow(settings: Settings, job: Job, *, quiet: bool) -> Iterator[Json]:
    """The job now and at each change, until it has ended. A manager that died is started again."""
    with bell_of(settings, job.id) as bell:
        while True:
            job.refresh_from_db()
            stacks = [] if quiet else [_seen(one) for one in job.stacks.select_related("step", "job").order_by("index")]
            yield {"job": job.id, "status": job.status, "stacks": stacks}
            if job.status in ENDED_STATUSES:
                return
            messages = bell.wait(LOOK_SECONDS)
            while quiet and messages and ENDED not in messages:
                messages = bell.wait(LOOK_SECONDS)
            if not messages and daemon.leader(settings) is None:
                daemon.start(settings)
            elif messages and ENDED not in messages:
                time.sleep(REDRAW_SECONDS)


def follow_log(site: Site, stack: Stack) -> Iterator[str]:
    """New segments as they come, until the stack has ended; the runner rings for each."""
    job = stack.job
    attempt, after = 1, -1
    with bell_of(site.settings, job.id) as bell:
        while True:
            stack.refresh_from_db()
            for number in range(attempt, stack.attempts_made + 1):
                after = after if number == attempt else -1
                attempt = number
                prefix = keys.attempt(job.group_id, job.id, stack.index, number)
                for last, text in segments.read(site.store, prefix, after=after):
                    yield text
                    after = last
            if stack.status in ENDED_STATUSES:
                return
            bell.wait(LOOK_SECONDS)


def _seen(stack: Stack) -> Json:
    """What a follower shows of a stack."""
    return {
        "index": stack.index,
        "name": stack.name,
        "status": stack.status,
        "reason": stack.reason,
        "message": stack.message,
        "progress": stack.progress,
        "note": stack.note,
        "started_at": stack.started_at,
        "reused_from": stack.reused_from_id,
    }
