"""The set-up part of a new job's form: the page that came with the analysis, and the preview that it shows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from neurocaas.errors import NeurocaasError, NotFound
from neurocaas.reasons import REMEDY, Reason
from neurocaas.server.analyses import Resolved
from neurocaas.server.api.throttles import SUBMITTING
from neurocaas.server.groups.scope import Caller
from neurocaas.server.jobs.models import Stack
from neurocaas.server.jobs.previewing import made_before, preview_request
from neurocaas.server.jobs.quoting import quote as quote_of
from neurocaas.server.jobs.status import ENDED, Status
from neurocaas.server.jobs.submit import Request
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.uploads.desk import identifier
from neurocaas.server.uploads.models import Item
from neurocaas.server.web import asking, parameters
from neurocaas.server.web.asking import Asked
from neurocaas.server.web.framed import setup_address
from neurocaas.server.web.new_job import asked_for
from neurocaas.server.web.pages import page
from neurocaas.server.web.quoting import shown_quote
from neurocaas.server.web.submitting import prepared, submit_form, told_at_fields
from neurocaas.server.web.throttling import throttled

UNCHANGED = 204
MOST_CHOICES = 200


@require_POST
@page
def setup(request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
    """The set-up part as it is for the form now; unchanged if that is what is shown already (`setup_shown`).

    With `make` in the form, the preview is made first.
    """
    resolved, spec = asked_for(request, caller, name)
    if resolved.family.preview is None:
        raise NotFound(f"{resolved.label} has no page for its set-up.")
    asked = asking.submitted(resolved, spec, request.POST)
    wanted, making = request.POST.get("preview_of", ""), "make" in request.POST
    if making:
        throttled(SUBMITTING, request, caller)
    of = wanted if wanted in asked.data else next(iter(asked.data), "")
    shown: dict[str, Any] = {"state": "empty", "of": of, "choices": _choices(caller, asked)}
    try:
        if of:
            shown |= _shown(caller, resolved, asked, of, _key(request) if making else None)
    except NeurocaasError as error:
        if not told_at_fields(error):
            raise
        shown |= {"state": "faulty", "faults": error.message.splitlines()}
    token = _token(shown)
    if not making and token == request.POST.get("setup_shown"):
        return HttpResponse(status=UNCHANGED)
    shown |= {"name": name, "version_asked": spec.partition("@")[2], "token": token, "key": str(uuid4())}
    return render(request, "web/jobs/setup.html", shown)


def _token(shown: dict[str, Any]) -> str:
    """What tells one thing shown from another; a price that has changed is to be seen before somebody agrees to it."""
    parts = [shown.get(one, "") for one in ("state", "of", "run", "faults")]
    quote = shown.get("quote")
    return "|".join(str(one) for one in [*parts, *((quote.runs, quote.bound) if quote else ())])


def _shown(caller: Caller, resolved: Resolved, asked: Asked, of: str, key: UUID | None) -> dict[str, Any]:
    """The preview of the dataset `of`: offered, running, failed or ready. key: to make it under; None to make none."""
    site, family = this_site(), resolved.family
    request = preview_request(family, _request(caller, resolved, asked), of)
    admissible = prepared(site, caller, request)
    found = made_before(caller, admissible)
    if key is not None and (found is None or found.status in ENDED - {Status.SUCCEEDED}):
        job_id = submit_form(site, caller, key, request)
        found = Stack.objects.select_related("job", "step").get(job=job_id)
    if found is None:
        return {"state": "offered", "quote": shown_quote(quote_of(site, admissible))}
    shown = {"run": found.pk, "stack": found, "job": found.job}
    if found.status not in ENDED:
        return shown | {"state": "running"}
    if found.status != Status.SUCCEEDED:
        remedy = REMEDY[Reason(found.reason)]
        quote = shown_quote(quote_of(site, admissible))
        return shown | {"state": "failed", "quote": quote, "remedy": remedy}
    return shown | {"state": "ready", **_frame(resolved, asked, found)}


def _request(caller: Caller, resolved: Resolved, asked: Asked) -> Request:
    """The job that the form asks for; what the preview does not need may still be wrong in it."""
    return replace(asked, typed=replace(asked.typed, swept={}), points="", minutes="").request(
        caller, resolved.family.parameters
    )


def _frame(resolved: Resolved, asked: Asked, found: Stack) -> dict[str, Any]:
    """The page's document, the files it may be handed, and what it is told first."""
    start: dict[str, Any] = {
        "page": "setup",
        "analysis": resolved.version.short,
        "config": parameters.readable(resolved.family.parameters, asked.typed),
        "dataset": found.dataset,
        "run": None,
        "runs": [],
    }
    return {
        "start": json.dumps(start),
        "document": setup_address(resolved.version),
        "files": f"{reverse('explore_files', args=[found.job_id])}?{urlencode({'stack': found.index})}",
    }


def _choices(caller: Caller, asked: Asked) -> list[tuple[str, str]]:
    """The chosen datasets, by id and name; the first of them where they are many."""
    ids = {identifier(one): one for one in asked.data[:MOST_CHOICES]}
    rows = Item.objects.filter(group_id__in=caller.data_groups(), pk__in=ids).values_list("pk", "name")
    names = dict(rows)
    return [(text, names[one]) for one, text in ids.items() if one in names]


def _key(request: HttpRequest) -> UUID:
    """Of the button that was pressed, so that pressing it twice makes one job."""
    try:
        return UUID(request.POST.get("setup_key", ""))
    except ValueError:
        return uuid4()
