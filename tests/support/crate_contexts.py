"""Seed the HTTP cache of roc-validator, which reads JSON-LD contexts from the web, from copies in PyPI packages.

Run by the interpreter of `.tools/crate`, the environment of the dependency group `crate`:

    .tools/crate/bin/python tests/support/crate_contexts.py CACHE

Seeded: the context of RO-Crate 1.1, from the package rocrate. Not seeded: the context of the Workflow Run profiles
(https://w3id.org/ro/terms/workflow-run/context), which no package ships. A crate of ours does not refer to it: it
defines the few terms of it that it uses in its own @context, as the profiles allow; so no stand-in is needed either.
"""

from __future__ import annotations

import json
import sys
from importlib.resources import files

RO_CRATE = "https://w3id.org/ro/crate/1.1/context"
# requests_cache tells requests apart by this header too; it is the one that the validator sends.
ACCEPT = {"Accept": "application/ld+json, application/json, */*;q=0.1"}


def seed(cache: str) -> None:
    """Put the contexts into the cache, a name to which `.sqlite` is added."""
    import requests
    from requests_cache import CachedRequest, CachedResponse, CachedSession

    content = files("rocrate").joinpath("data/ro-crate.jsonld").read_bytes()
    shipped = json.loads(content)["@id"]
    if shipped != RO_CRATE:
        sys.exit(f"The package rocrate ships {shipped}; a release that ships {RO_CRATE} is right.")
    session = CachedSession(cache_name=cache, backend="sqlite", expire_after=-1)
    request = requests.Request("GET", RO_CRATE, headers=ACCEPT).prepare()
    response = CachedResponse(
        status_code=200,
        url=RO_CRATE,
        headers={"Content-Type": "application/ld+json"},
        content=content,
        request=CachedRequest.from_request(request),
    )
    session.cache.save_response(response, session.cache.create_key(request))


if __name__ == "__main__":
    seed(sys.argv[1])
