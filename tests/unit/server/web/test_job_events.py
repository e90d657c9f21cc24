"""What pages of jobs are told while they are open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from support.website import Website


def stream(website: Website, address: str, during: Any) -> list[str]:
    """The events of a stream, by their names, and what is done while it is open."""
    from django.test import AsyncClient

    def forget() -> None:  # this thread may know the database of a test before
        from django.db import connections

        connections["default"].close()
        del connections["default"]

    async def follow() -> list[str]:
        await _in_thread(forget)
        client = AsyncClient()
        await client.aforce_login(
            await _in_thread(lambda: website.user("ada")), backend="allauth.account.auth_backends.AuthenticationBackend"
        )
        answer: Any = await client.get(address)
        assert answer.status_code == 200
        events = []
        async for chunk in answer.streaming_content:
            events.append(chunk.decode())
            await during(events[-1])
        return events

    return asyncio.run(bounded(follow()))


async def bounded(work: Coroutine[Any, Any, list[str]]) -> list[str]:
    return await asyncio.wait_for(work, 20)


async def _in_thread(work: Any) -> Any:
    from asgiref.sync import sync_to_async

    return await sync_to_async(work)()


def named(events: list[str]) -> list[str]:
    return [one.split("\n")[0].removeprefix("event: ") for one in events]


@pytest.fixture(autouse=True)
def _each_on_its_own_loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from django.test import override_settings

    from neurocaas.server.serving import draining
    from neurocaas.server.web.jobs import events

    monkeypatch.setattr(events, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(draining, "_begun", asyncio.Event())
    with override_settings(ALLOWED_HOSTS=["testserver"]):  # an asynchronous client can't be told another name
        yield


def test_a_job_that_ended_closes_the_stream(website: Website) -> None:
    job = website.finish(website.job(), {"a.txt": b"a"})

    async def nothing(_: str) -> None: ...

    events = named(stream(website, f"/jobs/{job.id}/events", nothing))
    assert events == ["head", "graph", "stacks", "deeds", "landed", "ended"]


def test_a_change_brings_what_changed_and_no_more(website: Website) -> None:
    from neurocaas.server.jobs.models import Stack
    from neurocaas.server.serving.hub import hub

    job = website.job()
    steps = ["note", "end"]

    def ring() -> None:
        for queue in hub._waiting[job.id]:
            queue.put_nowait("changed")

    async def during(event: str) -> None:
        last_part = "landed" if len(steps) == 2 else "stacks"
        if not event.startswith(f"event: {last_part}\n") or not steps:
            return
        if steps.pop(0) == "note":
            await _in_thread(lambda: Stack.objects.filter(job=job).update(note="step 7 <of> 9"))
        else:
            await _in_thread(lambda: website.finish(job, {"a.txt": b"a"}))
        ring()

    events = stream(website, f"/jobs/{job.id}/events", during)
    names = named(events)
    assert names[:5] == ["head", "graph", "stacks", "deeds", "landed"]
    assert names[5] == "stacks"
    assert "step 7 &lt;of&gt; 9" in events[5]
    assert names[-1] == "ended"
    assert all(line == "" or line.startswith(("event: ", "data: ")) for one in events for line in one.split("\n"))


def test_a_stack_brings_only_what_the_page_has_not(website: Website) -> None:
    from neurocaas.storage import keys

    job = website.finish(website.job(), {"a.txt": b"a"}, log="one\ntwo\n")
    prefix = keys.attempt(job.group_id, job.id, 0, 1)
    segment = {"sequence": 2, "text": "<b>three</b>\n\nfour", "usage": {"wall_seconds": 1.0, "cpu_seconds": 0.5}}
    website.site.store.put(keys.log_segment(prefix, 2), json.dumps(segment).encode())

    async def nothing(_: str) -> None: ...

    events = stream(website, f"/jobs/{job.id}/stacks/0/events?attempt=1&after=1", nothing)
    assert named(events) == ["state", "log", "usage", "ended"]
    assert events[1] == "event: log\ndata: <span>&lt;b&gt;three&lt;/b&gt;\ndata: \ndata: four</span>\n\n"


def test_a_list_of_jobs_is_told_of_those_that_its_caller_may_see(website: Website) -> None:
    mine = website.finish(website.job(), {"a.txt": b"a"})
    theirs = website.job("other", "carol")

    async def nothing(_: str) -> None: ...

    events = stream(website, f"/jobs/badges?job={mine.id}&job={theirs.id}", nothing)
    assert named(events) == ["badges", "ended"]
    assert mine.id in events[0]
    assert theirs.id not in events[0]
