"""From what is found right to a job that runs: once, however often the client asks under one key."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpRequest

from neurocaas.documents import digest_of
from neurocaas.errors import Refused
from neurocaas.server.api.models import KEY_CHARACTERS, Submitted
from neurocaas.server.api.throttles import SUBMITTING, check
from neurocaas.server.groups.scope import Caller
from neurocaas.server.jobs import daemon
from neurocaas.server.jobs.admission import Admissible, admit
from neurocaas.server.jobs.models import Job
from neurocaas.server.site import Site

KEY_HEADER = "Idempotency-Key"
KEPT = timedelta(days=7)
_KEY = re.compile(rf"[!-~]{{1,{KEY_CHARACTERS}}}")


def submit_once(site: Site, request: HttpRequest, caller: Caller, asked: Any, prepare: Callable[[], Admissible]) -> Job:
    """The job that was asked for; the one there is already if it was asked for before under the same Idempotency-Key.

    Raises Refused if something else was asked for under that key.
    """
    check(SUBMITTING, request)
    key = request.headers.get(KEY_HEADER, "")
    if key and not _KEY.fullmatch(key):
        raise Refused(f"{KEY_HEADER}: 1 to {KEY_CHARACTERS} printable characters are right, as of a UUID.")
    return submit_under(site, caller, key, [request.path, caller.group, asked], prepare)


def submit_under(site: Site, caller: Caller, key: str, asked: Any, prepare: Callable[[], Admissible]) -> Job:
    """The same for whoever has a key already, as a form has; "" for none."""
    if not key:
        job = admit(prepare())
    else:
        digest = digest_of(asked)
        job = _earlier(caller, key, digest) or _admit_once(caller, key, digest, prepare())
    daemon.wake(site.settings)
    return job


def _admit_once(caller: Caller, key: str, digest: str, admissible: Admissible) -> Job:
    """In the transaction of the admission: a process killed at any moment leaves both, the job and its key, or none."""
    now = datetime.now(UTC)
    try:
        with transaction.atomic():
            Submitted.objects.filter(at__lt=now - KEPT).delete()
            row = Submitted.objects.create(user=caller.user, key=key, digest=digest, job="", at=now)
            job = admit(admissible)
            row.job = job.id
            row.save(update_fields=["job"])
    except IntegrityError:  # the same request came twice at once, and the other one won
        job_before = _earlier(caller, key, digest)
        if job_before is None:
            raise
        return job_before
    return job


def _earlier(caller: Caller, key: str, digest: str) -> Job | None:
    row = Submitted.objects.filter(user=caller.user, key=key).first()
    if row is None:
        return None
    if row.digest != digest:
        raise Refused(f"{KEY_HEADER}: job {row.job} was submitted under this key, and differs; a new key is right.")
    return caller.job(row.job)
