"""The page of a new job, and the parts of it that follow what people type: quote, data, config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from neurocaas.blueprint.config_files import MAX_CONFIG_BYTES
from neurocaas.errors import NeurocaasError, Refused
from neurocaas.server.analyses import Resolved
from neurocaas.server.api.throttles import SUBMITTING
from neurocaas.server.catalogue.listing import check_visible
from neurocaas.server.catalogue.samples import has_sample
from neurocaas.server.groups.scope import Caller
from neurocaas.server.jobs.quoting import quote as quote_of
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.web import asking, parameters, saved
from neurocaas.server.web.analyses import resolve
from neurocaas.server.web.asking import Asked
from neurocaas.server.web.choosing import choice
from neurocaas.server.web.faults import by_field
from neurocaas.server.web.links import job_page
from neurocaas.server.web.pages import page
from neurocaas.server.web.quoting import shown_quote
from neurocaas.server.web.submitting import prepared, submit_form, told_at_fields
from neurocaas.server.web.throttling import throttled

Faults = Mapping[str, Sequence[str]]


@page
def show(request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
    """The form; filled from `?from=` a job, `?config=` a saved configuration, with `?data=` items of staged data."""
    resolved, spec = asked_for(request, caller, name)
    if request.method == "POST":
        return _act(request, caller, resolved, asking.submitted(resolved, spec, request.POST))
    if job_id := request.GET.get("from", ""):
        return _form(request, caller, resolved, asking.from_job(caller, job_id, resolved, spec))
    asked = asking.blank(resolved, spec, data=request.GET.getlist("data"))
    if identity := request.GET.get("config", ""):
        asked = _with_saved(caller, resolved, asked, identity)
    return _form(request, caller, resolved, asked)


@require_POST
@page
def quote(request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
    """What the job will take, and, beside it, the faults of each field."""
    resolved, spec = asked_for(request, caller, name)
    asked, schema = asking.submitted(resolved, spec, request.POST), resolved.family.parameters
    shown: dict[str, Any] = {"quote": None, "empty": not asked.data}
    faults: Faults = {}
    try:
        wished = asked.request(caller, schema)
        if asked.data:
            shown["quote"] = shown_quote(quote_of(this_site(), prepared(this_site(), caller, wished)))
        else:
            resolved.family.complete(wished.config)
    except NeurocaasError as error:
        if not told_at_fields(error):
            raise
        faults = by_field(str(error), parameters.properties(schema))
    return render(request, "web/jobs/quote.html", shown | _fields(resolved, asked, faults) | {"oob": True})


@require_POST
@page
def data(request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
    """What may be chosen of the group's data, by search and tag, beside what is."""
    resolved, spec = asked_for(request, caller, name)
    asked = asking.submitted(resolved, spec, request.POST)
    return render(request, "web/jobs/data.html", _data(request, caller, resolved, asked, {}))


@require_POST
@page
def config(request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
    """Form to text, or text to form (`source` is "text"): both are read and written here alone."""
    resolved, spec = asked_for(request, caller, name)
    asked, schema = asking.submitted(resolved, spec, request.POST), resolved.family.parameters
    if request.POST.get("source") != "text":
        shown = parameters.readable(schema, asked.typed)
        return JsonResponse({"text": asking.as_text(asked, schema), "config": shown, "fault": ""})
    try:
        given = asking.read_given(request.POST.get("config_text", ""), "config_text")
    except NeurocaasError as error:
        return JsonResponse({"fault": str(error)})
    asked = asking.with_given(asked, resolved, given, "")
    return JsonResponse(
        {
            "texts": asked.typed.texts,
            "config": parameters.readable(schema, asked.typed),
            "swept": asked.typed.swept if given.points else None,
            "points": asked.points if given.points else None,
            "seed": asked.seed,
            "text": asking.as_text(asked, schema) if given.seed is not None else None,
            "fault": asking.unknown(resolved, given.config),
        }
    )


def asked_for(request: HttpRequest, caller: Caller, name: str) -> tuple[Resolved, str]:
    """The version that the form is about, and how it was asked for. Raises NotFound, or Forbidden for no group."""
    check_visible(this_site(), caller, name)
    caller.require_group()
    version = request.GET.get("version", "")
    return resolve(name, version), f"{name}@{version}" if version else name


def _act(request: HttpRequest, caller: Caller, resolved: Resolved, asked: Asked) -> HttpResponse:
    """What the pressed button asks for. Faults come back in the form, with status 422."""
    name, schema = resolved.version.name, resolved.family.parameters
    try:
        match request.POST.get("action", "submit"):
            case "find":
                return _form(request, caller, resolved, asked)
            case "read":
                given = asking.read_given(*_text_given(request))
                return _form(request, caller, resolved, asking.with_given(asked, resolved, given, "the text"))
            case "load":
                loaded = _with_saved(caller, resolved, asked, request.POST.get("saved", ""))
                return _form(request, caller, resolved, loaded)
            case "forget":
                gone = saved.delete(caller, name, request.POST.get("saved", ""))
                messages.success(request, f"The configuration {gone.name} was deleted.")
                return _form(request, caller, resolved, asked)
            case "keep":
                kept = saved.save(caller, name, request.POST.get("save_name", ""), asked.config(schema))
                messages.success(request, f"{kept.name} was saved; everybody in {caller.group} can load it.")
                return _form(request, caller, resolved, asked)
        wished = asked.request(caller, schema)
        throttled(SUBMITTING, request, caller)
        job_id = submit_form(this_site(), caller, UUID(asked.key), wished)
    except NeurocaasError as error:
        if not told_at_fields(error):
            raise
        faults = by_field(str(error), parameters.properties(schema))
        return _form(request, caller, resolved, asked, faults)
    return HttpResponseRedirect(job_page(job_id))


def _text_given(request: HttpRequest) -> tuple[str, str]:
    """The text of the editor, or of the file if there is one, and what to call it."""
    file = request.FILES.get("config_file")
    if file is None:
        return request.POST.get("config_text", ""), "config_text"
    if (file.size or 0) > MAX_CONFIG_BYTES:
        raise Refused("config_text: the file is larger than 4 MiB; a config of a few lines is right.")
    try:
        return file.read().decode(), "config_text"
    except UnicodeDecodeError:
        raise Refused("config_text: the file is not text; a YAML or JSON file is right.") from None


def _with_saved(caller: Caller, resolved: Resolved, asked: Asked, identity: str) -> Asked:
    one = saved.one(caller, resolved.version.name, identity)
    return asking.with_given(asked, resolved, asking.Given(config=one.config), f"the configuration {one.name}")


def _form(
    request: HttpRequest, caller: Caller, resolved: Resolved, asked: Asked, faults: Faults | None = None
) -> HttpResponse:
    schema = resolved.family.parameters
    shown = {
        "saved": saved.saved(caller, resolved.version.name),
        "sample": has_sample(resolved),
        "config_text": asking.as_text(asked, schema),
        "faulty": bool(faults),
        **_data(request, caller, resolved, asked, faults or {}),
        **_fields(resolved, asked, faults or {}),
    }
    if faults and faults.get("config_text"):
        shown["config_text"] = request.POST.get("config_text", "")
    return render(request, "web/jobs/new.html", shown, status=422 if faults else 200)


def _fields(resolved: Resolved, asked: Asked, faults: Faults) -> dict[str, Any]:
    blueprint = resolved.version.blueprint
    return {
        "name": blueprint.name,
        "version_asked": asked.spec.partition("@")[2],
        "blueprint": blueprint,
        "label": resolved.label,
        "asked": asked,
        "parts": parameters.parts(resolved.family.parameters, asked.typed, faults),
        "faults": faults,
        "form_faults": faults.get("", ()),
        "input_faults": [
            (name, faults.get(f"input.{name}", ())) for name in blueprint.inputs if name != blueprint.main_input[0]
        ],
        "sets_up": resolved.family.preview is not None,
        "longest": blueprint.limits.timeout_minutes,
        "providers": this_site().providers.names,
    }


def _data(request: HttpRequest, caller: Caller, resolved: Resolved, asked: Asked, faults: Faults) -> dict[str, Any]:
    found = choice(
        caller,
        resolved.version.blueprint,
        asked.data,
        asked.more,
        search=request.POST.get("search", "")[:200],
        tag=request.POST.get("tag", "")[:60],
        faults=faults,
    )
    return found | {"name": resolved.version.name, "version_asked": asked.spec.partition("@")[2]}
