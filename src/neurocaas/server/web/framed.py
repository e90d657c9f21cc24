"""Pages that come with analyses: each the document of a frame that has no origin, no cookies and no network."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from neurocaas.blueprint import Version
from neurocaas.errors import NeurocaasError, NotFound
from neurocaas.server.catalogue.listing import check_visible
from neurocaas.server.groups.scope import Caller, To
from neurocaas.server.jobs.models import Job
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.web.analyses import resolve
from neurocaas.server.web.pages import page

# Whoever wrote the analysis wrote the page: it runs apart from this site, and reaches nothing by itself. What it may
# see, the site's own page around it hands to it.
POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)


@page
def setup_page(request: HttpRequest, caller: Caller, name: str) -> HttpResponse:
    """The set-up page of the version `?version=`, the current one if none is named."""
    check_visible(this_site(), caller, name)
    return _document(resolve(name, request.GET.get("version", "")).version, "setup")


@page
def results_page(_request: HttpRequest, caller: Caller, job_id: str) -> HttpResponse:
    """The results page of the version that a job ran."""
    job = caller.job(job_id, To.READ)
    return _document(this_site().analyses.version(job.analysis, job.version), "results")


def setup_address(version: Version) -> str:
    return f"{reverse('setup_page', args=[version.name])}?{urlencode({'version': version.digest})}"


def has_results_page(job: Job) -> bool:
    """Whether the version that the job ran has one. A version that can't be had any more has none."""
    try:
        return this_site().analyses.version(job.analysis, job.version).blueprint.pages.results is not None
    except NeurocaasError:
        return False


def _document(version: Version, which: str) -> HttpResponse:
    file = version.blueprint.pages.files.get(which)
    if file is None:
        raise NotFound(f"{version.short} has no page of its own for this.")
    content = (this_site().analyses.folder(version.name, version.digest) / file).read_bytes()
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Frame-Options": "SAMEORIGIN",
        "X-Content-Type-Options": "nosniff",
        "X-DNS-Prefetch-Control": "off",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "private, no-cache",
    }
    return HttpResponse(content, content_type="text/html; charset=utf-8", headers=headers)
