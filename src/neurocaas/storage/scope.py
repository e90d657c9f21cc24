"""What one attempt may reach in the site's bucket, and the session policy that says so to AWS."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurocaas.errors import Refused, StorageFailed
from neurocaas.storage import keys

POLICY_CHARACTERS = 2048  # what STS accepts as a session policy


class PolicyTooLong(StorageFailed):
    """STS also packs policies, by rules that it does not tell, and this one is too long in that form."""


_OBJECT_ACTIONS = (
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)
_STACK = re.compile(r"(groups/[^/]+/jobs/[^/]+/stacks)/")
_CONTENT = re.compile(r"(groups/[^/]+/data/[^/]+)/")
_DATA = re.compile(r"(groups/[^/]+/data)/")
_JOBS = re.compile(r"(groups/[^/]+/jobs)/")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Keys and prefixes, all relative to the store.

    own: the attempt's prefix, where it does what it wants. read: objects. folders: prefixes that are listed and read.
    exchange: the object with its credentials, which it takes away.
    """

    own: str
    read: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    exchange: str = ""


def scope_of(document: Mapping[str, Any], exchange: str = "") -> Scope:
    """The scope of the attempt that an attempt document (as JSON) describes."""
    read: set[str] = set()
    folders: set[str] = set()
    for given in document["inputs"]:
        parts = given.get("parts") or ()
        read |= {part["key"] for part in parts}
        if given.get("key") and not parts:
            (folders if given["form"] == "folder" else read).add(given["key"])
    # The attempt that made a checkpoint may have replaced it in the meantime, so all of its checkpoints count.
    if document.get("checkpoint"):
        folders.add(keys.checkpoints(keys.attempt_of(document["checkpoint"])))
    brought = [document["workflow"], *document["environment"].get("mounts", ())]
    read |= {one["archive"] for one in brought if one.get("archive")}
    return Scope(own=document["prefix"], read=tuple(sorted(read)), folders=tuple(sorted(folders)), exchange=exchange)


def session_policy(
    bucket: str,
    store_prefix: str,
    scope: Scope,
    *,
    kms_key: str = "",
    partition: str = "aws",
    characters: int = POLICY_CHARACTERS,
) -> dict[str, Any]:
    """The IAM policy of an attempt's session, of at most so many characters as `policy_text` writes it.

    bucket, store_prefix: where the store is ("" if at the top of its bucket). kms_key: the ARN of the key that
    encrypts the bucket, if it has one of its own. partition: of AWS, such as aws-cn.

    Each input is named exactly as long as that fits. Then the inputs that come from one content of the group's data
    become that content, those from one job that job's stacks, those from the group's data the group's data, those
    from several jobs the group's jobs: each step only if the one before was not enough, and none leaves the group.
    Raises `Refused` if even that is too long.
    """
    for gather in (_as_they_are, _by_content_and_job, _by_data, _by_group):
        folders, read = gather(scope)
        policy = _policy(f"arn:{partition}:s3:::{bucket}", store_prefix, scope, read, folders, kms_key)
        if len(policy_text(policy)) <= characters:
            return policy
    raise Refused(
        f"What the attempt {scope.own[:80]} may reach can't be said in {characters:,} characters of a "
        "session policy; shorter names of the group, the bucket or the store's prefix are right."
    )


def policy_text(policy: Mapping[str, Any]) -> str:
    """The policy as STS gets it: ASCII, without a space too many."""
    return json.dumps(policy, separators=(",", ":"))


def _policy(
    bucket_arn: str, store_prefix: str, scope: Scope, read: Collection[str], folders: Collection[str], kms_key: str
) -> dict[str, Any]:
    top = f"{store_prefix.strip('/')}/" if store_prefix.strip("/") else ""

    def arn(key: str, below: str = "") -> str:
        return f"{bucket_arn}/{_literal(top + key)}{below}"

    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": list(_OBJECT_ACTIONS), "Resource": arn(scope.own, "/*")},
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": bucket_arn,
            "Condition": {"StringLike": {"s3:prefix": [f"{_literal(top + one)}/*" for one in (scope.own, *folders)]}},
        },
    ]
    if read or folders:
        resources = [*(arn(key) for key in read), *(arn(folder, "/*") for folder in folders)]
        statements.append({"Effect": "Allow", "Action": "s3:GetObject", "Resource": resources})
    if scope.exchange:
        statements.append({"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": arn(scope.exchange)})
    if kms_key:
        actions = ["kms:Decrypt", "kms:GenerateDataKey"]
        statements.append({"Effect": "Allow", "Action": actions, "Resource": kms_key})
    return {"Version": "2012-10-17", "Statement": statements}


def _literal(key: str) -> str:
    """A key in which nothing is a wildcard or a variable of IAM's, whatever a workflow called its results."""
    return re.sub(r"[*?$]", lambda found: f"${{{found.group()}}}", key)


def _as_they_are(scope: Scope) -> tuple[Sequence[str], Sequence[str]]:
    return scope.folders, scope.read


def _by_content_and_job(scope: Scope) -> tuple[Sequence[str], Sequence[str]]:
    return _gathered(scope, lambda key: _STACK.match(key) or _CONTENT.match(key))


def _by_data(scope: Scope) -> tuple[Sequence[str], Sequence[str]]:
    return _gathered(scope, lambda key: _STACK.match(key) or _DATA.match(key))


def _by_group(scope: Scope) -> tuple[Sequence[str], Sequence[str]]:
    return _gathered(scope, lambda key: _JOBS.match(key) or _DATA.match(key))


def _gathered(scope: Scope, place: Callable[[str], re.Match[str] | None]) -> tuple[Sequence[str], Sequence[str]]:
    """Folders and keys, with those that have a place in common replaced by that place."""

    def of(key: str) -> str:
        found = place(f"{key}/")
        return found.group(1) if found else ""

    places = [of(key) for key in (*scope.read, *scope.folders)]
    shared = {one for one in places if one and places.count(one) > 1}
    folders: Iterable[str] = (one for one in scope.folders if of(one) not in shared)
    return [*sorted(shared), *folders], [one for one in scope.read if of(one) not in shared]
