"""From jobs that have ended to messages that were sent: at least once each, five times at most, never in a hurry."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q

from neurocaas.server.fetching.network import Network
from neurocaas.server.jobs.models import Job
from neurocaas.server.jobs.status import Status
from neurocaas.server.jobs.view import description
from neurocaas.server.notifications.choice import Choice
from neurocaas.server.notifications.message import message
from neurocaas.server.notifications.models import Mark, Message, Preference
from neurocaas.server.notifications.sending import Outcome, SendMail, send
from neurocaas.server.notifications.webhook import validate_webhook
from neurocaas.settings import FetchLimits

log = logging.getLogger(__name__)

TRIES = 5
AT_ONCE = 20
# A job's end may be committed after a later one's; nothing takes this long to commit.
LOOK_BACK = timedelta(hours=1)
# A sender that has not come back by then is dead, and its message is sent again.
CLAIM = timedelta(minutes=5)
_FIRST_PAUSE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Outbox:
    """What sending needs. addresses: user ids to verified e-mail addresses, of those who have one."""

    site_url: str
    limits: FetchLimits
    send_mail: SendMail
    addresses: Callable[[Collection[str]], Mapping[str, str]]
    network: Network | None = None


def chore(outbox: Outbox, now: datetime) -> int:
    """Make messages of the jobs that ended, and send those that are due. Returns how many were sent."""
    collect(now)
    return deliver(outbox, now)


def choose(user: str, choice: Choice, *, limits: FetchLimits, now: datetime, network: Network | None = None) -> None:
    """Keep a user's choice. Raises Refused or NotFound for a webhook that nothing can be sent to."""
    if choice.channel == "webhook":
        validate_webhook(choice.webhook, limits=limits, network=network)
    fields = {
        "channel": choice.channel,
        "target": choice.webhook if choice.channel == "webhook" else "",
        "only_failures": choice.only_failures,
    }
    with transaction.atomic():
        before, made = Preference.objects.select_for_update().get_or_create(
            user=user, defaults={**fields, "since": now}
        )
        if not made:
            # Whoever turns messages on is told of what ends from now on; whoever changes them misses nothing.
            since = now if before.channel == Preference.Channel.NONE else before.since
            Preference.objects.filter(pk=user).update(**fields, since=since)


def collect(now: datetime) -> int:
    """Make a message for every job that ended since the last look and whose user wants one: a few queries."""
    with transaction.atomic():
        mark, _ = Mark.objects.select_for_update().get_or_create(pk=1, defaults={"seen_until": now - LOOK_BACK})
        wanted = Preference.objects.filter(user=OuterRef("user"), since__lte=OuterRef("ended_at"))
        everything = Exists(wanted.exclude(channel=Preference.Channel.NONE).filter(only_failures=False))
        failures = Exists(wanted.exclude(channel=Preference.Channel.NONE).filter(only_failures=True))
        ended = Job.objects.filter(ended_at__gte=mark.seen_until - LOOK_BACK, ended_message=None)
        found = ended.filter(Q(everything) | Q(failures, status=Status.FAILED)).values_list("pk", "user")
        messages = [Message(job_id=job, user=user, next_at=now) for job, user in found]
        Message.objects.bulk_create(messages, ignore_conflicts=True, batch_size=500)
        Mark.objects.filter(pk=1).update(seen_until=max(now, mark.seen_until))
    return len(messages)


def deliver(outbox: Outbox, now: datetime) -> int:
    """Send what is due, each outside of any transaction. Returns how many were sent."""
    due = list(
        Message.objects.filter(state=Message.State.WAITING, next_at__lte=now)
        .select_related("job")
        .order_by("next_at")[:AT_ONCE]
    )
    users = {one.user for one in due}
    preferences = Preference.objects.in_bulk(users)
    addresses = outbox.addresses(users) if due else {}
    sent = 0
    for one in due:
        if _claim(one, now):
            outcome = _send(outbox, one, preferences.get(one.user), addresses.get(one.user, ""))
            _record(one, outcome, now)
            sent += outcome.delivered
    return sent


def _claim(one: Message, now: datetime) -> bool:
    """Take a message for this sender, unless another has; whoever counts its tries up owns it."""
    mine = Message.objects.filter(pk=one.pk, state=Message.State.WAITING, tries=one.tries, next_at__lte=now)
    taken = bool(mine.update(tries=F("tries") + 1, next_at=now + CLAIM))
    one.tries += taken
    return taken


def _send(outbox: Outbox, one: Message, preference: Preference | None, address: str) -> Outcome:
    if preference is None:
        return Outcome(delivered=False, why="the user wants no messages")
    try:
        return send(
            preference.choice,
            message(description(one.job), outbox.site_url),
            address=address,
            secret=preference.secret,
            send_mail=outbox.send_mail,
            limits=outbox.limits,
            network=outbox.network,
        )
    except Exception:
        # One message must not hold up the others.
        log.exception("the message about job %s could not be sent", one.job_id)
        return Outcome(delivered=False, again=True, why="a fault of the platform")


def _record(one: Message, outcome: Outcome, now: datetime) -> None:
    """Write down how it went, if this sender still has the claim."""
    mine = Message.objects.filter(pk=one.pk, state=Message.State.WAITING, tries=one.tries)
    if outcome.delivered:
        mine.update(state=Message.State.SENT, sent_at=now, why="")
    elif outcome.again and one.tries < TRIES:
        mine.update(next_at=now + _FIRST_PAUSE * 4 ** (one.tries - 1), why=outcome.why)
    else:
        log.warning("no message about job %s: %s", one.job_id, outcome.why)
        mine.update(state=Message.State.FAILED, why=outcome.why)
