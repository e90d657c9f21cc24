"""The page of one job, and the parts of it that change while it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from neurocaas.certificate import TrustedKeys, verify
from neurocaas.reasons import REMEDY, Reason
from neurocaas.server.api.files import certificate_of
from neurocaas.server.groups.models import Handover
from neurocaas.server.groups.scope import Caller, To
from neurocaas.server.jobs.models import Job, Stack
from neurocaas.server.jobs.status import ENDED, Status
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.web.framed import has_results_page
from neurocaas.server.web.jobs.graph import graph
from neurocaas.server.web.jobs.state import State, state_of
from neurocaas.server.web.jobs.values import flat
from neurocaas.server.web.pages import page

AT_ONCE = 50
MOST_PAGES = 10**6


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which of a job's stacks are shown. page: from 1."""

    page: int = 1
    status: str = ""
    step: int | None = None

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Wanted:
        """As the address says; what it can't mean is as if it were not there."""
        number, step, status = asked.get("page", ""), asked.get("step", ""), asked.get("status", "")
        return cls(
            page=min(int(number), MOST_PAGES) if number.isdecimal() and len(number) < 10 and int(number) else 1,
            status=status if status in Status.values else "",
            step=int(step) if step.isdecimal() and len(step) < 10 else None,
        )


@dataclass(frozen=True, kw_only=True)
class Pages:
    """What components/pagination.html asks of a page; nobody has to count for it, since the counts are known."""

    number: int
    last: int

    @property
    def has_other_pages(self) -> bool:
        return self.last > 1

    @property
    def has_previous(self) -> bool:
        return self.number > 1

    @property
    def has_next(self) -> bool:
        return self.number < self.last

    @property
    def previous_page_number(self) -> int:
        return self.number - 1

    @property
    def next_page_number(self) -> int:
        return self.number + 1


@page
def job(request: HttpRequest, caller: Caller, job_id: str) -> HttpResponse:
    """Everything about a job that the caller may know."""
    found = caller.job(job_id)
    context = everything(caller, found, Wanted.of(request.GET.dict()))
    if context["reads"]:
        context |= {"config": flat(found.config), "points": len(found.points), "explores": has_results_page(found)}
    return render(request, "web/job/job.html", context)


@page
def verification(request: HttpRequest, caller: Caller, job_id: str) -> HttpResponse:
    """Whether the job's certificate is as it was signed, in a sentence."""
    site, found = this_site(), caller.job(job_id, To.READ)
    verdict = verify(json.loads(certificate_of(site, found)), TrustedKeys(site.settings.trusted_keys))
    return render(request, "web/job/verification.html", {"verdict": verdict})


def everything(caller: Caller, found: Job, wanted: Wanted) -> dict[str, Any]:
    """What the page and its parts show. Without the right to read, how the job is, and nothing of what is in it."""
    state = state_of(found)
    reads = caller.jobs(To.READ).filter(pk=found.pk).exists()
    acts = caller.jobs(To.ACT).filter(pk=found.pk).exists()
    context = {
        "job": found,
        "state": state,
        "reads": reads,
        "acts": acts,
        "over": found.status in ENDED,
        "remedy": REMEDY[Reason(found.reason)] if found.status == Status.FAILED else "",
        "handover": Handover.objects.filter(job=found, until__gt=timezone.now()).first() if acts else None,
        "failed": found.status in {Status.FAILED, Status.CANCELLED},
        "takes": (found.ended_at or timezone.now()) - found.started_at if found.started_at else None,
        "graph": graph(state),
    }
    return context | (stacks_of(state, wanted) if reads else {})


def stacks_of(state: State, wanted: Wanted) -> dict[str, Any]:
    """One page of the job's stacks."""
    count = sum(
        number
        for part in state.parts
        if wanted.step in {None, part.step.index}
        for status, number in part.counts.items()
        if wanted.status in {"", status}
    )
    last = max(1, -(-count // AT_ONCE))
    number = min(wanted.page, last)
    chosen = _chosen(state, wanted)
    # Those of a late page are found by their keys alone: rows that are left out are then never put together.
    on_page = chosen.order_by("index").values("pk")[(number - 1) * AT_ONCE : number * AT_ONCE]
    now = timezone.now()
    steps = {part.step.pk: part.step for part in state.parts}
    stacks = list(chosen.filter(pk__in=on_page).order_by("index"))
    for one in stacks:
        one.step = steps[one.step_id]
    rows = [
        {
            "stack": one,
            "name": one.name,
            "takes": (one.ended_at or now) - one.started_at if one.started_at else None,
            "over": one.status in ENDED,
            "remedy": REMEDY[Reason(one.reason)] if one.status != Status.SUCCEEDED else "",
        }
        for one in stacks
    ]
    return {"rows": rows, "pages": Pages(number=number, last=last), "wanted": wanted, "counts": state.counts}


def _chosen(state: State, wanted: Wanted) -> QuerySet[Stack]:
    long = ("inputs", "config", "need", "point")
    found = state.job.stacks.select_related("reused_from").defer(*long, *(f"reused_from__{one}" for one in long))
    if wanted.step is not None:
        found = found.filter(step__in=[part.step for part in state.parts if part.step.index == wanted.step])
    return found.filter(status=wanted.status) if wanted.status else found
