"""Sample data of an analysis: to download, or staged for a first job."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path, PurePath

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode

from neurocaas.errors import NotFound
from neurocaas.server.analyses import Resolved
from neurocaas.server.catalogue.listing import check_visible
from neurocaas.server.catalogue.samples import samples
from neurocaas.server.groups.scope import Caller
from neurocaas.server.jobs.datasets import kinds
from neurocaas.server.serving.wiring import desk, this_site
from neurocaas.server.uploads.completing import store_file
from neurocaas.server.web.analyses import resolve
from neurocaas.server.web.pages import page


@page
def show(request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
    """The sample's files, once they are made; until then the page looks again by itself. POST: try it with them."""
    check_visible(this_site(), caller, name)
    resolved = resolve(name)
    trying = request.method == "POST" or "try" in request.GET
    if trying:
        caller.require_group()
    files = samples.get(this_site(), resolved)
    shown = {
        "name": name,
        "title": resolved.version.blueprint.title,
        "files": [(one.name, one.stat().st_size) for one in files or ()],
        "making": files is None,
        "said": samples.said(this_site(), resolved),
        "trying": trying,
    }
    if trying and files is not None:
        return _go(request, _staged(caller, resolved, files))
    if getattr(request, "htmx", False):
        return render(request, "web/analyses/sample_files.html", shown)
    if request.method == "POST":
        return HttpResponseRedirect(f"{reverse('sample', args=[name])}?try=1")
    return render(request, "web/analyses/sample.html", shown)


@page
def download(_: HttpRequest, caller: Caller, name: str, file: str) -> HttpResponseBase:
    """One file of the sample, as an attachment."""
    check_visible(this_site(), caller, name)
    found = next((one for one in samples.get(this_site(), resolve(name)) or () if one.name == file), None)
    if found is None:
        raise NotFound(f"The sample data of {name} has no file {file[:80]!r}.")
    return FileResponse(found.open("rb"), as_attachment=True, filename=found.name)


def _staged(caller: Caller, resolved: Resolved, files: list[Path]) -> str:
    """Stage the files in the caller's group. Returns the address of a new job on those that are datasets."""
    name, (_, main) = resolved.version.name, resolved.version.blueprint.main_input
    chosen = [one for one in files if PurePath(one.name).suffix.lower() in kinds(main)]
    ids = []
    with tempfile.TemporaryDirectory(prefix="neurocaas-sample-") as temporary:
        for one in chosen:
            copy = Path(shutil.copyfile(one, Path(temporary) / one.name))
            item = store_file(desk(), caller.group, caller.user, one.name, copy, origin=f"sample of {name}")
            ids.append(str(item.id))
    return f"{reverse('new_job', args=[name])}?{urlencode({'data': ids}, doseq=True)}"


def _go(request: HttpRequest, address: str) -> HttpResponse:
    if not getattr(request, "htmx", False):
        return HttpResponseRedirect(address)
    answer = HttpResponse(status=204)
    answer["HX-Redirect"] = address
    return answer
