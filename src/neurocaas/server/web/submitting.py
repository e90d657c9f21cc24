"""From the form of a new job to the job: once, however often the button is pressed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import IntegrityError, transaction

from neurocaas.errors import NeurocaasError
from neurocaas.server.groups.scope import Caller
from neurocaas.server.jobs import daemon
from neurocaas.server.jobs.admission import Admissible, admit
from neurocaas.server.jobs.submit import Request, prepare
from neurocaas.server.site import Site
from neurocaas.server.uploads.staging import stage_items
from neurocaas.server.web.models import SubmittedForm

KEPT = timedelta(days=7)


def prepared(site: Site, request: Request) -> Admissible:
    """The job that is asked for, found right. Raises as `submit.prepare` does."""
    return prepare(site, request, partial(stage_items, request.group))


def submit_form(site: Site, caller: Caller, key: UUID, request: Request) -> str:
    """The id of the job that this form became, now or when it was submitted before. Raises as `submit` does."""
    job_id = _earlier(caller, key) or _submit(caller, key, prepared(site, request))
    daemon.wake(site.settings)
    return job_id


def _submit(caller: Caller, key: UUID, admissible: Admissible) -> str:
    """In the transaction of the admission: a process killed at any moment leaves both, job and key, or neither."""
    now = datetime.now(UTC)
    try:
        with transaction.atomic():
            SubmittedForm.objects.filter(at__lt=now - KEPT).delete()
            row = SubmittedForm.objects.create(user=caller.user, key=key, at=now)
            row.job = admit(admissible).id
            row.save(update_fields=["job"])
    except IntegrityError:  # the button was pressed twice at once, and the other press won
        if earlier := _earlier(caller, key):
            return earlier
        raise
    return row.job


def _earlier(caller: Caller, key: UUID) -> str:
    found = SubmittedForm.objects.filter(user=caller.user, key=key).values_list("job", flat=True).first()
    return found or ""


def told_at_fields(error: NeurocaasError) -> bool:
    """Whether the error is the form's own fault, and so is shown in it."""
    return error.http_status in {404, 409, 422}
