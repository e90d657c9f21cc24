"""Records as the values that are measured and flagged, and as what people are shown."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Prefetch, Q, QuerySet

from neurocaas.bank import Instance
from neurocaas.errors import Refused
from neurocaas.server.hardware.measured import Finding, Measured, Served, Use, findings, use
from neurocaas.server.hardware.models import InstanceRecord
from neurocaas.server.jobs.ledger import dollars
from neurocaas.server.jobs.models import Attempt
from neurocaas.server.jobs.status import LIVE
from neurocaas.server.jobs.view import timestamp
from neurocaas.settings import HardwareSettings

AT_ONCE = 500
COLUMNS = (
    "instance",
    "provider",
    "type",
    "price",
    "dollars_per_hour",
    "started_at",
    "ended_at",
    "seconds",
    "idle_seconds",
    "cost_dollars",
    "idle_dollars",
    "flags",
    "attempts",
    "reason",
)
AGO = re.compile(r"([0-9]{1,5})([hd])")


@dataclass(frozen=True, kw_only=True)
class Account:
    """One instance as it is shown: its record, where its time went, what is wrong with it."""

    record: InstanceRecord
    measured: Measured
    use: Use
    findings: tuple[Finding, ...]

    @property
    def seconds(self) -> float:
        return self.use.total_ms / 1000

    @property
    def idle_seconds(self) -> float:
        return self.use.idle_ms / 1000


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Sums over instances. What was idle is the site's to bear."""

    instances: int = 0
    running: int = 0
    flagged: int = 0
    total_ms: int = 0
    idle_ms: int = 0
    total_nanodollars: int = 0
    idle_nanodollars: int = 0

    @property
    def idle_seconds(self) -> float:
        return self.idle_ms / 1000


def running() -> Iterator[InstanceRecord]:
    """Those that have not ended, with their attempts."""
    return _with_attempts(InstanceRecord.objects.filter(ended_at=None))


def since(at: datetime | None = None) -> Iterator[InstanceRecord]:
    """Those that ran at some time after this, or ever; the latest first, with their attempts."""
    found = InstanceRecord.objects.filter(Q(ended_at=None) | Q(ended_at__gt=at)) if at else InstanceRecord.objects
    return _with_attempts(found.order_by("-started_at", "name"))


def accounts(
    records: Iterable[InstanceRecord], rules: HardwareSettings, now: datetime, *, flagged: bool = False
) -> list[Account]:
    """What is shown of each; with `flagged`, only of those with which something is wrong."""
    found = []
    for record in records:
        instance = measured(record)
        wrong = findings(instance, rules, now)
        if wrong or not flagged:
            found.append(Account(record=record, measured=instance, use=use(instance, now), findings=wrong))
    return found


def moment(text: str, now: datetime) -> datetime:
    """What people mean by since when: `24h`, `7d`, or a date or time of ISO 8601, in UTC. Raises Refused."""
    if ago := AGO.fullmatch(text):
        return now - (timedelta(hours=int(ago[1])) if ago[2] == "h" else timedelta(days=int(ago[1])))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f'since: found "{text}"; 24h, 7d or a date such as 2026-01-31 is right.') from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def totals(found: Iterable[Account]) -> Totals:
    sums = dict.fromkeys(Totals.__dataclass_fields__, 0)
    for one in found:
        added = asdict(one.use) | {
            "instances": 1,
            "running": one.record.ended_at is None,
            "flagged": bool(one.findings),
        }
        for name, amount in added.items():
            sums[name] += amount
    return Totals(**sums)


def as_facts(account: Account) -> dict[str, Any]:
    """An instance as one JSON object."""
    record, spent = account.record, account.use
    return {
        "instance": record.name,
        "provider": record.provider,
        "type": record.instance_type,
        "price": "save" if record.save_price else "standard",
        "dollars_per_hour": str(dollars(record.price_nanodollars_per_hour)),
        "started_at": timestamp(record.started_at),
        "ended_at": timestamp(record.ended_at),
        "reason": record.reason,
        "attempts": [one.attempt for one in account.measured.served],
        "seconds": spent.total_ms / 1000,
        "idle_seconds": spent.idle_ms / 1000,
        "cost_dollars": str(dollars(spent.total_nanodollars)),
        "idle_dollars": str(dollars(spent.idle_nanodollars)),
        "flags": [{"flag": one.flag.value, "message": one.sentence} for one in account.findings],
    }


def as_csv(found: Iterable[Account]) -> str:
    """A table for other programs, with a line for each instance."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in found:
        facts = as_facts(one)
        facts |= {"attempts": " ".join(facts["attempts"]), "flags": " ".join(flag["flag"] for flag in facts["flags"])}
        writer.writerow([facts[name] for name in COLUMNS])
    return table.getvalue()


def as_sums(sums: Totals) -> dict[str, Any]:
    """Totals as one JSON object."""
    return {
        "instances": sums.instances,
        "running": sums.running,
        "flagged": sums.flagged,
        "seconds": sums.total_ms / 1000,
        "idle_seconds": sums.idle_ms / 1000,
        "cost_dollars": str(dollars(sums.total_nanodollars)),
        "idle_dollars": str(dollars(sums.idle_nanodollars)),
    }


def measured(record: InstanceRecord) -> Measured:
    """The record as a value, with what it served."""
    return Measured(
        name=record.name,
        price_nanodollars_per_hour=record.price_nanodollars_per_hour,
        started_at=record.started_at,
        ended_at=record.ended_at,
        served=tuple(sorted((_served(one) for one in record.attempts.all()), key=lambda one: one.started_at)),
    )


def reported(record: InstanceRecord) -> Instance:
    """The record as its provider reported it."""
    return Instance(
        provider=record.provider,
        id=record.id,
        instance_type=record.instance_type,
        price_per_hour=dollars(record.price_nanodollars_per_hour),
        started_at=record.started_at,
        save=record.save_price,
        ended_at=record.ended_at,
        reason=record.reason,
    )


def _with_attempts(records: QuerySet[InstanceRecord]) -> Iterator[InstanceRecord]:
    prefetched = records.prefetch_related(Prefetch("attempts", Attempt.objects.select_related("stack__step")))
    return prefetched.iterator(chunk_size=AT_ONCE)


def _served(attempt: Attempt) -> Served:
    """An attempt's time on its instance: by its runner's record where there is one, else as the job manager saw it."""
    said = attempt.exit_record or {}
    begun, over = said.get("started_at"), said.get("ended_at")
    live = attempt.status in LIVE
    return Served(
        attempt=attempt.name,
        started_at=datetime.fromisoformat(begun) if begun else attempt.started_at or attempt.launched_at,
        ended_at=None if live else datetime.fromisoformat(over) if over else attempt.ended_at,
        timeout_seconds=attempt.stack.step.timeout_seconds,
        reason=attempt.reason,
    )
