"""What things are called in the account: every name begins with the stack's, so that policies can name them."""

from __future__ import annotations

import hashlib

from neurocaas.bank.aws.stack import camel

BUCKET_CHARACTERS = 63
ACCOUNT_CHARACTERS = 12
USER_CHARACTERS = 64
STORE = "store"


def bucket(stack: str, what: str, account: str) -> str:
    """A bucket's name. Those of S3 are the whole world's, so the account's number is in it."""
    room = BUCKET_CHARACTERS - len(stack) - ACCOUNT_CHARACTERS - 2
    return f"{stack}-{fitted(what, room)}-{account}"


def box(analysis: str) -> str:
    """What the drop-box bucket of an analysis is for, as `bucket` wants it."""
    return f"box-{analysis}"


def box_user(stack: str, group: str, user: str) -> str:
    """The IAM user with whose keys a member of a group uses its drop-boxes; `+` is in no group's or user's id."""
    whole = f"{stack}+{group}+{user}"
    return whole if len(whole) <= USER_CHARACTERS else f"{stack}+{fitted(f'{group}+{user}', 42 - len(stack))}"


def box_path(stack: str) -> str:
    """The path of all those users."""
    return f"/{stack}/drop-boxes/"


def queue(stack: str, instance_type: str, *, save: bool) -> str:
    """The job queue, and the compute environment, of one instance type: on demand or at the save price."""
    return f"{stack}-{instance_type.replace('.', '-')}-{'spot' if save else 'on-demand'}"


def environment_id(instance_type: str, *, save: bool) -> str:
    """The logical id of that compute environment."""
    return f"Machines{camel(instance_type)}{'Spot' if save else 'OnDemand'}"


def logical_id(kind: str, name: str) -> str:
    """A logical id for a name that people chose: CloudFormation takes letters and digits only, so a digest parts those
    that would fall together."""
    return f"{kind}{camel(name)}{_digest(name)[:6]}"


def fitted(name: str, room: int) -> str:
    """The name, or so much of it as has room beside a digest of all of it."""
    return name if len(name) <= room else f"{name[: room - 9]}-{_digest(name)[:8]}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
