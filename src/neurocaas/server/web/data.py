"""The page of staged data: what a group has, what arrives, what is fetched from elsewhere, and what used it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import TextField
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from neurocaas.errors import NeurocaasError, NotFound
from neurocaas.server.accounts import audit
from neurocaas.server.api.throttles import IMPORTING
from neurocaas.server.groups.scope import Caller
from neurocaas.server.imports import requests
from neurocaas.server.jobs.models import Job, Stack
from neurocaas.server.serving.wiring import desk, this_site
from neurocaas.server.uploads import items as staged
from neurocaas.server.uploads.models import Content, Form, Tag
from neurocaas.server.uploads.quotas import quota
from neurocaas.server.web.pages import page
from neurocaas.server.web.throttling import throttled

FILES_SHOWN = 200
JOBS_SHOWN = 20
JOBS_LOOKED_AT = 1_000
IMPORTS_SHOWN = 5
TAGS_SHOWN = 200


class ImportForm(forms.Form):
    """Data that is elsewhere."""

    url = forms.CharField(
        label="Address",
        max_length=4000,
        help_text="https:// or s3://bucket/key, or a file's address in the DANDI archive.",
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off", "spellcheck": "false"}),
    )
    tags = forms.CharField(label="Tags", required=False, help_text="Parted by commas.")


@page
def index(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Search, upload, import."""
    if not caller.group:
        return redirect("group")
    if getattr(request, "htmx", False) and request.headers.get("HX-Target") == "found":
        return render(request, "web/data/found.html", _found(request, caller))
    return _index(request, caller, ImportForm())


@require_POST
@page
def begin(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Have a file fetched from elsewhere. What is wrong with its address is told at the field."""
    form = ImportForm(request.POST)
    if form.is_valid():
        throttled(IMPORTING, request, caller)
        try:
            made = requests.begin_import(
                this_site(), caller, form.cleaned_data["url"], _words(form.cleaned_data["tags"])
            )
        except NeurocaasError as fault:
            form.add_error("tags" if fault.message.startswith("tags:") else "url", str(fault))
        else:
            messages.success(request, f"{made.name} is being fetched.")
            return redirect("data")
    return _index(request, caller, form, status=422)


@page
def imports(request: HttpRequest, caller: Caller) -> HttpResponse:
    """How far imports have come: asked again by the page while one is open. `open`: how many it knows to be."""
    shown = _imports(caller)
    answer = render(request, "web/data/imports.html", shown)
    if request.GET.get("open", "") not in {"", str(shown["open"])}:
        answer["HX-Trigger"] = "data-came"
    return answer


@require_POST
@page
def cancel(request: HttpRequest, caller: Caller, import_id: str) -> HttpResponse:
    """Have an import not go on."""
    one = requests.cancel_import(this_site(), caller, import_id)
    messages.success(request, f"{one.name} is not fetched any more.")
    return redirect("data")


@page
def show(request: HttpRequest, caller: Caller, item_id: str) -> HttpResponse:
    """One file or folder: what it is, what is in it, which jobs used it."""
    return _show(request, caller, item_id)


@require_POST
@page
def tag(request: HttpRequest, caller: Caller, item_id: str) -> HttpResponse:
    """Give it other tags."""
    try:
        staged.set_tags(caller.require_group(), item_id, _words(request.POST.get("tags", "")))
    except NotFound:
        raise
    except NeurocaasError as fault:
        return _show(request, caller, item_id, fault=str(fault), status=422)
    return redirect("data_item", item_id)


@require_POST
@page
def keep(request: HttpRequest, caller: Caller, item_id: str) -> HttpResponse:
    """Keep it whatever the site's policy says, or no longer."""
    staged.keep(caller.require_group(), item_id, request.POST.get("keep") == "yes")
    return redirect("data_item", item_id)


@require_POST
@page
def delete(request: HttpRequest, caller: Caller, item_id: str) -> HttpResponse:
    """Delete it, unless a job that has not ended needs it, which is told."""
    one = staged.item(caller.require_group(), item_id)
    staged.delete(desk(), caller.group, item_id)
    audit.record("deleted data", one.name, user=caller.user, group=caller.group, request=request)
    messages.success(request, f"{one.name} is deleted.")
    return redirect("data")


def _index(request: HttpRequest, caller: Caller, form: ImportForm, status: int = 200) -> HttpResponse:
    shown = {
        **_found(request, caller),
        **_imports(caller),
        "form": form,
        "quota": quota(desk(), caller.group),
        "days": this_site().settings.site.web.data_days,
    }
    return render(request, "web/data/index.html", shown, status=status)


def _found(request: HttpRequest, caller: Caller) -> dict[str, Any]:
    """The list, of the caller's group or of one that lets it see its data."""
    groups = caller.data_groups()
    of = request.GET.get("of", "") or caller.group
    if of not in groups:
        raise NotFound(f"There is no group {of[:80]!r} whose data {caller.group} may see.")
    search, wanted = request.GET.get("search", "").strip()[:200], request.GET.get("tag", "")[:60]
    found = staged.items(of, search, wanted, request.GET.get("cursor", ""))
    tags = Tag.objects.filter(item__group_id=of).order_by("text").values_list("text", flat=True).distinct()
    return {
        "groups": groups,
        "of": of,
        "ours": of == caller.group,
        "search": search,
        "tag": wanted,
        "tags": list(tags[:TAGS_SHOWN]),
        "items": found.items,
        "cursor": found.cursor,
        "narrowed": bool(search or wanted or request.GET.get("cursor")),
    }


def _imports(caller: Caller) -> dict[str, Any]:
    listed = requests.list_imports(caller, count=requests.MOST_OPEN).imports
    going = [one for one in listed if one.open]
    ended = [one for one in listed if not one.open]
    return {"imports": [*going, *ended[:IMPORTS_SHOWN]], "open": len(going)}


def _show(request: HttpRequest, caller: Caller, item_id: str, fault: str = "", status: int = 200) -> HttpResponse:
    item = staged.item(caller.require_group(), item_id)
    parts = Content.objects.values_list("parts", flat=True).get(pk=item.content_id)
    folder = item.content.form == Form.FOLDER
    shown = {
        "item": item,
        "folder": folder,
        "files": [(path, size) for path, _, size in parts[:FILES_SHOWN]],
        "more": max(0, len(parts) - FILES_SHOWN),
        "count": len(parts),
        "tags": ", ".join(sorted(one.text for one in item.tags.all())),
        "jobs": _jobs(caller, item.content_id.hex),
        "looked_at": JOBS_LOOKED_AT,
        "days": this_site().settings.site.web.data_days,
        "fault": fault,
    }
    return render(request, "web/data/item.html", shown, status=status)


def _jobs(caller: Caller, place: str) -> list[Job]:
    """The group's jobs that took this as an input, newest first, of those that it submitted last: two queries."""
    lately = list(caller.own_jobs().order_by("-submitted_at").values_list("pk", flat=True)[:JOBS_LOOKED_AT])
    used = Stack.objects.annotate(text=Cast("inputs", TextField())).filter(
        job__in=lately, text__contains=f"/data/{place}"
    )
    return list(Job.objects.filter(pk__in=used.values("job_id")).order_by("-submitted_at")[:JOBS_SHOWN])


def _words(text: str) -> list[str]:
    return text.split(",")
