"""What serving itself has to keep tidy."""

from __future__ import annotations

from neurocaas.server.chores import Chore
from neurocaas.server.site import Site

HOUR = 3600


def clear_sessions(site: Site) -> None:  # noqa: ARG001 (a chore's signature)
    """Remove the sessions that have expired; Django itself never does."""
    from django.apps import apps

    if apps.is_installed("django.contrib.sessions"):
        from django.contrib.sessions.backends.db import SessionStore

        SessionStore.clear_expired()


CHORES = (Chore(name="clear sessions", every_seconds=HOUR, work=clear_sessions),)
