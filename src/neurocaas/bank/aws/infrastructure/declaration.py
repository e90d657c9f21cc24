"""What the source repo's documents ask of the account, found right: what a template is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from neurocaas.bank.catalogue import SITE_FILE as PRICE_LIST
from neurocaas.bank.catalogue import site_catalogue
from neurocaas.bank.provider import InstanceType
from neurocaas.blueprint.access import EVERYTHING, Access
from neurocaas.blueprint.profile import Profile
from neurocaas.documents import nearest
from neurocaas.errors import Refused
from neurocaas.settings import SITE_FILE, AwsSettings, Settings, StorageSettings


@dataclass(frozen=True, kw_only=True)
class BoxGroup:
    """A group at the drop-boxes. users: the serial of the keys that each is to have. analyses: whose boxes it uses."""

    name: str
    users: Mapping[str, int]
    analyses: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """Everything that the stack depends on.

    store_prefix: where in its bucket the store is ("" if at the top). web_url: whose pages may send to the bucket.
    boxes: analyses with a drop-box.
    """

    aws: AwsSettings
    types: tuple[InstanceType, ...]
    storage: StorageSettings
    store_prefix: str
    web_url: str
    boxes: tuple[str, ...]
    groups: tuple[BoxGroup, ...]


def declare(settings: Settings, profiles: Mapping[str, Profile], accesses: Mapping[str, Access]) -> Declaration:
    """What the documents ask for. accesses: by analysis, all that the source repo has.

    Raises Refused if `site.json` has no part for AWS, or names an instance type or analysis that is not known.
    """
    aws = aws_settings(settings)
    boxes = _boxes(aws, accesses)
    return Declaration(
        aws=aws,
        types=_types(settings, aws),
        storage=settings.site.storage,
        store_prefix=_store_prefix(settings.store_url),
        web_url=settings.site.web.url,
        boxes=boxes,
        groups=tuple(_groups(profiles, accesses, boxes)),
    )


def aws_settings(settings: Settings) -> AwsSettings:
    """Raises Refused if the site has no part for AWS."""
    if settings.site.aws is None:
        raise Refused(
            f"{settings.root / SITE_FILE}: aws: it is missing; a site that deploys to AWS must have it.",
            remedy='The defaults are {"aws": {}}; docs/reference/aws-infrastructure.md lists what can be said.',
        )
    return settings.site.aws


def _types(settings: Settings, aws: AwsSettings) -> tuple[InstanceType, ...]:
    known = {one.name: one for one in site_catalogue(settings.root).types if not one.retired}
    faults = [
        f"{settings.root / SITE_FILE}: aws.instance_types: found {name!r}; one of the price list ({PRICE_LIST}), and "
        f"not a retired one, is right.{nearest(name, known)}"
        for name in aws.instance_types
        if name not in known
    ]
    if faults:
        raise Refused("\n".join(faults))
    return tuple(known[name] for name in sorted(set(aws.instance_types)))


def _boxes(aws: AwsSettings, accesses: Mapping[str, Access]) -> tuple[str, ...]:
    if EVERYTHING in aws.drop_boxes:
        return tuple(sorted(accesses))
    faults = [
        f"{SITE_FILE}: aws.drop_boxes: found {name!r}; an analysis of the source repo is right."
        f"{nearest(name, accesses)}"
        for name in aws.drop_boxes
        if name not in accesses
    ]
    if faults:
        raise Refused("\n".join(faults))
    return tuple(sorted(set(aws.drop_boxes)))


def _groups(profiles: Mapping[str, Profile], accesses: Mapping[str, Access], boxes: tuple[str, ...]) -> list[BoxGroup]:
    """Groups with somebody in them who has something to use; both documents must let them, as everywhere."""
    groups = []
    for name, profile in sorted(profiles.items()):
        analyses = tuple(one for one in boxes if profile.may_use(one) and accesses[one].lets(name))
        if profile.users and analyses:
            users = {user: one.key_serial for user, one in sorted(profile.users.items())}
            groups.append(BoxGroup(name=name, users=users, analyses=analyses))
    return groups


def _store_prefix(store_url: str) -> str:
    if not store_url.startswith("s3://"):
        return ""
    prefix = store_url.removeprefix("s3://").partition("/")[2].strip("/")
    return f"{prefix}/" if prefix else ""
