"""What runs of an analysis usually took on this site, and what they cost: for who has not submitted anything yet."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import F

from neurocaas.blueprint import Family
from neurocaas.cost import Interval, Run, fit
from neurocaas.server.jobs.models import Attempt
from neurocaas.server.jobs.status import Status
from neurocaas.server.site import Site

LOOKED_AT = 200


@dataclass(frozen=True, kw_only=True)
class Typical:
    """One part of an analysis. runs: how many were looked at, on `instance_type`, the kind most of them ran on.

    seconds, dollars: of one stack with an input of the usual size; None with too few runs to tell.
    """

    name: str
    runs: int
    instance_type: str
    input_bytes: int
    seconds: Interval | None
    nanodollars: int


def typical(site: Site, family: Family) -> list[Typical]:
    """Each analysis that the family consists of and that ran here. One query for each."""
    members = {one.version.name for one in (family, *family.descendants()) if one.version.blueprint.workflow}
    found = (_typical(site, name) for name in sorted(members))
    return [one for one in found if one is not None]


def _typical(site: Site, name: str) -> Typical | None:
    rows = list(
        Attempt.objects.filter(
            stack__step__analysis=name,
            status=Status.SUCCEEDED,
            provider=site.providers.name,
            started_at__isnull=False,
            ended_at__isnull=False,
        )
        .order_by("-pk")
        .values_list(
            "instance_type", "stack__input_bytes", F("ended_at") - F("started_at"), "stack__charged_nanodollars"
        )[:LOOKED_AT]
    )
    if not rows:
        return None
    kind = statistics.mode([row[0] for row in rows])
    same = [row for row in reversed(rows) if row[0] == kind]
    size = int(statistics.median(row[1] for row in same))
    return Typical(
        name=name,
        runs=len(same),
        instance_type=kind,
        input_bytes=size,
        seconds=_seconds([Run(input_bytes=row[1], seconds=max(0.0, row[2].total_seconds())) for row in same], size),
        nanodollars=int(statistics.median(row[3] for row in same)),
    )


def _seconds(runs: Sequence[Run], size: int) -> Interval | None:
    forecast = fit(runs)
    return forecast.predict(size) if forecast else None
