"""What happens to a job while it happens: its events as a stream, and what its stacks write, as they write it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.db.models import Avg, Count
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from ninja import Query, Router
from ninja.errors import Throttled

from neurocaas.client.documents import LogPage
from neurocaas.errors import NotFound, Refused
from neurocaas.server.api.answers import JobId, StackIndex, answers, asking
from neurocaas.server.api.streams import streamed
from neurocaas.server.groups.scope import Caller, To
from neurocaas.server.jobs import logs
from neurocaas.server.jobs.deliverables import Deliverable, attempts_made, job_stacks
from neurocaas.server.jobs.models import Job, Stack
from neurocaas.server.jobs.status import ENDED
from neurocaas.server.jobs.view import summary
from neurocaas.server.serving.hub import hub
from neurocaas.server.serving.wiring import this_site
from neurocaas.storage import keys

ALIVE_SECONDS = 15.0
STREAMS_PER_USER = 20
PAGE_CHARACTERS = 1 << 20
PAUSE_SECONDS = 0.2  # a job of a thousand stacks changes all the time; nobody reads faster
SSE = {
    "responses": {
        200: {
            "description": "Server-sent events: `changed` and at last `ended`, each with the job's summary.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    }
}
router = Router(tags=["jobs"])
_streams: Counter[str] = Counter()


@router.get("/jobs/{job_id}/events", response=answers(None), openapi_extra=SSE)
async def follow_job(request: HttpRequest, job_id: JobId) -> HttpResponseBase:
    """What happens to a job, as server-sent events: first how it is now, then each change, until it has ended."""
    caller = asking(request)
    await sync_to_async(caller.job)(job_id)
    if _streams[caller.user] >= STREAMS_PER_USER:
        raise Throttled(wait=int(ALIVE_SECONDS))
    answer = StreamingHttpResponse(_events(caller, job_id), content_type="text/event-stream")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Accel-Buffering"] = "no"  # nginx would keep events back
    return answer


@router.get("/jobs/{job_id}/stacks/{index}/log", response=answers(LogPage))
def get_log(
    request: HttpRequest, job_id: JobId, index: StackIndex, after: Annotated[str, Query(max_length=40)] = ""
) -> Any:
    """What the attempts of a stack wrote, from `after` on; all of it as plain text for those who Accept text/plain."""
    job = asking(request).job(job_id, To.READ)
    stack = job_stacks(job).filter(index=index).first()
    if stack is None:
        raise NotFound(f"There is no stack {index} in job {job.id}.")
    numbers = attempts_made([stack])[stack.origin.pk]
    if request.headers.get("Accept", "").startswith("text/plain"):
        blocks = Deliverable(path="log.txt", stack=stack, attempts=numbers).blocks(this_site().store)
        return streamed(request, blocks, "log.txt", content_type="text/plain; charset=utf-8", inline=True)
    return _page(stack, numbers, after)


def _page(stack: Stack, numbers: tuple[int, ...], after: str) -> dict[str, Any]:
    """Segments by their attempt and number, `2:17` the last one read."""
    ended = stack.status in ENDED  # looked at before the segments: what comes in between is on the next page
    last, texts, size = _place(after), [], 0
    for number, segment, text in _segments(stack, numbers, last):
        if size >= PAGE_CHARACTERS:
            ended = False
            break
        if number != last[0] and len(numbers) > 1:
            texts.append(f"--- attempt {number}\n")
        texts.append(text)
        size += len(text)
        last = (number, segment)
    return {"text": "".join(texts), "after": f"{last[0]}:{last[1]}", "ended": ended}


def _segments(stack: Stack, numbers: tuple[int, ...], after: tuple[int, int]) -> Iterator[tuple[int, int, str]]:
    origin, job = stack.origin, stack.origin.job
    for number in numbers:
        if number >= after[0]:
            prefix = keys.attempt(job.group_id, job.id, origin.index, number)
            first = after[1] if number == after[0] else -1
            for segment, text in logs.read(this_site().store, prefix, after=first):
                yield number, segment, text


def _place(after: str) -> tuple[int, int]:
    if not after:
        return 0, -1
    attempt, _, segment = after.partition(":")
    try:
        return int(attempt), int(segment)
    except ValueError:
        raise Refused(f"after: found {after!r}; `after` of an earlier answer is right.") from None


async def _events(caller: Caller, job_id: str) -> AsyncIterator[str]:
    _streams[caller.user] += 1
    try:
        with hub.follow(job_id) as queue:  # from here on no change is missed; so only now the first look
            state = await _state(job_id)
            yield _event("changed", state)
            while state["status"] not in ENDED:
                try:
                    what = await asyncio.wait_for(queue.get(), ALIVE_SECONDS)
                except TimeoutError:
                    yield ": alive\n\n"
                    continue
                await asyncio.sleep(PAUSE_SECONDS if what else 0)
                if not all([what, *(queue.get_nowait() for _ in range(queue.qsize()))]):
                    return  # the site is about to stop; browsers come again
                before, state = state, await _state(job_id)
                if state != before:
                    yield _event("changed", state)
            yield _event("ended", state)
    finally:
        _streams[caller.user] -= 1
        if not _streams[caller.user]:
            del _streams[caller.user]


@sync_to_async
def _state(job_id: str) -> dict[str, Any]:
    """The job's summary, how many of its stacks are where, and how far it is."""
    try:
        job = Job.objects.get(pk=job_id)
        stacks = Stack.objects.filter(job=job)
        counts = dict(stacks.order_by().values_list("status").annotate(count=Count("pk")))
        progress = stacks.aggregate(mean=Avg("progress"))["mean"] or 0.0
        return {**summary(job), "stacks": counts, "progress": round(progress, 4)}
    finally:
        connection.close()  # a stream lasts for hours, and looks for a moment now and then


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
