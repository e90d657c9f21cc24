"""Simulated users on one event loop: each submits a job, watches it as a page does, looks around, and submits again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from benchmarks.users.lab import ANALYSIS, Account

PATIENCE_SECONDS = 90.0
THINKING_SECONDS = (1.0, 4.0)
PAGES = ("/", "/analyses", f"/analyses/{ANALYSIS}", "/group", "/jobs", "/data")
TUS = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}


@dataclass(frozen=True, kw_only=True)
class End:
    """The end of a job as a watcher was told of it. late: seconds after it had ended."""

    job: str
    watcher: str
    status: str
    late: float


@dataclass
class Seen:
    """What happened to all users."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    faults: list[str] = field(default_factory=list)
    submitted: dict[str, str] = field(default_factory=dict)
    watched: list[tuple[str, str]] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)


class Crowd:
    """Everybody at the site. latest: for each group the job that was submitted last, for colleagues to watch."""

    def __init__(self, url: str, accounts: Sequence[Account], seconds: float) -> None:
        self.url, self.accounts = url, accounts
        self.until = time.monotonic() + seconds
        self.seen = Seen()

    async def live(self) -> Seen:
        """Until time is up and every job that is watched has ended."""
        async with asyncio.TaskGroup() as group:
            for number, account in enumerate(self.accounts):
                group.create_task(Person(self, account, self._colleague(number), number).live())
        return self.seen

    def _colleague(self, number: int) -> Account:
        """The next one who shares the first group."""
        rest = [*self.accounts[number + 1 :], *self.accounts[: number + 1]]
        return next(one for one in rest if self.accounts[number].groups[0] in one.groups)


class Person:
    """One user, with a program's token and a browser's session."""

    def __init__(self, crowd: Crowd, account: Account, colleague: Account, number: int) -> None:
        self._crowd, self._seen, self._account, self._colleague = crowd, crowd.seen, account, colleague
        self._random = random.Random(number)
        self._items: dict[str, str] = {}

    async def live(self) -> None:
        """Come in somewhere in the first seconds, and stay until time is up."""
        await asyncio.sleep(self._random.uniform(0, THINKING_SECONDS[1]))
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=8)
        bearer = {"Authorization": f"Bearer {self._account.token}"}
        options: dict[str, Any] = {"base_url": self._crowd.url, "timeout": PATIENCE_SECONDS, "limits": limits}
        async with (
            httpx.AsyncClient(**options, headers=bearer) as self._program,
            httpx.AsyncClient(**options, cookies={"sessionid": self._account.session}) as self._browser,
        ):
            for turn in range(10_000):
                if time.monotonic() > self._crowd.until:
                    return
                group = self._account.groups[turn % len(self._account.groups)]
                await self._job(group, turn)

    async def _job(self, group: str, turn: int) -> None:
        headers = {"X-NeuroCAAS-Group": group}
        if group not in self._items:
            item = await self._stage(headers)
            if item is None:
                await self._think()
                return
            self._items[group] = item
        asked = {"analysis": ANALYSIS, "data": [self._items[group]], "fresh": True}
        key = {"Idempotency-Key": f"{self._account.user}-{turn}"}
        answer = await self._ask(self._program, "submit", "POST", "/api/v1/jobs", json=asked, headers=headers | key)
        if answer is None or answer.status_code != 201:
            await self._think()
            return
        job = answer.json()["job"]
        self._seen.submitted[job] = self._account.user
        watching = [self._watch(job, self._account, headers)]
        if group == self._account.groups[0]:
            watching.append(self._watch(job, self._colleague, headers))
        await asyncio.gather(*watching, self._look_around(job, headers))

    async def _stage(self, headers: dict[str, str]) -> str | None:
        """Upload a small file of the user's. Returns the item; None if that failed, which is noted."""
        content = f"{self._account.user} in {headers}".encode()
        file = {"path": "d.txt", "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        offer = {"name": f"{self._account.user}.txt", "form": "file", "files": [file]}
        begun = await self._upload("POST", "/api/v1/uploads", headers, json=offer)
        if begun is None:
            return None
        upload = begun.json()
        if upload.get("item"):  # the group has it already
            return str(upload["item"])
        await self._upload("PATCH", upload["files"][0]["tus_url"], headers | TUS, content=content)
        done = await self._upload("POST", f"/api/v1/uploads/{upload['id']}/complete", headers, json={})
        return str(done.json()["item"]) if done is not None else None

    async def _upload(self, method: str, path: str, headers: dict[str, str], **body: Any) -> httpx.Response | None:
        answer = await self._ask(self._program, "upload", method, path, headers=headers, **body)
        return answer if answer is not None and answer.is_success else None

    async def _watch(self, job: str, watcher: Account, headers: dict[str, str]) -> None:
        """Until the stream ends by itself. Each `ended` that came is noted."""
        self._seen.watched.append((job, watcher.user))
        headers = headers | {"Authorization": f"Bearer {watcher.token}"}
        began = time.perf_counter()
        try:
            async with self._program.stream("GET", f"/api/v1/jobs/{job}/events", headers=headers) as answer:
                self._note("events", "GET", f"/api/v1/jobs/{job}/events", answer, began)
                async for name, told in _events(answer):
                    if name == "ended":
                        late = (datetime.now(UTC) - datetime.fromisoformat(told["ended_at"])).total_seconds()
                        end = End(job=job, watcher=watcher.user, status=told["status"], late=late)
                        self._seen.ends.append(end)
        except httpx.HTTPError as fault:
            self._seen.faults.append(f"events of {job}: {fault!r}")

    async def _look_around(self, job: str, headers: dict[str, str]) -> None:
        """As one does while a job runs: its page, a few others, what the API says of it."""
        for page in (f"/jobs/{job}", self._random.choice(PAGES)):
            await self._think()
            await self._ask(self._browser, f"page {page.replace(job, 'JOB')}", "GET", page, headers=headers)
        await self._ask(self._program, "list", "GET", "/api/v1/jobs", headers=headers)
        await self._ask(self._program, "stacks", "GET", f"/api/v1/jobs/{job}/stacks", headers=headers)

    async def _ask(
        self, client: httpx.AsyncClient, what: str, method: str, path: str, **body: Any
    ) -> httpx.Response | None:
        began = time.perf_counter()
        try:
            answer = await client.request(method, path, **body)
        except httpx.HTTPError as fault:
            self._seen.faults.append(f"{method} {path}: {fault!r}")
            return None
        self._note(what, method, path, answer, began)
        return answer

    def _note(self, what: str, method: str, path: str, answer: httpx.Response, began: float) -> None:
        self._seen.seconds[what].append(time.perf_counter() - began)
        if answer.status_code >= 300:  # a page that sends elsewhere has forgotten who came
            said = answer.text[:300] if answer.is_closed else ""
            self._seen.faults.append(f"{method} {path}: {answer.status_code} {said}")

    async def _think(self) -> None:
        await asyncio.sleep(self._random.uniform(*THINKING_SECONDS))


async def _events(answer: httpx.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    name = ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
