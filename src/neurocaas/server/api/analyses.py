"""The analyses that the caller's group may use: what they take, their parameters, their versions, their sample data."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Path as PathParameter
from ninja import Router
from zipstream import ZipStream

from neurocaas.blueprint import Family
from neurocaas.client.documents import AnalysisDescription, AnalysisSummary
from neurocaas.errors import NeurocaasError
from neurocaas.server.analyses import Resolved
from neurocaas.server.api.answers import ZIP, answers, asking
from neurocaas.server.api.streams import streamed
from neurocaas.server.api.throttles import SUBMITTING, check
from neurocaas.server.groups.deployed import check_access, usable
from neurocaas.server.sample import write_sample
from neurocaas.server.serving.wiring import this_site

Spec = Annotated[str, PathParameter(min_length=1, max_length=140, description="A name, or name@version.")]
router = Router(tags=["analyses"])


@router.get("/analyses", response=answers(list[AnalysisSummary]))
def list_analyses(request: HttpRequest) -> list[dict[str, Any]]:
    """The analyses that your group may use, each in its current version; those that are faulty now are left out."""
    site, found = this_site(), []
    for name in usable(asking(request).require_group(), site.repo.names()):
        try:
            found.append(_summary(site.analyses.resolve(name), list(site.analyses.archived(name))))
        except NeurocaasError:  # its developer is told by the command line; whoever only uses others is spared
            continue
    return found


@router.get("/analyses/{spec}", response=answers(AnalysisDescription))
def get_analysis(request: HttpRequest, spec: Spec) -> dict[str, Any]:
    """One version of an analysis: its blueprint, and the JSON Schema of its parameters."""
    resolved = _resolved(request, spec)
    return _family(resolved.family) | {"label": resolved.label, "git_commit": resolved.git_commit}


@router.get("/analyses/{spec}/sample", response=answers(None), openapi_extra=ZIP)
def get_sample(request: HttpRequest, spec: Spec) -> HttpResponseBase:
    """The sample data of an analysis, as a zip archive; made now if it has a generator."""
    resolved, site = _resolved(request, spec), this_site()
    check(SUBMITTING, request)
    name = resolved.version.name
    folder = site.settings.state / "exports"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = tempfile.TemporaryDirectory(prefix="sample-", dir=folder)
    try:
        files = write_sample(site, spec, Path(temporary.name) / "data", progress=lambda _: None)
    except BaseException:
        temporary.cleanup()
        raise
    return streamed(request, _zipped(files, temporary), f"{name}-sample.zip", content_type="application/zip")


def _resolved(request: HttpRequest, spec: str) -> Resolved:
    check_access(asking(request).require_group(), spec.partition("@")[0])
    return this_site().analyses.resolve(spec)


def _summary(resolved: Resolved, versions: list[str]) -> dict[str, Any]:
    blueprint = resolved.version.blueprint
    return {
        "name": resolved.version.name,
        "version": resolved.version.digest,
        "label": resolved.label,
        "committed": resolved.git_commit is not None,
        "title": blueprint.title,
        "summary": blueprint.summary,
        "versions": versions,
    }


def _family(family: Family) -> dict[str, Any]:
    version = family.version
    return {
        "version": version.digest,
        "label": version.short,
        "git_commit": None,
        "blueprint": version.blueprint.model_dump(mode="json", by_alias=True),
        "parameters": family.parameters,
        "parts": {name: _family(part) for name, part in family.children.items()},
    }


def _zipped(files: list[Path], folder: tempfile.TemporaryDirectory[str]) -> Iterator[bytes]:
    try:
        archive = ZipStream(sized=True)
        for file in files:
            archive.add_path(str(file), file.name)
        yield from archive
    finally:
        folder.cleanup()
