"""What groups have to have tidied: invitations and handovers that are over."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db.models import Q

from neurocaas.server.chores import Chore
from neurocaas.server.groups.models import Handover, Invitation
from neurocaas.server.site import Site

HOUR = 3600


def forget(site: Site) -> None:  # noqa: ARG001 (a chore's signature)
    """Neither lets anybody in any more; this only removes the rows."""
    now = datetime.now(UTC)
    Invitation.objects.filter(Q(expires_at__lt=now) | Q(uses_left=0)).delete()
    Handover.objects.filter(until__lt=now).delete()


CHORES = (Chore(name="forget invitations", every_seconds=HOUR, work=forget),)
