"""What a session policy says: never an action of all kinds, never a foreign prefix, never too long."""

from __future__ import annotations

import json
from typing import Any

import pytest

from neurocaas.errors import Refused
from neurocaas.storage import keys
from neurocaas.storage.scope import POLICY_CHARACTERS, Scope, policy_text, scope_of, session_policy
from support.aws_server import arn, permits

OWN = keys.attempt("lab", "j1", 0, 1)
OBJECT_ACTIONS = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")


def document(inputs: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    workflow = {"files": "/versions/x", "archive": "versions/pca/abc.tar"}
    environment = {"mounts": [{"source": "/env", "target": "/opt/env", "archive": "environments/e.tar"}]}
    return {"prefix": OWN, "inputs": inputs, "workflow": workflow, "environment": environment, **changes}


def may(policy: dict[str, Any], action: str, key: str) -> bool:
    return permits([policy], action, arn("bucket", f"site/{key}"), {})


def may_list(policy: dict[str, Any], prefix: str | None) -> bool:
    context = {} if prefix is None else {"s3:prefix": prefix}
    return permits([policy], "s3:ListBucket", arn("bucket"), context)


def policy(scope: Scope, **more: str) -> dict[str, Any]:
    made = session_policy("bucket", "site", scope, **more)
    assert len(policy_text(made)) <= POLICY_CHARACTERS
    for statement in made["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not any("*" in action for action in actions)
        assert statement["Effect"] == "Allow"
    return made


def test_an_attempt_does_what_it_wants_below_its_own_prefix_and_nowhere_beside_it() -> None:
    made = policy(Scope(own=OWN))
    for action in OBJECT_ACTIONS:
        assert may(made, action, f"{OWN}/results/a.csv")
        assert not may(made, action, f"{OWN}0/results/a.csv")
        assert not may(made, action, keys.attempt("lab", "j1", 1, 1) + "/exit.json")
        assert not may(made, action, keys.attempt("other", "j1", 0, 1) + "/exit.json")
    assert may_list(made, f"site/{OWN}/")
    assert may_list(made, f"site/{OWN}/log/")
    assert not may_list(made, None)
    assert not may_list(made, "")
    assert not may_list(made, "site/groups/lab/")


def test_inputs_are_read_one_by_one_and_never_written() -> None:
    one, other = keys.content_file("lab", "c1"), keys.content_file("lab", "c2")
    given = {"name": "a", "form": "file", "key": one, "parts": []}
    made = policy(scope_of(document([given])))
    assert may(made, "s3:GetObject", one)
    assert not may(made, "s3:GetObject", other)
    assert not may(made, "s3:PutObject", one)
    assert not may(made, "s3:DeleteObject", one)
    assert may(made, "s3:GetObject", "versions/pca/abc.tar")
    assert may(made, "s3:GetObject", "environments/e.tar")
    assert not may(made, "s3:GetObject", "environments/f.tar")


def test_a_folder_is_listed_and_read() -> None:
    folder = keys.content_folder("lab", "c1")
    made = policy(scope_of(document([{"name": "a", "form": "folder", "key": folder}])))
    assert may(made, "s3:GetObject", f"{folder}/a/b.tif")
    assert may_list(made, f"site/{folder}/")
    assert not may_list(made, f"site/{keys.data('lab')}/")


def test_the_checkpoints_of_the_attempt_before_are_read() -> None:
    before = keys.checkpoint(keys.attempt("lab", "j1", 0, 1), 3)
    made = policy(scope_of(document([], checkpoint=before, prefix=keys.attempt("lab", "j1", 0, 2))))
    assert may(made, "s3:GetObject", keys.checkpoint_manifest(before))
    assert not may(made, "s3:DeleteObject", keys.checkpoint_manifest(before))
    assert not may(made, "s3:GetObject", keys.exit_record(keys.attempt("lab", "j1", 0, 1)))


def test_only_its_own_sealed_object_is_taken_away() -> None:
    made = policy(scope_of(document([]), keys.exchange("abc")))
    assert may(made, "s3:DeleteObject", keys.exchange("abc"))
    assert not may(made, "s3:GetObject", keys.exchange("abc"))
    assert not may(made, "s3:DeleteObject", keys.exchange("abd"))


def test_what_a_workflow_called_its_results_is_no_wildcard() -> None:
    strange = keys.result(keys.attempt("lab", "j0", 0, 1), "a*b?${aws:username}.csv")
    made = policy(scope_of(document([{"name": "a", "form": "file", "key": strange}])))
    assert may(made, "s3:GetObject", strange)
    assert not may(made, "s3:GetObject", strange.replace("*", "foreign"))
    assert "${aws:username}" not in policy_text(made)


def test_names_in_any_script_are_written_in_ascii() -> None:
    made = policy(Scope(own=OWN, read=(keys.result(keys.attempt("lab", "j0", 0, 1), "大脑.csv"),)))
    assert policy_text(made).isascii()
    assert json.loads(policy_text(made)) == made


def test_many_inputs_from_one_job_become_the_stacks_of_that_job() -> None:
    given = [
        {"name": f"i{n}", "form": "file", "key": keys.result(keys.attempt("lab", "j0", n, 1), "map.npy")}
        for n in range(100)
    ]
    staged = keys.content_file("lab", "c1")
    made = policy(scope_of(document([*given, {"name": "d", "form": "file", "key": staged}])))
    assert may(made, "s3:GetObject", given[99]["key"])
    assert may(made, "s3:GetObject", staged)
    assert not may(made, "s3:GetObject", keys.content_file("lab", "c2"))
    assert not may(made, "s3:GetObject", keys.certificate("lab", "j0"))
    assert not may(made, "s3:GetObject", keys.result(keys.attempt("lab", "j9", 0, 1), "map.npy"))


def test_a_hundred_contents_become_the_data_of_the_group_and_never_of_another() -> None:
    given = [{"name": f"i{n}", "form": "file", "key": keys.content_file("lab", f"content-{n}")} for n in range(100)]
    made = policy(scope_of(document(given)))
    assert may(made, "s3:GetObject", given[50]["key"])
    assert not may(made, "s3:GetObject", keys.content_file("lab2", "content-1"))
    assert not may(made, "s3:GetObject", keys.certificate("lab", "j0"))


def test_a_folder_of_thousands_of_parts_becomes_its_content() -> None:
    parts = [{"path": f"{n}.tif", "key": keys.content_folder_file("lab", "c1", f"{n}.tif")} for n in range(3000)]
    made = policy(scope_of(document([{"name": "a", "form": "folder", "key": None, "parts": parts}])))
    assert may(made, "s3:GetObject", parts[7]["key"])
    assert not may(made, "s3:GetObject", keys.content_folder_file("lab", "c2", "7.tif"))


def test_inputs_of_a_hundred_jobs_become_the_jobs_of_the_group() -> None:
    given = [
        {"name": f"i{n}", "form": "file", "key": keys.result(keys.attempt("lab", f"job-{n}", 0, 1), "map.npy")}
        for n in range(100)
    ]
    made = policy(scope_of(document(given)))
    assert may(made, "s3:GetObject", given[99]["key"])
    assert not may(made, "s3:GetObject", keys.result(keys.attempt("other", "job-1", 0, 1), "map.npy"))


def test_a_key_of_the_bucket_s_own_may_be_used() -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/abc"
    made = policy(Scope(own=OWN), kms_key=key)
    assert permits([made], "kms:Decrypt", key, {})


def test_names_that_no_policy_can_hold_are_refused_in_a_sentence() -> None:
    with pytest.raises(Refused, match="session policy"):
        session_policy("bucket", "site", Scope(own="groups/" + "/".join(["x" * 180] * 5), exchange="exchange/a"))


def test_other_partitions_of_aws_have_other_names() -> None:
    assert "arn:aws-cn:s3:::bucket" in policy_text(policy(Scope(own=OWN), partition="aws-cn"))
