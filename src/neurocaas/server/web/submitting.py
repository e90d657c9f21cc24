"""From the form of a new job to the job: once, however often the button is pressed."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from neurocaas.errors import NeurocaasError
from neurocaas.server.api.submitting import submit_under
from neurocaas.server.groups.scope import Caller
from neurocaas.server.jobs.admission import Admissible
from neurocaas.server.jobs.submit import Request, prepare
from neurocaas.server.site import Site
from neurocaas.server.uploads.staging import stage_items


def prepared(site: Site, caller: Caller, request: Request) -> Admissible:
    """The job that is asked for, found right. Raises as `submit.prepare` does."""
    return prepare(site, request, partial(stage_items, caller.data_groups()))


def submit_form(site: Site, caller: Caller, key: UUID, request: Request) -> str:
    """The id of the job that this form became, now or when it was submitted before. Raises as `submit` does."""
    return submit_under(site, caller, str(key), "a form", partial(prepared, site, caller, request)).id


def told_at_fields(error: NeurocaasError) -> bool:
    """Whether the error is the form's own fault, and so is shown in it."""
    return error.http_status in {404, 409, 422}
