"""Keys of drop-box users: made once, shown once, replaced by a larger serial; what they open, on an S3 that asks."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from neurocaas.bank.aws.account import Account
from neurocaas.bank.aws.infrastructure import access_keys, deploying, names
from neurocaas.bank.aws.infrastructure.access_keys import IssuedKey
from neurocaas.bank.aws.infrastructure.declaration import BoxGroup, Declaration
from support.aws import Aws
from support.aws_server import ACCOUNT
from support.declarations import declaration


@pytest.fixture
def account(as_admin: Aws) -> Account:
    return Account(as_admin.region)


@pytest.fixture
def stack() -> str:
    return f"t{uuid4().hex[:9]}"


def _deployed(account: Account, stack: str, **users: int) -> Declaration:
    """The stack with a group `lab` of these users, each with the serial of their keys, and a group `others` of eve."""
    lab = BoxGroup(name="lab", users=users, analyses=("pca",))
    groups = (lab, BoxGroup(name="others", users={"eve": 1}, analyses=("kalman", "pca")))
    wanted = declaration(types=("m5.xlarge",), aws={"stack": stack}, groups=groups)
    deploying.deploy(account, wanted)
    return wanted


def _ids(account: Account, stack: str, user: str) -> list[str]:
    name = names.box_user(stack, "lab", user)
    found = account.client("iam").list_access_keys(UserName=name)["AccessKeyMetadata"]
    return [one["AccessKeyId"] for one in found]


def _issued(account: Account, wanted: Declaration) -> dict[str, IssuedKey]:
    return {one.user: one for one in access_keys.issue(account, wanted)}


def test_each_user_gets_keys_once(account: Account, stack: str) -> None:
    wanted = _deployed(account, stack, ada=1, bob=1)
    assert {one.user for one in access_keys.due(account, wanted)} == {"ada", "bob", "eve"}
    issued = _issued(account, wanted)
    assert set(issued) == {"ada", "bob", "eve"}
    assert not any(one.replaced for one in issued.values())
    assert _issued(account, wanted) == {}
    assert _ids(account, stack, "ada") == [issued["ada"].access_key_id]


def test_a_secret_is_in_no_representation(account: Account, stack: str) -> None:
    key = _issued(account, _deployed(account, stack, ada=1))["ada"]
    assert key.secret_access_key
    assert key.secret_access_key not in repr(key)


def test_a_larger_serial_replaces_the_key_after_the_new_one_was_shown(account: Account, stack: str) -> None:
    old = _issued(account, _deployed(account, stack, ada=1))["ada"].access_key_id
    keys = access_keys.issue(account, _deployed(account, stack, ada=2))
    new = next(keys)
    assert (new.user, new.replaced) == ("ada", True)
    assert set(_ids(account, stack, "ada")) == {old, new.access_key_id}, "the old one works until the new one is shown"
    assert list(keys) == []
    assert _ids(account, stack, "ada") == [new.access_key_id]


def test_a_smaller_serial_changes_nothing(account: Account, stack: str) -> None:
    _issued(account, _deployed(account, stack, ada=3))
    assert _issued(account, _deployed(account, stack, ada=2)) == {}


def test_a_key_that_nobody_was_shown_is_replaced_and_never_shown_later(account: Account, stack: str) -> None:
    old = _issued(account, _deployed(account, stack, ada=1))["ada"].access_key_id
    wanted = _deployed(account, stack, ada=2)
    unseen = next(access_keys.issue(account, wanted)).access_key_id  # and here the process was killed
    new = _issued(account, wanted)["ada"].access_key_id
    assert new not in {old, unseen}
    assert _ids(account, stack, "ada") == [new]


def test_who_leaves_the_profile_loses_keys_and_user(account: Account, stack: str) -> None:
    _issued(account, _deployed(account, stack, ada=1, bob=1))
    _deployed(account, stack, ada=1)
    path = names.box_path(stack)
    left = [one["UserName"] for one in account.client("iam").list_users(PathPrefix=path)["Users"]]
    assert sorted(left) == [names.box_user(stack, "lab", "ada"), names.box_user(stack, "others", "eve")]


def _status(call: Any, **arguments: Any) -> str:
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "done"


def test_a_key_opens_the_own_groups_part_of_the_own_boxes_and_nothing_else(
    aws: Aws, account: Account, stack: str
) -> None:
    key = _issued(account, _deployed(account, stack, ada=1))["ada"]
    pca, kalman = (f"{stack}-box-{one}-{ACCOUNT}" for one in ("pca", "kalman"))
    for box, group in ((pca, "lab"), (pca, "others"), (kalman, "lab")):
        account.client("s3").put_object(Bucket=box, Key=f"{group}/results/job/a.npy", Body=b"a")
    s3 = aws.client("s3", aws_access_key_id=key.access_key_id, aws_secret_access_key=key.secret_access_key)

    def put(box: str, key: str) -> str:
        return _status(s3.put_object, Bucket=box, Key=key, Body=b"x")

    def get(box: str, key: str) -> str:
        return _status(s3.get_object, Bucket=box, Key=key)

    def listed(box: str, prefix: str) -> str:
        return _status(s3.list_objects_v2, Bucket=box, Prefix=prefix)

    assert {put(pca, f"lab/{one}") for one in ("inputs/a", "configs/F/submit.json", "submissions/b")} == {"done"}
    assert get(pca, "lab/results/job/a.npy") == "done"
    assert listed(pca, "lab/results/") == "done"
    refused = {
        put(pca, "lab/results/forged.npy"),
        put(pca, "others/inputs/a"),
        put(pca, "lab2/inputs/a"),
        put(kalman, "lab/inputs/a"),
        get(pca, "others/results/job/a.npy"),
        get(kalman, "lab/results/job/a.npy"),
        listed(pca, "others/"),
        listed(pca, ""),
        listed(kalman, "lab/"),
        _status(s3.delete_object, Bucket=pca, Key="lab/inputs/a"),
        get(f"{stack}-store-{ACCOUNT}", "groups/lab/data/1/file"),
    }
    assert refused == {"AccessDenied"}
