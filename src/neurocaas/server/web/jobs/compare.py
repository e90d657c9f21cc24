"""Two jobs side by side: how they were asked for, what they took, and whether they found the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from neurocaas.comparison import Comparison, Sameness
from neurocaas.comparison.apart import compare_apart
from neurocaas.comparison.kinds import libraries_of
from neurocaas.comparison.reading import Source, require
from neurocaas.comparison.verdict import SAME_BYTES
from neurocaas.errors import Refused, Unavailable
from neurocaas.server.groups.scope import Caller, To
from neurocaas.server.jobs.deliverables import Deliverable, deliverables, find_deliverable, job_stacks, of_the_job
from neurocaas.server.jobs.ledger import shown
from neurocaas.server.jobs.models import Job
from neurocaas.server.jobs.status import Status
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.viewers import kinds
from neurocaas.server.viewers.previews import Selection
from neurocaas.server.web.jobs import files
from neurocaas.server.web.jobs.results import preview_of
from neurocaas.server.web.jobs.values import flat
from neurocaas.server.web.pages import page
from neurocaas.server.web.templatetags.neurocaas import NOTHING, seconds

STACKS_AT_ONCE, FILES_AT_ONCE = 20, 60
AT_ONCE = threading.BoundedSemaphore(2)
WAIT_SECONDS = 30.0
CERTIFICATES = frozenset({"certificate.json", "certificate.txt"})


@page
def compare(request: HttpRequest, caller: Caller) -> HttpResponse:
    """The jobs `?a=` and `?b=`."""
    one, other = _two(request, caller)
    start = request.GET.get("from", "")
    first = int(start) if start.isdecimal() and len(start) < 10 else 0
    pairs, following = _pairs(one, other, first)
    config = _beside(dict(flat(one.config)), dict(flat(other.config)))
    context = {
        "one": one,
        "other": other,
        "about": list(_about(one, other)),
        "config": config,
        "differing": sum(row["differs"] for row in config),
        "pairs": [_pair(one, other, *pair) for pair in pairs],
        "next": following,
    }
    return render(request, "web/compare/compare.html", context)


@page
def verdict(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Whether a file says the same in both, and both of them."""
    one, other = _two(request, caller)
    path, its = request.GET.get("file", "").replace("\0", ""), request.GET.get("other", "").replace("\0", "")
    store = this_site().store
    pair = find_deliverable(store, one, path), find_deliverable(store, other, its)
    found = compared(*pair)
    sides = [_side(job, file) for job, file in zip((one, other), pair, strict=True)]
    return render(
        request, "web/compare/verdict.html", {"found": found, "sides": sides, "same": found.verdict == Sameness.EQUAL}
    )


def compared(one: Deliverable, other: Deliverable) -> Comparison:
    """Whether the two files say the same; opened in a process of their own, few at once. Raises Unavailable."""
    if one.sha256 and one.sha256 == other.sha256:
        return Comparison(verdict=Sameness.EQUAL, detail=SAME_BYTES, largest=0.0)
    site, kind = this_site(), kinds.viewer_for(one.path)
    require(libraries_of(kind), kind)
    if not AT_ONCE.acquire(timeout=WAIT_SECONDS):
        raise Unavailable("The server compares other files now.", remedy="Try again in a minute.")
    try:
        sources = (Source(files.here(site, file), role, kind) for file, role in ((one, "expected"), (other, "found")))
        return compare_apart(*sources)
    finally:
        AT_ONCE.release()


def _two(request: HttpRequest, caller: Caller) -> tuple[Job, Job]:
    asked = [request.GET.get(name, "").strip().replace("\0", "")[:64] for name in ("a", "b")]
    if picked := request.GET.getlist("job"):
        asked = picked[:2] if len(picked) == 2 else ["", ""]
    if not all(asked):
        raise Refused("Two jobs are compared; tick two in the list of jobs.")
    one, other = (caller.job(job_id, To.READ) for job_id in asked)
    return one, other


def _about(one: Job, other: Job) -> Iterator[dict[str, Any]]:
    """What there is to say of each but its parameters."""
    money = [job.stacks.aggregate(cost=Sum("charged_nanodollars"))["cost"] for job in (one, other)]
    for name, values in (
        ("Analysis", (one.label, other.label)),
        ("Version", (one.version[:12], other.version[:12])),
        ("Commit", (one.git_commit[:12] or NOTHING, other.git_commit[:12] or NOTHING)),
        ("Seed", (str(one.seed), str(other.seed))),
        ("Status", (one.status, other.status)),
        ("Submitted by", (one.user, other.user)),
        ("Time", (_takes(one), _takes(other))),
        ("Price", (one.price, other.price)),
        ("Cost", (shown(money[0] or 0), shown(money[1] or 0))),
        ("Points of a sweep", (str(len(one.points)), str(len(other.points)))),
    ):
        yield {"name": name, "one": values[0], "other": values[1], "differs": values[0] != values[1]}


def _takes(job: Job) -> str:
    took: timedelta | None = job.ended_at - job.started_at if job.ended_at and job.started_at else None
    return seconds(took)


def _beside(one: dict[str, str], other: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "one": one.get(name), "other": other.get(name), "differs": one.get(name) != other.get(name)}
        for name in dict.fromkeys((*one, *other))
    ]


def _pairs(one: Job, other: Job, first: int) -> tuple[list[tuple[Deliverable, Deliverable]], int | None]:
    """The files of the same path in both; of a job of many stacks some, and the stack that comes next."""
    store = this_site().store
    rows = list(job_stacks(one).filter(index__gte=first, status=Status.SUCCEEDED)[: STACKS_AT_ONCE + 1])
    mine = rows[:STACKS_AT_ONCE]
    theirs = list(job_stacks(other).filter(folder__in=[row.folder for row in mine], status=Status.SUCCEEDED))
    if not theirs and len(rows) == 1 and other.stacks.count() == 1:
        theirs = list(job_stacks(other))  # one recording each: their names may differ
    left, right = deliverables(store, one, mine), deliverables(store, other, theirs)
    if not first:
        left, right = [*of_the_job(store, one), *left], [*of_the_job(store, other), *right]
    folders = {mine[0].folder: theirs[0].folder} if len(mine) == len(theirs) == 1 else {}
    known = {file.path: file for file in right if file.key}
    pairs = [
        (file, known[path])
        for file in left
        if file.key and file.path not in CERTIFICATES and (path := _renamed(file.path, folders)) in known
    ]
    return pairs[:FILES_AT_ONCE], rows[STACKS_AT_ONCE].index if len(rows) > STACKS_AT_ONCE else None


def _renamed(path: str, folders: dict[str, str]) -> str:
    for mine, theirs in folders.items():
        if path.startswith(f"{mine}/"):
            return f"{theirs}{path.removeprefix(mine)}"
    return path


def _pair(one: Job, other: Job, file: Deliverable, its: Deliverable) -> dict[str, Any]:
    query = {"a": one.id, "b": other.id, "file": file.path, "other": its.path}
    return {
        "path": file.path,
        "same": bool(file.sha256) and file.sha256 == its.sha256,
        "part": f"{reverse('compare_file')}?{urlencode(query)}",
        "size_bytes": file.size_bytes,
    }


def _side(job: Job, file: Deliverable) -> dict[str, Any]:
    preview, query = preview_of(file, Selection()), urlencode({"file": file.path})
    picture = ""
    if getattr(preview, "browser_shows", False):
        picture = f"{reverse('result_raw', args=[job.id])}?{query}"
    elif getattr(preview, "picture", False):
        picture = f"{reverse('result_picture', args=[job.id])}?{query}"
    return {
        "job": job,
        "path": file.path,
        "picture": picture,
        "raw": getattr(preview, "browser_shows", False),
        "href": f"{reverse('results', args=[job.id])}?{query}",
        "size_bytes": file.size_bytes,
    }
