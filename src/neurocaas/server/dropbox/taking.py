"""From an object that appeared to a job or a refusal: exactly one, whoever is killed at whatever line.

A submission is known by what it says and by what the things are that it names, so that the same one at two places, or
twice at one, counts once, and the same words about other data do not. Its row is made in the transaction that admits
its job: both are there or none is, and one that was not recorded is simply taken again.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction

from neurocaas.blueprint.parameters import Config
from neurocaas.documents import digest_of, shown
from neurocaas.errors import Ambiguous, Forbidden, NotFound, Refused
from neurocaas.server.dropbox import asking, finding
from neurocaas.server.dropbox.asking import Asked
from neurocaas.server.dropbox.boxes import USER, Box, Boxes, group_of, own_place
from neurocaas.server.dropbox.bringing import Bringing
from neurocaas.server.dropbox.finding import Found
from neurocaas.server.dropbox.models import Arrival, Submission
from neurocaas.server.groups.deployed import check_access
from neurocaas.server.jobs.admission import admit
from neurocaas.server.jobs.models import Group
from neurocaas.server.jobs.submit import Request, prepare
from neurocaas.server.site import LOCAL_GROUP
from neurocaas.storage.drops import Drop

# What is not the submission's fault is tried again for so long before it is told.
PATIENCE = timedelta(hours=1)
FOR_GOOD = (Refused, NotFound, Ambiguous, Forbidden)
_DURATION = "__duration__"
_DATASET_SIZE = "__dataset_size__"
_NAME_CHARACTERS = 120
_MIB = 1 << 20


@dataclass
class Understood:
    """What a submission says and names, as far as that could be read; `fault` is where it ended, "" if nowhere.

    content: what makes it this submission and no other.
    """

    content: list[Any] = field(default_factory=list)
    timestamp: str = ""
    asked: Asked | None = None
    found: list[Found] = field(default_factory=list)
    config: Config = field(default_factory=dict)
    minutes: int | None = None
    more_storage_mib: int = 0
    fault: str = ""


def take(boxes: Boxes, box: Box, drop: Drop) -> Submission:
    """Record what this object is: a new submission, admitted or refused, or one that there is already.

    Raises what was nobody's fault (StorageFailed and the like), with nothing recorded: to be called again.
    """
    understood = understand(boxes, box, drop)
    content = digest_of(understood.content)
    if (earlier := _earlier(box, drop, content)) is not None:
        return _noted(box, drop, earlier)
    if understood.fault:
        return refuse(boxes, box, drop, understood, understood.fault)
    try:
        bringing = Bringing(site=boxes.site, group=group_of(drop.key), found=understood.found)
        admissible = prepare(boxes.site, _request(box, drop, understood), bringing)
        with transaction.atomic():
            job = admit(admissible)
            submission = _record(boxes, box, drop, understood, job=job, datasets=bringing.named)
    except FOR_GOOD as cause:
        return refuse(boxes, box, drop, understood, str(cause))
    return submission


def refuse(boxes: Boxes, box: Box, drop: Drop, understood: Understood, message: str) -> Submission:
    """Record that it was refused, and why."""
    with transaction.atomic():
        return _record(boxes, box, drop, understood, message=message)


def given_up(drop: Drop) -> Understood:
    """What stands for a submission that could not even be looked at."""
    return Understood(content=["not read", drop.key, mark_of(drop)])


def mark_of(drop: Drop) -> str:
    """What tells one version of an object from the next, even if both are of the same bytes."""
    return f"{drop.mark} {drop.modified_at.timestamp():.3f}"


def understand(boxes: Boxes, box: Box, drop: Drop) -> Understood:
    """Read it, and look at everything that it names. Raises StorageFailed and the like alone."""
    understood = Understood()
    try:
        _read(boxes, box, drop, understood)
    except FOR_GOOD as cause:
        understood.fault = str(cause)
    return understood


def _read(boxes: Boxes, box: Box, drop: Drop, into: Understood) -> None:
    group = group_of(drop.key)
    if drop.size_bytes > asking.MOST_BYTES:
        into.content.append(["too large", drop.size_bytes, drop.mark])
        raise Refused(f"submit.json has {drop.size_bytes:,} bytes; at most {asking.MOST_BYTES:,} are right.")
    data = box.drops.read(drop.key, 0, asking.MOST_BYTES)
    into.content.append(hashlib.sha256(data).hexdigest())
    document = asking.parse(data)
    into.content[:] = [document]
    into.timestamp = asking.timestamp_of(document)
    asked = into.asked = asking.read(document)
    _check_group(group, box.analysis)
    faults: list[str] = []
    for name in asked.data:
        with _collected(faults):
            found = finding.look_for(finding.locate(boxes, box, group, "dataname", name), "dataname")
            into.found.append(found)
            into.content.append(found.marks)
    with _collected(faults):
        _configure(boxes, box, group, asked, into)
    if asked.result:
        with _collected(faults):
            finding.result_place(boxes, box, group, asked.result)
    if faults:
        raise Refused("\n".join(faults))


def _configure(boxes: Boxes, box: Box, group: str, asked: Asked, into: Understood) -> None:
    """Find and read the config; the keys that the original reserves are taken out of it."""
    if asked.config:
        place = finding.locate(boxes, box, group, "configname", asked.config)
    else:
        within = finding.config_within(into.found)
        if within is None:
            raise Refused(
                "configname: it is missing; the key of a .json or .yaml file is right, or a folder as dataname "
                f"with one of {', '.join(finding.CONFIG_NAMES)} in it."
            )
        place = within
    config, data = finding.read_config(place)
    into.content.append(hashlib.sha256(data).hexdigest())
    into.found[:] = [finding.without(one, place.key) if one.place.is_folder else one for one in into.found]
    into.minutes = _minutes(config.pop(_DURATION, None), place.shown)
    into.more_storage_mib = _mib(config.pop(_DATASET_SIZE, None), place.shown)
    into.config = config


def _minutes(found: Any, name: str) -> int | None:
    if found is None or (isinstance(found, int) and not isinstance(found, bool) and found > 0):
        return found
    raise Refused(f"configname: {name}: {_DURATION}: found {shown(found)}; a whole number of minutes above 0 is right.")


def _mib(found: Any, name: str) -> int:
    if found is None:
        return 0
    if isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < 1_000_000:
        return math.ceil(found * 1_000_000_000 / _MIB)
    raise Refused(f"configname: {name}: {_DATASET_SIZE}: found {shown(found)}; a number of gigabytes is right.")


def _check_group(group: str, analysis: str) -> None:
    row = Group.objects.filter(pk=group).first()
    if group != LOCAL_GROUP and (row is None or not row.profile):
        raise NotFound(f"There is no group {group[:80]!r} on this site; the folder of a deployed group is right.")
    check_access(group, analysis)


def _request(box: Box, drop: Drop, understood: Understood) -> Request:
    return Request(
        analysis=box.analysis,
        data=[one.place.shown for one in understood.found],
        group=group_of(drop.key),
        user=USER,
        config=understood.config,
        timeout_minutes=understood.minutes,
        save=understood.minutes is not None,
        more_storage_mib=understood.more_storage_mib,
    )


def _earlier(box: Box, drop: Drop, content: str) -> Submission | None:
    """The submission that this is one more copy of; None if it counts.

    One that was refused may be asked again, by writing it anew where it was before.
    """
    same = Submission.objects.filter(analysis=box.analysis, group=group_of(drop.key), content=content)
    newest = same.order_by("-repeat").first()
    if newest is None or (newest.job_id is None and newest.arrivals.filter(key=drop.key).exists()):
        return None
    return newest


def _record(
    boxes: Boxes, box: Box, drop: Drop, understood: Understood, *, message: str = "", **fields: Any
) -> Submission:
    group, content = group_of(drop.key), digest_of(understood.content)
    same = Submission.objects.filter(analysis=box.analysis, group=group, content=content)
    submission = Submission.objects.create(
        analysis=box.analysis,
        group=group,
        content=content,
        repeat=same.count(),
        name=_free_name(box, group, understood.timestamp or str(int(drop.modified_at.timestamp()))),
        message=message,
        asked=understood.asked.as_json() if understood.asked else {},
        taken_at=boxes.clock(),
        **fields,
    )
    return _noted(box, drop, submission)


def _noted(box: Box, drop: Drop, submission: Submission) -> Submission:
    Arrival.objects.get_or_create(
        analysis=box.analysis,
        key=drop.key,
        mark=mark_of(drop),
        defaults={
            "submission": submission,
            "arrived_at": drop.modified_at,
            "delivered": not own_place(drop.key),
        },
    )
    return submission


def _free_name(box: Box, group: str, timestamp: str) -> str:
    """The name that the original would give the job; with a number where another of this second has it."""
    name = f"job__{box.name[:_NAME_CHARACTERS]}_{timestamp}"
    taken = set(
        Submission.objects.filter(analysis=box.analysis, group=group, name__startswith=name).values_list(
            "name", flat=True
        )
    )
    return next(one for one in (name, *(f"{name}_{count}" for count in range(2, len(taken) + 3))) if one not in taken)


@contextlib.contextmanager
def _collected(faults: list[str]) -> Iterator[None]:
    """Add what is found wrong to the faults, and look on."""
    try:
        yield
    except FOR_GOOD as cause:
        faults.append(str(cause))
