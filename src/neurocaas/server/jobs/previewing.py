"""The run before a set-up page: an ordinary job of one stack, found again where it was made before."""

from __future__ import annotations

from dataclasses import replace

from neurocaas.blueprint import Family
from neurocaas.errors import NotFound, Refused
from neurocaas.server.groups.scope import Caller, To
from neurocaas.server.jobs.admission import Admissible
from neurocaas.server.jobs.delivered import delivered
from neurocaas.server.jobs.models import Stack
from neurocaas.server.jobs.status import ENDED, Status
from neurocaas.server.jobs.submit import Request

LOOKED_AT = 20


def preview_request(family: Family, request: Request, dataset: str) -> Request:
    """The job that makes the preview of one of the datasets of the job that is asked for. The analysis has one.

    Its one stack has the inputs, config and seed that the step of that job will have, and so answers it. Raises Refused
    for a parameter that is not right, or an input that the preview needs and that is not given.
    """
    preview = family.preview
    if preview is None:
        raise NotFound(f"{family.version.short} has no page for its set-up.")
    own, other = family.version.blueprint, preview.family.version
    given = {**request.more, own.main_input[0]: dataset}
    inputs = {name: given[source] for name, source in preview.inputs.items() if source in given}
    main = other.blueprint.main_input[0]
    if main not in inputs:
        source = preview.inputs[main]
        raise Refused(f"input {source}: it is missing; the preview needs it.")
    return replace(
        request,
        analysis=f"{other.name}@{other.digest}",
        data=(inputs.pop(main),),
        more=inputs,
        config=preview.config(family, request.config),
        points=(),
        timeout_minutes=None,
        save=False,
        fresh=False,
    )


def made_before(caller: Caller, admissible: Admissible) -> Stack | None:
    """A stack of the caller's group that is this very run, and that the caller may read: the newest one whose results
    are there, else the newest that has not ended, else the newest."""
    key = admissible.found.keys.get(0, "")
    if not key:
        return None
    same = Stack.objects.filter(reuse_key=key, job__in=caller.jobs(To.READ).filter(group_id=admissible.group))
    newest = list(same.select_related("job", "step", "reused_from__job").order_by("-pk")[:LOOKED_AT])
    there = delivered(newest)
    wanted = (
        [one for one in newest if one.pk in there],
        [one for one in newest if one.status not in ENDED],
        [one for one in newest if one.status != Status.SUCCEEDED],
    )
    return next((some[0] for some in wanted if some), None)
