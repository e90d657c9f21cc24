"""What the job manager does about instances at each sweep: note them, flag them, end those that nobody claims."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max

from neurocaas.bank import Instance, Supplier
from neurocaas.errors import NeurocaasError
from neurocaas.server.hardware.measured import Finding, Flag, findings, unclaimed_for
from neurocaas.server.hardware.models import InstanceRecord
from neurocaas.server.hardware.reading import measured, reported, running
from neurocaas.server.jobs.delivered import chunks
from neurocaas.server.jobs.ledger import nanodollars
from neurocaas.server.jobs.models import Attempt
from neurocaas.server.jobs.status import LIVE
from neurocaas.settings import HardwareSettings

log = logging.getLogger(__name__)

# A provider tells of an end once, and a manager that is killed then has not heard it. So what no report has named for
# so long has ended; a report that names it again (its provider did not answer for a while) puts that right.
VANISHED = timedelta(minutes=5)
VANISHED_REASON = "Its provider told of it no more."
# What nothing changed of is written again, and looked at for what is wrong, this often: rules count in minutes.
CLOSELY = timedelta(minutes=1)
AT_ONCE = 100  # rows of one statement, of which SQLite takes a limited number of values
REPORTED = ("ended_at", "instance_type", "price_nanodollars_per_hour", "reason", "save_price", "seen_at", "started_at")
Serving = InstanceRecord.attempts.through  # the rows that join instances and attempts


@dataclass(kw_only=True)
class Recording:
    """Keeps the table of instances true. Each call may be cut off anywhere: the next one does what is left to do."""

    provider: Supplier
    rules: HardwareSettings
    _said: set[tuple[str, Flag]] = field(default_factory=set)  # what this process has said in its log
    _noted: dict[str, Instance] = field(default_factory=dict)  # by their names, as they were reported last
    _looked_closely: datetime | None = None

    def look(self, now: datetime) -> None:
        """One pass: as many queries for one instance as for a hundred."""
        reports = {_name(one): one for one in self.provider.instances()}
        closely = self._looked_closely is None or now - self._looked_closely >= CLOSELY
        note([one for name, one in reports.items() if closely or one != self._noted.get(name)], now)
        self._noted = reports
        if closely:
            _end_vanished(now)
            self._flag(now)
            self._looked_closely = now

    def _flag(self, now: datetime) -> None:
        said = set()
        for record in running():
            instance = measured(record)
            for finding in findings(instance, self.rules, now):
                said.add((record.name, finding.flag))
                if (record.name, finding.flag) not in self._said:
                    _say(record, finding)
            if self._is_to_end(unclaimed_for(instance, now)):
                self._end(record)
        self._said = said

    def _is_to_end(self, unclaimed: timedelta) -> bool:
        if self.rules.grace_minutes is None:
            return False
        return unclaimed > timedelta(minutes=self.rules.unclaimed_minutes + self.rules.grace_minutes)

    def _end(self, record: InstanceRecord) -> None:
        try:
            if self.provider.end_instance(reported(record)):
                log.warning("instance %s was unclaimed for too long; its provider was asked to end it", record.name)
        except NeurocaasError as fault:
            log.warning("instance %s could not be ended: %s", record.name, fault)


def note(instances: Collection[Instance], now: datetime) -> None:
    """Write down what providers report. The same report twice changes nothing; the last one is right."""
    named = {_name(one): one for one in instances}
    records = [
        InstanceRecord(
            name=name,
            provider=one.provider,
            instance_type=one.instance_type,
            save_price=one.save,
            price_nanodollars_per_hour=nanodollars(one.price_per_hour),
            started_at=one.started_at,
            ended_at=one.ended_at,
            reason=one.reason,
            seen_at=now,
        )
        for name, one in named.items()
    ]
    with transaction.atomic():
        InstanceRecord.objects.bulk_create(
            records, batch_size=AT_ONCE, update_conflicts=True, unique_fields=["name"], update_fields=REPORTED
        )
        _link({name: one.attempts for name, one in named.items()})


def _link(served: Mapping[str, Collection[str]]) -> None:
    """Join instances to their attempts, named `job/stack/number`. An attempt that is no row is passed over."""
    wanted = [(name, attempt) for name, attempts in served.items() for attempt in attempts]
    for some in chunks(wanted):
        named = [attempt.rsplit("/", 2) for _, attempt in some]
        jobs = {job for job, _, _ in named}
        found = Attempt.objects.filter(stack__job_id__in=jobs, number__in={int(number) for *_, number in named})
        rows = found.values_list("stack__job_id", "stack__index", "number", "pk")
        keys = {f"{job}/{index}/{number}": pk for job, index, number, pk in rows}
        Serving.objects.bulk_create(
            [Serving(instancerecord_id=name, attempt_id=keys[attempt]) for name, attempt in some if attempt in keys],
            ignore_conflicts=True,
        )


def _end_vanished(now: datetime) -> None:
    """End what no report has named for long, when it was seen last, or when the last of its attempts ended."""
    vanished = InstanceRecord.objects.filter(ended_at=None, seen_at__lt=now - VANISHED)
    records = list(vanished.exclude(attempts__status__in=LIVE).annotate(attempt_ended_at=Max("attempts__ended_at")))
    for record in records:
        record.ended_at = max(record.seen_at, record.attempt_ended_at or record.seen_at)
        record.reason = VANISHED_REASON
    InstanceRecord.objects.bulk_update(records, ["ended_at", "reason"], batch_size=AT_ONCE)


def _name(instance: Instance) -> str:
    return f"{instance.provider}/{instance.id}"


def _say(record: InstanceRecord, finding: Finding) -> None:
    log.warning("instance %s (%s) is %s: %s", record.name, record.instance_type, finding.flag, finding.sentence)
