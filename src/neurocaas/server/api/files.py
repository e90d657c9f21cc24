"""What a job gives: its files one by one over short-lived links, or all at once, and its certificate and crate."""

from __future__ import annotations

import contextlib
import functools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from ninja import Query, Router
from zipstream import ZipStream

from neurocaas.client.documents import FileDocument
from neurocaas.errors import NotFound, Refused
from neurocaas.server.accounts.callers import caller_of
from neurocaas.server.api.answers import FILE, ZIP, JobId, answers, asking
from neurocaas.server.api.streams import stored, streamed
from neurocaas.server.groups.scope import Caller, To
from neurocaas.server.groups.scope import caller as caller_now
from neurocaas.server.jobs.deliverables import Deliverable, deliverables, find_deliverable
from neurocaas.server.jobs.models import Job
from neurocaas.server.jobs.status import ENDED
from neurocaas.server.serving.wiring import this_site
from neurocaas.server.site import Site
from neurocaas.storage import Store, keys
from neurocaas.storage.s3 import S3Store

LINK_SECONDS = 15 * 60
SALT = "neurocaas.files"
router = Router(tags=["results"])


@router.get("/jobs/{job_id}/files", response=answers(list[FileDocument]))
def list_files(request: HttpRequest, job_id: JobId) -> list[dict[str, Any]]:
    """The files of a job that are there by now, each with a link that works for 15 minutes."""
    caller, store = asking(request), this_site().store
    job = caller.job(job_id, To.READ)
    return [
        {"path": one.path, "size_bytes": one.size_bytes, "sha256": one.sha256, "url": link(caller, job, one)}
        for one in deliverables(store, job)
    ]


@router.get("/files/{signature}", auth=None, url_name="file", response=answers(None), openapi_extra=FILE)
def get_file(request: HttpRequest, signature: str, inline: bool = False) -> HttpResponseBase:
    """One file, by the link that a list of files gave; parts of it by Range. The link itself says who may have it."""
    try:
        user, group, job_id, path, key = signing.loads(signature, salt=SALT, max_age=LINK_SECONDS)
    except (signing.BadSignature, ValueError, TypeError):
        raise NotFound("This link has expired, or is none; a new one from the list of files is right.") from None
    asking_now = caller_of(request)
    if asking_now is not None and asking_now.user != user:
        raise NotFound("This link was made for somebody else; one of your own is right.")
    job = caller_now(user, group).job(job_id, To.READ)  # what was revoked since the link was made, is
    store, filename = this_site().store, path.rpartition("/")[2]
    if key:
        return redirect(store, key, filename) or stored(request, store, key, filename, inline=inline)
    log = find_deliverable(store, job, path)
    return streamed(request, log.blocks(store), filename, content_type="text/plain; charset=utf-8", inline=inline)


@router.get("/jobs/{job_id}/archive.zip", response=answers(None), openapi_extra=ZIP)
def get_archive(
    request: HttpRequest, job_id: JobId, path: Annotated[list[str], Query(default_factory=list, max_length=100)]
) -> HttpResponseBase:
    """The files of a job as one zip archive; those at or below each `path`, or all if none is given."""
    store, job = this_site().store, asking(request).job(job_id, To.READ)
    chosen = [one for one in deliverables(store, job) if not path or _below(one.path, path)]
    if not chosen:
        raise NotFound(f"Job {job.id} has no such files.", remedy="The list of its files has them all.")
    return streamed(request, _archive(store, job, chosen), f"{job.id}.zip", content_type="application/zip")


@router.get("/jobs/{job_id}/certificate", response=answers(dict[str, Any]))
def get_certificate(request: HttpRequest, job_id: JobId) -> HttpResponse:
    """The certificate of a job that has ended, byte for byte as it was signed."""
    job = asking(request).job(job_id, To.READ)
    return HttpResponse(certificate_of(this_site(), job), content_type="application/json")


@router.get("/jobs/{job_id}/crate", response=answers(None), openapi_extra=ZIP)
def get_crate(request: HttpRequest, job_id: JobId) -> HttpResponseBase:
    """A job that has ended as a Workflow Run RO-Crate: its results, workflows and provenance for other tools."""
    site, job = this_site(), asking(request).job(job_id, To.READ)
    certificate = json.loads(certificate_of(site, job))
    folder = tempfile.TemporaryDirectory(prefix="crate-", dir=_scratch(site))
    with contextlib.ExitStack() as stack:
        stack.callback(folder.cleanup)
        file = write_crate(site, job, certificate, Path(folder.name))
        stack.pop_all()
    return streamed(request, _sent_and_gone(file, folder), f"{job.id}-crate.zip", content_type="application/zip")


def link(caller: Caller, job: Job, file: Deliverable) -> str:
    """An address of the file that works for a while, for this caller, as long as they may read the job."""
    group = job.group_id if job.group_id in caller.roles else caller.group
    signature = signing.dumps([caller.user, group, job.id, file.path, file.key], salt=SALT, compress=True)
    return reverse("api:file", args=[signature])


def certificate_of(site: Site, job: Job) -> bytes:
    """Raises Refused if the job has not ended."""
    if job.status not in ENDED:
        raise Refused(f"Job {job.id} has not ended: it is {job.status}, and has no certificate yet.")
    return site.store.get(keys.certificate(job.group_id, job.id))


def write_crate(site: Site, job: Job, certificate: dict[str, Any], folder: Path) -> Path:
    """The crate of a job, as a file in the folder."""
    from neurocaas.certificate.crate import write_crate as write
    from neurocaas.server.jobs.results import fetch

    fetch(site.store, job, folder / "results")
    analysis = certificate["analysis"]
    named = {analysis["version"]: analysis["name"]}
    named |= {step["version"]: step["analysis"] for step in certificate.get("steps", ())}
    workflows = {digest: site.analyses.folder(name, digest) for digest, name in named.items()}
    return write(certificate, folder / "results", folder / "crate.zip", workflows=workflows)


def redirect(store: Store, key: str, filename: str) -> HttpResponseBase | None:
    """To the store itself, where it hands out links; None where this site sends the file."""
    if not isinstance(store, S3Store):
        return None
    return HttpResponseRedirect(_presigner(store).download_url(key, filename, seconds=LINK_SECONDS))


@functools.cache
def _presigner(store: S3Store) -> Any:
    from neurocaas.storage.multipart import Multipart

    return Multipart(store)


def _below(path: str, wanted: list[str]) -> bool:
    return any(path == one or path.startswith(one.rstrip("/") + "/") for one in wanted)


def _archive(store: Store, job: Job, files: list[Deliverable]) -> Iterator[bytes]:
    """Written as it is sent: larger than 4 GiB where it is, and never on this site's disk."""
    archive = ZipStream()
    for one in files:
        archive.add(one.blocks(store), f"{job.id}/{one.path}", size=one.size_bytes)
    yield from archive


def _sent_and_gone(file: Path, folder: tempfile.TemporaryDirectory[str]) -> Iterator[bytes]:
    try:
        with file.open("rb") as source:
            while block := source.read(1 << 18):
                yield block
    finally:
        folder.cleanup()


def _scratch(site: Site) -> Path:
    """Results may be too large for /tmp."""
    folder = site.settings.state / "exports"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
