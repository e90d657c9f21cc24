"""The keys with which people use drop-boxes: made once, shown once, kept nowhere; a larger serial makes new ones.

The serial that a user's keys were made for is a tag of the IAM user. It is written after the key was shown, so whoever
was interrupted gets another one: a key that nobody has seen is deleted, never shown again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from neurocaas.bank.aws.account import Account, told
from neurocaas.bank.aws.infrastructure import names
from neurocaas.bank.aws.infrastructure.declaration import Declaration

SERIAL_TAG = "neurocaas-key-serial"
KEYS_OF_A_USER = 2  # AWS allows no more


@dataclass(frozen=True, kw_only=True)
class Due:
    """A user who is to have new keys. replaced: whether old ones end with it."""

    group: str
    user: str
    name: str  # of the IAM user
    serial: int
    replaced: bool


@dataclass(frozen=True, kw_only=True)
class IssuedKey:
    """A new key of a user. The secret is here and nowhere else."""

    group: str
    user: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    replaced: bool


def due(account: Account, wanted: Declaration) -> list[Due]:
    """Who is to have new keys: those who have none, and those whose serial grew."""
    with told("say who has keys"):
        iam = account.client("iam")
        there = set(_users(iam, wanted.aws.stack))
        found = []
        for group in wanted.groups:
            for user, serial in group.users.items():
                name = names.box_user(wanted.aws.stack, group.name, user)
                issued = _serial(iam, name) if name in there else None
                if issued is None or issued < serial:
                    found.append(Due(group=group.name, user=user, name=name, serial=serial, replaced=bool(issued)))
        return found


def issue(account: Account, wanted: Declaration) -> Iterator[IssuedKey]:
    """New keys for those who are due. Each counts as shown once the next is asked for; then the old ones go."""
    iam = account.client("iam")
    for one in due(account, wanted):
        with told(f"make a key for {one.user}"):
            old = _keys(iam, one.name)
            for unseen in old[KEYS_OF_A_USER - 1 :]:  # the newest, made by somebody who was interrupted
                iam.delete_access_key(UserName=one.name, AccessKeyId=unseen)
            made = iam.create_access_key(UserName=one.name)["AccessKey"]
        yield IssuedKey(
            group=one.group,
            user=one.user,
            access_key_id=made["AccessKeyId"],
            secret_access_key=made["SecretAccessKey"],
            replaced=one.replaced,
        )
        with told(f"delete the old key of {one.user}"):
            iam.tag_user(UserName=one.name, Tags=[{"Key": SERIAL_TAG, "Value": str(one.serial)}])
            for key in old[: KEYS_OF_A_USER - 1]:
                iam.delete_access_key(UserName=one.name, AccessKeyId=key)


def withdraw(account: Account, wanted: Declaration) -> None:
    """Delete the keys of drop-box users that no document names any more."""
    stack = wanted.aws.stack
    kept = {names.box_user(stack, group.name, user) for group in wanted.groups for user in group.users}
    iam = account.client("iam")
    for name in set(_users(iam, stack)) - kept:
        _delete_keys(iam, name)


def withdraw_all(account: Account, stack: str) -> None:
    """Delete the keys of all of the stack's drop-box users."""
    iam = account.client("iam")
    for name in _users(iam, stack):
        _delete_keys(iam, name)


def _delete_keys(iam: Any, user: str) -> None:
    for key in _keys(iam, user):
        iam.delete_access_key(UserName=user, AccessKeyId=key)


def _users(iam: Any, stack: str) -> list[str]:
    pages = iam.get_paginator("list_users").paginate(PathPrefix=names.box_path(stack))
    return [user["UserName"] for page in pages for user in page["Users"]]


def _keys(iam: Any, user: str) -> list[str]:
    """Ids, the oldest first."""
    found = iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
    return [key["AccessKeyId"] for key in sorted(found, key=lambda one: one["CreateDate"])]


def _serial(iam: Any, user: str) -> int | None:
    """The serial that the user's keys were made for; None if there are none."""
    tags = {tag["Key"]: tag["Value"] for tag in iam.list_user_tags(UserName=user)["Tags"]}
    return int(tags[SERIAL_TAG]) if SERIAL_TAG in tags and _keys(iam, user) else None
