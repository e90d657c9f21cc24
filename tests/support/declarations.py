"""What a site may ask of an AWS account, for tests: two instance types, two analyses, two groups."""

from __future__ import annotations

from typing import Any

from neurocaas.bank.aws.infrastructure.declaration import BoxGroup, Declaration
from neurocaas.bank.catalogue import bundled_catalogue
from neurocaas.settings import AwsSettings, StorageSettings

LAB = BoxGroup(name="lab", users={"ada": 1, "bob": 1}, analyses=("kalman", "pca"))
OTHERS = BoxGroup(name="others", users={"eve": 1}, analyses=("pca",))


def declaration(*, types: tuple[str, ...] = ("g5.xlarge", "m5.xlarge"), **changes: Any) -> Declaration:
    """aws: settings of site.json that are not at their defaults."""
    known = {one.name: one for one in bundled_catalogue().types}
    parts: dict[str, Any] = {
        "aws": AwsSettings(**changes.pop("aws", {})),
        "types": tuple(known[name] for name in types),
        "storage": StorageSettings(),
        "store_prefix": "",
        "web_url": "https://site.example.org",
        "boxes": ("kalman", "pca"),
        "groups": (LAB, OTHERS),
    }
    return Declaration(**parts | changes)
