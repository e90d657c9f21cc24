"""Tells users of ended jobs, with what this site sends mail by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from neurocaas.server.chores import Chore
from neurocaas.server.notifications.outbox import Outbox, chore
from neurocaas.server.site import Site

CHORE = "notifications"
EVERY_SECONDS = 60


def tell(site: Site) -> None:
    chore(outbox(site), datetime.now(UTC))


def outbox(site: Site) -> Outbox:
    """What this site sends by: Django's mail, to addresses that were verified."""
    return Outbox(
        site_url=site.settings.site.web.url,
        limits=site.settings.site.fetching,
        send_mail=send_mail,
        addresses=addresses,
    )


def send_mail(subject: str, text: str, address: str) -> None:
    from django.core.mail import send_mail as send

    send(subject, text, None, [address])


def addresses(users: Collection[str]) -> Mapping[str, str]:
    """The primary address of each user who has verified it."""
    from allauth.account.models import EmailAddress

    found = EmailAddress.objects.filter(user__username__in=users, verified=True, primary=True, user__is_active=True)
    return dict(found.values_list("user__username", "email"))


CHORES = (Chore(name=CHORE, every_seconds=EVERY_SECONDS, work=tell),)
