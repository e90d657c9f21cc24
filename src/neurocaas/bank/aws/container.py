"""How an attempt looks inside its container: an image of its environment on an instance of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOUNTS = "/opt/neurocaas/mounts"  # where the image holds what the workflow sees at /env, /python, …
PLACE = "/var/lib/neurocaas"
WORKFLOW_UID = 60578  # as on other machines: one that no distribution hands out


def inside(document: Mapping[str, Any], *, gpus: int) -> dict[str, Any]:
    """The attempt document with the places of the container instead of those of the site's machine."""
    environment, resources = document["environment"], document["resources"]
    mounts = [one | {"source": f"{MOUNTS}/{one['target'].strip('/')}", "archive": ""} for one in environment["mounts"]]
    # The workflow's files are no part of the image; they come from the store.
    workflow = document["workflow"] | {"files": f"{PLACE}/workflow-of-another-machine"}
    return {
        **document,
        "work": f"{PLACE}/work",
        "shelf": f"{PLACE}/shelf",
        "uid": WORKFLOW_UID,
        "bell": None,
        "workflow": workflow,
        "environment": environment | {"mounts": mounts},
        "resources": resources | {"cores": [], "gpus": [str(number) for number in range(gpus)]},
    }
