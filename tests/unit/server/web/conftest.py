from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="session")
def _django() -> None:
    """Django set up, with no table: what the pages write comes from modules that need it so."""
    import django
    from django.conf import settings

    from neurocaas.server.database import configuration

    if not settings.configured:
        settings.configure(**configuration("sqlite:///:memory:"))
        django.setup()
