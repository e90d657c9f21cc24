"""The pages about analyses: all of them, one of them, and what changed between two of its versions."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from neurocaas.errors import NotFound
from neurocaas.server.accounts.callers import page_caller
from neurocaas.server.analyses import Resolved
from neurocaas.server.catalogue import versions as history
from neurocaas.server.catalogue.listing import check_visible, listed, search
from neurocaas.server.catalogue.samples import has_sample
from neurocaas.server.catalogue.typical import typical
from neurocaas.server.groups.scope import Caller
from neurocaas.server.jobs.datasets import wanted
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.web import parameters
from neurocaas.server.web.pages import open_page, page
from neurocaas.server.web.parameters import Typed

ACCESS = {"public": True, "custom": False}


@open_page
def index(request: HttpRequest) -> HttpResponse:
    """Those that the caller may use; for visitors, those that are open to all."""
    everything = listed(this_site(), page_caller(request))
    words, subfield, access = (request.GET.get(name, "")[:200] for name in ("q", "subfield", "access"))
    shown = {
        "analyses": search(everything, words=words, subfield=subfield, public=ACCESS.get(access)),
        "count": len(everything),
        "subfields": sorted({one.subfield for one in everything if one.subfield}),
        "custom": any(not one.public for one in everything),
        "q": words,
        "subfield": subfield,
        "access": access,
    }
    template = "web/analyses/found.html" if _htmx(request) else "web/analyses/index.html"
    return render(request, template, shown)


@page
def show(request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
    """All there is to know of one version, the current one unless `?version=` names another."""
    check_visible(this_site(), caller, name)
    resolved = resolve(name, request.GET.get("version", ""))
    dated = history.versions(this_site(), name)
    return render(
        request,
        "web/analyses/show.html",
        _described(resolved)
        | {
            "versions": dated,
            "current": not request.GET.get("version"),
            "files": history.files(this_site(), resolved.version),
            "typical": typical(this_site(), resolved.family),
            "sample": has_sample(resolved),
        },
    )


@page
def changes(request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
    """What changed between the versions `?before=` and `?after=`: the newest two unless others are named."""
    check_visible(this_site(), caller, name)
    dated = history.versions(this_site(), name)
    if len(dated) < 2:
        raise NotFound(f"{name} has one version; there is nothing to compare it with.")
    before = resolve(name, request.GET.get("before") or dated[1].digest)
    after = resolve(name, request.GET.get("after") or dated[0].digest)
    return render(
        request,
        "web/analyses/changes.html",
        {
            "name": name,
            "title": after.version.blueprint.title,
            "versions": dated,
            "before": before.version,
            "after": after.version,
            "same_results": before.version.execution_digest == after.version.execution_digest,
            "changes": history.changes(this_site(), before.version, after.version),
        },
    )


def resolve(name: str, version: str = "") -> Resolved:
    """The current version of an analysis, or the one with this digest. Raises NotFound, Ambiguous, Refused."""
    return this_site().analyses.resolve(f"{name}@{version[:64]}" if version else name)


def _described(resolved: Resolved) -> dict[str, Any]:
    """The version as its page shows it."""
    blueprint, family = resolved.version.blueprint, resolved.family
    outputs = [(name, one, "") for name, one in blueprint.outputs.items()]
    for part, child in family.children.items():
        outputs += [(f"{part}.{name}", one, part) for name, one in child.version.blueprint.outputs.items()]
    return {
        "name": blueprint.name,
        "resolved": resolved,
        "version": resolved.version,
        "blueprint": blueprint,
        "document": json.dumps(blueprint.model_dump(mode="json", by_alias=True, exclude_defaults=True), indent=2),
        "inputs": [(name, one, wanted(one)) for name, one in blueprint.inputs.items()],
        "parts": parameters.parts(family.parameters, Typed(), {}),
        "outputs": outputs,
        "children": [(name, child.version) for name, child in family.children.items()],
    }


def _htmx(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))
