"""The results of a job on the page that its analysis brought: the frame, and the files it may be handed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse

from neurocaas.errors import NotFound
from neurocaas.server.groups.scope import Caller, To
from neurocaas.server.jobs.models import Job, Stack
from neurocaas.server.jobs.runs import RunFile, config_of, run, run_files, runs, stack_files
from neurocaas.server.jobs.status import ENDED
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.web.framed import has_results_page
from neurocaas.server.web.jobs.stack import stack_of
from neurocaas.server.web.pages import page

MOST_RUNS = 200  # that are listed; a page that compares more than these needs a table, which the sweep's is
MOST_FILES = 5000  # of one run


@page
def explore(request: HttpRequest, caller: Caller, job_id: str) -> HttpResponse:
    """The results page around the run `?run=`."""
    job = caller.job(job_id, To.READ)
    if not has_results_page(job):
        raise NotFound(f"{job.label} has no page to explore its results on.", remedy="The list of results has them.")
    shown, all_runs = run(job, _number(request, "run")), runs(job).select_related("step")
    listed = list(all_runs[:MOST_RUNS])
    if shown.index not in {one.index for one in listed}:
        listed.append(shown)
    start: dict[str, Any] = {
        "page": "results",
        "analysis": f"{job.analysis}@{job.version[:12]}",
        "config": config_of(job, shown),
        "dataset": shown.dataset,
        "run": str(shown.index),
        "runs": [_described(job, one) for one in listed],
    }
    context = {
        "job": job,
        "over": job.status in ENDED,
        "explores": True,
        "shown": shown,
        "runs": [(one.index, name) for one, name in zip(listed, _names(listed), strict=True)],
        "more": all_runs.count() - len(listed),
        "start": json.dumps(start),
    }
    return render(request, "web/job/explore.html", context)


@page
def files(request: HttpRequest, caller: Caller, job_id: str) -> JsonResponse:
    """What the page around a frame may hand to it: the files of the run `?run=`, or of the stack `?stack=` alone."""
    job, store = caller.job(job_id, To.READ), this_site().store
    stack = _number(request, "stack")
    if stack is not None:
        found = stack_files(store, stack_of(job, stack))
    else:
        found = run_files(store, job, run(job, _number(request, "run")))
    return JsonResponse({"files": [_listed(job, one) for one in found[:MOST_FILES]]})


def _listed(job: Job, one: RunFile) -> dict[str, Any]:
    address = f"{reverse('result_raw', args=[job.id])}?{urlencode({'file': one.file.path})}"
    return {"path": one.path, "size_bytes": one.file.size_bytes, "url": address}


def _described(job: Job, one: Stack) -> dict[str, Any]:
    return {
        "id": str(one.index),  # as it comes back from a list to choose from
        "dataset": one.dataset,
        "label": one.label,
        "point": one.point if job.points else {},
        "config": config_of(job, one),
    }


def _names(listed: Sequence[Stack]) -> list[str]:
    """What tells runs apart, short enough for a phone: their datasets, where there are several, and points."""
    several = len({one.dataset for one in listed}) > 1
    return [", ".join(filter(None, [one.dataset if several else "", _point(one)])) or one.dataset for one in listed]


def _point(one: Stack) -> str:
    """Swept parameters by the last part of their names, unless two have the same."""
    last = [name.rpartition(".")[2] for name in one.point]
    names = last if len(set(last)) == len(last) else list(one.point)
    values = (value if isinstance(value, str) else json.dumps(value) for value in one.point.values())
    return ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True)) or one.label


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else None
