"""The results of a job: its files as they land, each with a viewer, to be downloaded one by one or together."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from django.db.models import Exists, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import condition

from neurocaas.errors import NeurocaasError, NotFound
from neurocaas.server.api.files import link
from neurocaas.server.api.streams import SANDBOX, stored
from neurocaas.server.groups.scope import Caller, To
from neurocaas.server.jobs.deliverables import Deliverable, deliverables, find_deliverable, job_stacks, of_the_job
from neurocaas.server.jobs.models import Attempt, Job, Stack
from neurocaas.server.jobs.status import ENDED, Status
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.viewers import kinds, showing
from neurocaas.server.viewers.previews import NotShown, Preview, Selection, Theme
from neurocaas.server.web.framed import has_results_page
from neurocaas.server.web.jobs import files
from neurocaas.server.web.pages import page

AT_ONCE = 20  # stacks on a page
MOST_FILES = 200  # of one stack; a search finds the others
TEXT_CHARACTERS = 200
MOST_INDEX = 2**31
FIGURES = (".png", ".jpg", ".svg")
FRAME = f"{SANDBOX}; frame-ancestors 'self'"


@page
def results(request: HttpRequest, caller: Caller, job_id: str) -> HttpResponse:
    """All files of a job that are there by now, and one of them shown."""
    job = caller.job(job_id, To.READ)
    context = _listing(request, job) | {
        "command": f"neurocaas results {job.id} --out results",
        "explores": has_results_page(job),
    }
    if path := _asked(request, "file"):
        context |= _view(request, caller, job, path)
    rows = [row for folder in context["folders"] for row in folder["files"]]
    context["figure"] = next((row["part"] for row in rows if row["path"].endswith(FIGURES)), "")
    context["pictures"] = [one for one in context["of_job"] if one["path"].endswith(".png")]
    return render(request, "web/results/results.html", context)


@page
def listing(request: HttpRequest, caller: Caller, job_id: str) -> HttpResponse:
    """The list alone, for when something landed or is searched for."""
    return render(request, "web/results/list.html", _listing(request, caller.job(job_id, To.READ)))


@page
def view(request: HttpRequest, caller: Caller, job_id: str) -> HttpResponse:
    """One file as its viewer shows it."""
    job = caller.job(job_id, To.READ)
    return render(request, "web/results/viewer.html", _view(request, caller, job, _asked(request, "file")))


@page
def picture(request: HttpRequest, caller: Caller, job_id: str) -> HttpResponseBase:
    """The picture that belongs to a preview."""
    site, file = this_site(), _file(caller, job_id, _asked(request, "file"))
    digest, selection = files.digest(site, file), _selection(request)
    theme: Theme = "dark" if request.GET.get("theme") == "dark" else "light"

    def tag(*_: Any) -> str:
        return f'"{digest[:32]}.{theme}.{showing.VERSION}"'

    @condition(etag_func=tag)
    def drawn(_request: HttpRequest) -> HttpResponse:
        png = showing.picture(
            files.here(site, file),
            kind=kinds.viewer_for(file.path),
            cache=files.previews(site),
            sha256=digest,
            selection=selection,
            theme=theme,
        )
        if png is None:
            raise NotFound(f"There is no picture of {file.path}.")
        return HttpResponse(png, content_type="image/png", headers={"Cache-Control": "private, no-cache"})

    return drawn(request)


@page
def raw(request: HttpRequest, caller: Caller, job_id: str) -> HttpResponseBase:
    """The file itself, for an image or movie in a page: only of kinds that can run nothing; by parts, if asked."""
    file = _file(caller, job_id, _asked(request, "file"))
    content = kinds.content_type_for(file.path)
    answer = stored(request, this_site().store, file.key, _name(file), inline=content.inline)
    if content.inline and "Content-Disposition" in answer:
        answer["Content-Type"] = content.name
    return answer


@page
def frame(request: HttpRequest, caller: Caller, job_id: str) -> HttpResponseBase:
    """Markup that a workflow wrote, as a document of nobody's: it runs nothing, loads nothing and knows no cookie."""
    file = _file(caller, job_id, _asked(request, "file"))
    if kinds.KINDS.get(kinds.viewer_for(file.path), kinds.UNKNOWN).reader != "frame":
        raise NotFound(f"{file.path} is no page to be shown in a frame.")
    answer = stored(request, this_site().store, file.key, _name(file), inline=True)
    answer["Content-Type"] = kinds.content_type_for(file.path).name
    answer["Content-Security-Policy"] = FRAME
    answer["X-Frame-Options"] = "SAMEORIGIN"
    return answer


def _listing(request: HttpRequest, job: Job) -> dict[str, Any]:
    search, first = _asked(request, "search"), request.GET.get("from", "")
    start = int(first) if first.isdecimal() and len(first) < 10 else 0
    rows = _written(job, search).filter(index__gte=start).order_by("index")
    stacks = list(rows[: AT_ONCE + 1])
    store = this_site().store
    found: dict[str, list[Deliverable]] = {one.folder: [] for one in stacks[:AT_ONCE]}
    for file in deliverables(store, job, stacks[:AT_ONCE]):
        folder = next(one for one in _above(file.path) if one in found)
        if not search or search.lower() in file.path.lower():
            found[folder].append(file)
    of_job = [one for one in of_the_job(store, job) if not search or search.lower() in one.path.lower()]
    chosen = _asked(request, "file")
    return {
        "job": job,
        "over": job.status in ENDED,
        "search": search,
        "of_job": [_row(job, one, "", search, start, chosen) for one in of_job] if not start else [],
        "folders": [
            {
                "stack": stack,
                "files": [
                    _row(job, one, stack.folder, search, start, chosen) for one in found[stack.folder][:MOST_FILES]
                ],
                "more": max(0, len(found[stack.folder]) - MOST_FILES),
            }
            for stack in stacks[:AT_ONCE]
            if found[stack.folder]
        ],
        "next": stacks[AT_ONCE].index if len(stacks) > AT_ONCE else None,
        "start": start,
        "file": chosen,
    }


def _written(job: Job, search: str) -> QuerySet[Stack]:
    """The stacks that wrote something by now; where a name is searched for, those that may have a file of that name."""
    rows = job_stacks(job).filter(Q(status=Status.SUCCEEDED) | Q(attempts_made__gt=0))
    if not search:
        return rows
    # JSON in a text column spells letters beyond ASCII as \\u, and PostgreSQL spells them as they are.
    spelled = Q(text__icontains=search) | Q(text__icontains=json.dumps(search)[1:-1])
    said = Attempt.objects.annotate(text=Cast("exit_record", TextField())).filter(spelled, status=Status.SUCCEEDED)
    own, taken = said.filter(stack=OuterRef("pk")), said.filter(stack=OuterRef("reused_from"))
    return rows.filter(Q(folder__icontains=search) | Exists(own) | Exists(taken))


def _row(job: Job, file: Deliverable, folder: str, search: str, start: int, chosen: str) -> dict[str, Any]:
    query = {"file": file.path} | ({"search": search} if search else {}) | ({"from": str(start)} if start else {})
    log = file.stack is not None
    address = reverse("stack", args=[job.id, file.stack.index]) if file.stack else reverse("results", args=[job.id])
    return {
        "path": file.path,
        "name": file.path.removeprefix(f"{folder}/") if folder else file.path,
        "size_bytes": file.size_bytes,
        "log": log,
        "query": urlencode({"file": file.path}),
        "href": address if log else f"{address}?{urlencode(query)}",
        "part": "" if log else f"{reverse('result_view', args=[job.id])}?{urlencode(query)}",
        "chosen": file.path == chosen,
    }


def _view(request: HttpRequest, caller: Caller, job: Job, path: str) -> dict[str, Any]:
    """The file, its preview, and where its picture and contents are."""
    file = find_deliverable(this_site().store, job, path)
    selection = _selection(request)
    shown = preview_of(file, selection)
    of_file = urlencode({"file": path})
    query = urlencode(
        {"file": path, "dataset": selection.dataset, "index": "" if selection.index is None else selection.index}
    )
    return {
        "job": job,
        "file": path,
        "name": _name(file),
        "size_bytes": file.size_bytes,
        "preview": shown,
        "selection": selection,
        "download": link(caller, job, file),
        "picture": f"{reverse('result_picture', args=[job.id])}?{query}",
        "raw": f"{reverse('result_raw', args=[job.id])}?{of_file}",
        "frame": f"{reverse('result_frame', args=[job.id])}?{of_file}",
        "part": f"{reverse('result_view', args=[job.id])}?{of_file}",
        "last_row": getattr(shown, "first_row", 0) + len(getattr(shown, "rows", ())),
        "has_more": getattr(shown, "has_more", selection.page + 1 < getattr(shown, "pages", 0)),
        "before": max(0, selection.page - 1),
        "after": selection.page + 1,
        "last_index": max(
            0, getattr(shown, "slices", 0) - 1, getattr(shown, "pages", 0) - 1, getattr(shown, "frames", 0) - 1
        ),
    }


def preview_of(file: Deliverable, selection: Selection) -> Preview:
    """What a page shows of it; why nothing, where nothing can be shown."""
    site = this_site()
    if file.stack is not None:
        return NotShown(sentence="The log is on the page of its stack.")
    try:
        return showing.preview(
            files.here(site, file),
            kind=kinds.viewer_for(file.path),
            cache=files.previews(site),
            sha256=files.digest(site, file),
            selection=selection,
        )
    except NotFound:
        raise
    except NeurocaasError as error:
        return NotShown(sentence=error.message.replace("\n", " ")[:500], remedy=error.remedy[:500])


def _file(caller: Caller, job_id: str, path: str) -> Deliverable:
    file = find_deliverable(this_site().store, caller.job(job_id, To.READ), path)
    if not file.key:
        raise NotFound(f"There is no file {path!r} to be shown.")
    return file


def _selection(request: HttpRequest) -> Selection:
    index, number = request.GET.get("index", ""), request.GET.get("at", "")
    return Selection(
        dataset=_asked(request, "dataset"),
        index=int(index) if index.isdecimal() and len(index) < 10 else None,
        page=int(number) if number.isdecimal() and len(number) < 10 else 0,
    )


def _asked(request: HttpRequest, name: str) -> str:
    return request.GET.get(name, "")[:2000].replace("\0", "")


def _name(file: Deliverable) -> str:
    return file.path.rpartition("/")[2]


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]
