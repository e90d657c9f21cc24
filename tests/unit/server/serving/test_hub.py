"""The web process's bell, when the process was too busy to hear every ring."""

from __future__ import annotations

import asyncio
from pathlib import Path

from neurocaas.bell import ring
from neurocaas.server.jobs.followers import CHANGED, everybody
from neurocaas.server.serving.hub import BEHIND, Hub
from neurocaas.settings import Settings, SiteDocument


def test_whoever_follows_a_job_looks_again_where_rings_may_have_been_turned_away(tmp_path: Path) -> None:
    settings = Settings(
        root=tmp_path, site=SiteDocument(name="tests"), database_url="sqlite:///:memory:", store_url="file:///"
    )

    async def busy() -> str:
        hub = Hub()
        hub.open(settings)
        try:
            with hub.follow("ours") as queue:
                # Without giving way to the loop: the last of these is not even kept where the machine keeps few.
                for _ in range(BEHIND):
                    ring(everybody(settings), f"another {CHANGED}")
                return await asyncio.wait_for(queue.get(), 10)
        finally:
            hub.close()

    assert asyncio.run(busy()) == CHANGED
