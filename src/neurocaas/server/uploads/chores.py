"""What staged data has to have tidied: what expired, what nobody goes on with, what belongs to nothing."""

from __future__ import annotations

from neurocaas.server.chores import Chore
from neurocaas.server.site import Site
from neurocaas.server.uploads.expiry import chore_expire
from neurocaas.server.uploads.opening import open_desk

QUARTER_HOUR = 900


def sweep(site: Site) -> None:
    chore_expire(open_desk(site))


CHORES = (Chore(name="sweep data", every_seconds=QUARTER_HOUR, work=sweep, deletes=True),)
