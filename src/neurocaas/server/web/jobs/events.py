"""What changes while a page is open, pushed to it: rendered parts as server-sent events, at most twice a second."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Protocol

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.html import format_html

from neurocaas.errors import NeurocaasError
from neurocaas.server.accounts.callers import page_caller
from neurocaas.server.groups.scope import Caller, To
from neurocaas.server.groups.scope import caller as caller_now
from neurocaas.server.jobs.status import ENDED
from neurocaas.server.serving import draining
from neurocaas.server.serving.hub import hub
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.web.jobs.history import AT_ONCE, listed
from neurocaas.server.web.jobs.output import Output, readable
from neurocaas.server.web.jobs.show import Wanted, everything
from neurocaas.server.web.jobs.stack import about, attempts_of, stack_of

ALIVE_SECONDS = 15.0
PAUSE_SECONDS = 0.5
STREAMS_PER_USER = 20
_streams: Counter[str] = Counter()


class Look(Protocol):
    """What a stream looks at again after each change."""

    def now(self, caller: Caller) -> Iterator[tuple[str, str, str]]:
        """(event, key, markup) of each part; sent where the key is another than it was. Raises NeurocaasError."""
        ...

    @property
    def over(self) -> bool:
        """Whether nothing will change any more."""
        ...


async def job_events(request: HttpRequest, job_id: str) -> HttpResponseBase:
    """The parts of a job's page, for as long as it runs."""
    return await _answer(request, [job_id], To.SEE, lambda: JobLook(request, job_id))


async def badge_events(request: HttpRequest) -> HttpResponseBase:
    """How the jobs are that a list of them shows as open."""
    shown = [one[:64].replace("\0", "") for one in request.GET.getlist("job")[:AT_ONCE]]
    return await _answer(request, shown, None, lambda: BadgesLook(shown))


async def stack_events(request: HttpRequest, job_id: str, index: int) -> HttpResponseBase:
    """The log, usage and state of a stack, for as long as it runs."""
    return await _answer(request, [job_id], To.READ, lambda: StackLook(request, job_id, index))


async def _answer(
    request: HttpRequest, jobs: Sequence[str], to: To | None, look: Callable[[], Look]
) -> HttpResponseBase:
    caller = await sync_to_async(page_caller)(request)
    if caller is None:
        return HttpResponse("Sign in again.", status=403, content_type="text/plain")
    try:
        if to is not None:  # a list shows what its caller may see, whatever is asked for
            for job_id in jobs:
                await sync_to_async(caller.job)(job_id, to)
    except NeurocaasError as error:
        return HttpResponse(error.message, status=error.http_status, content_type="text/plain")
    if _streams[caller.user] >= STREAMS_PER_USER:
        return HttpResponse(
            "You follow too many jobs at once; close some pages.", status=429, content_type="text/plain"
        )
    answer = StreamingHttpResponse(_stream(caller, jobs, look()), content_type="text/event-stream")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Accel-Buffering"] = "no"  # nginx would keep events back
    return answer


async def _stream(caller: Caller, jobs: Sequence[str], look: Look) -> AsyncIterator[str]:
    sent: dict[str, str] = {}
    ending = asyncio.ensure_future(draining.wait())
    _streams[caller.user] += 1
    try:
        with contextlib.ExitStack() as following:
            queues = [
                following.enter_context(hub.follow(one)) for one in jobs
            ]  # from here on no change is missed; so only now the first look
            while True:
                for event, key, markup in await _parts(caller, look):
                    if sent.get(event) != key:
                        sent[event] = key
                        yield _event(event, markup)
                if look.over:
                    yield _event("ended", "")
                    return
                what = await _next(queues, ending)
                if not what:  # and look all the same: a ring that nobody heard costs time, never the truth
                    yield ": alive\n\n"
                if what == _END:
                    return
                await asyncio.sleep(PAUSE_SECONDS)
                # What came meanwhile is seen by the one look that follows.
                if not all(queue.get_nowait() for queue in queues for _ in range(queue.qsize())):
                    return
    except NeurocaasError:
        return  # what the caller may see was changed: the page says so when it is loaded again
    finally:
        ending.cancel()
        _streams[caller.user] -= 1
        if not _streams[caller.user]:
            del _streams[caller.user]


_END = "end"


async def _next(queues: Sequence[asyncio.Queue[str]], ending: asyncio.Future[None]) -> str:
    """What happened; "" if nothing did for a while."""
    waiting: list[asyncio.Future[str]] = [asyncio.ensure_future(queue.get()) for queue in queues]
    both: set[asyncio.Future[Any]] = {*waiting, ending}
    try:
        await asyncio.wait(both, timeout=ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        heard = [one.result() for one in waiting if one.done()]
        if ending.done() or not all(heard):
            return _END  # the site is about to stop; browsers come again
        return heard[0] if heard else ""
    finally:
        for one in waiting:
            one.cancel()


@sync_to_async
def _parts(caller: Caller, look: Look) -> list[tuple[str, str, str]]:
    try:
        # As deployed now: who was taken from the group meanwhile sees nothing more.
        return list(look.now(caller_now(caller.user, caller.group)))
    finally:
        connection.close()  # a stream lasts for hours, and looks for a moment now and then


class JobLook:
    """The parts of a job's page, and, for its results, whether there are more."""

    def __init__(self, request: HttpRequest, job_id: str) -> None:
        self._request, self._job_id = request, job_id
        self._wanted = Wanted.of(request.GET.dict())
        self.over = False

    def now(self, caller: Caller) -> Iterator[tuple[str, str, str]]:
        found = caller.job(self._job_id)
        context = everything(caller, found, self._wanted)
        state = context["state"]
        self.over = state.ended
        for name in ("head", "graph", *(("stacks",) if context["reads"] else ())):
            yield self._part(name, context)
        deeds = (found.status, found.cancel_requested, found.private, context["acts"], context["reads"])
        yield self._part("deeds", context, key=repr(deeds))
        yield "landed", repr((state.counts.get("succeeded", 0), state.ended)), ""

    def _part(self, name: str, context: dict[str, Any], key: str = "") -> tuple[str, str, str]:
        markup = render_to_string(f"web/job/{name}.html", context, self._request)
        return name, key or _digest(markup), markup


class BadgesLook:
    """The statuses of some jobs, put in the places of those on the page."""

    def __init__(self, jobs: Sequence[str]) -> None:
        self._jobs = jobs
        self.over = False

    def now(self, caller: Caller) -> Iterator[tuple[str, str, str]]:
        found = list(listed(caller).filter(pk__in=self._jobs))
        self.over = all(one.status in ENDED for one in found)
        markup = render_to_string("web/history/badges.html", {"jobs": found})
        yield "badges", _digest(markup), markup


class StackLook:
    """What a stack writes and uses, from where the page is."""

    def __init__(self, request: HttpRequest, job_id: str, index: int) -> None:
        self._request, self._job_id, self._index = request, job_id, index
        after = request.GET.get("after", "")
        self._after = int(after) if after.isdecimal() and len(after) < 10 else -1
        attempt = request.GET.get("attempt", "")
        self._attempt = int(attempt) if attempt.isdecimal() and len(attempt) < 10 else 0
        self._output: Output | None = None
        self._sent = 0
        self.over = False

    def now(self, caller: Caller) -> Iterator[tuple[str, str, str]]:
        found = stack_of(caller.job(self._job_id, To.READ), self._index)
        over = found.status in ENDED  # looked at before the log: what comes in between is there already
        attempts = attempts_of(found)
        markup = render_to_string("web/job/stack_state.html", about(found, attempts), self._request)
        yield "state", _digest(markup), markup
        text = ""
        for one in attempts:
            if one.number < self._attempt:
                continue
            if self._output is None or one.number != self._attempt:
                text += f"--- attempt {one.number}\n" if one.number > 1 and one.number != self._attempt else ""
                self._output = self._read_on(found, one.number)
            text += self._output.more()
        if text:
            self._sent += 1
            yield "log", str(self._sent), format_html("<span>{}</span>", readable(text))
        if self._output is not None:
            markup = render_to_string("web/job/usage.html", {"charts": self._output.charts()}, self._request)
            yield "usage", _digest(markup), markup
        self.over = over

    def _read_on(self, found: Any, number: int) -> Output:
        output = Output.of(this_site().store, found, number)
        if number == self._attempt:
            output.after = self._after
            output.look_back()
        self._attempt = number
        return output


def _digest(markup: str) -> str:
    return hashlib.blake2b(markup.encode(), digest_size=16).hexdigest()


def _event(name: str, markup: str) -> str:
    lines = "".join(f"data: {line}\n" for line in markup.replace("\r", "").split("\n"))
    return f"event: {name}\n{lines}\n"
