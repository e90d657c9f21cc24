"""What the pages keep of results that were looked at, bounded."""

from __future__ import annotations

from neurocaas.server.chores import Chore
from neurocaas.server.site import Site

HOUR = 3600


def forget_looks(site: Site) -> None:
    """Remove the previews and fetched files that were looked at longest ago."""
    from neurocaas.server.viewers import shelf
    from neurocaas.server.web.jobs import files

    shelf.prune(files.previews(site), most_bytes=files.MOST_PREVIEWS)
    files.forget_fetched(site)


CHORES = (Chore(name="forget looks", every_seconds=HOUR, work=forget_looks),)
