"""The judge of what policies allow, which other tests rely on, judged itself: as IAM evaluates them."""

from __future__ import annotations

from typing import Any

import pytest

from support.aws_server import actions, arn, caller, matches, permits

OBJECT = arn("bucket", "a/b")


def statement(effect: str = "Allow", action: Any = "s3:GetObject", resource: Any = OBJECT, **more: Any) -> Any:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def allowed(*statements: Any, action: str = "s3:GetObject", resource: str = OBJECT, **context: str) -> bool:
    return permits(
        [{"Statement": list(statements)}], action, resource, {f"s3:{key}": one for key, one in context.items()}
    )


def test_nothing_is_allowed_unless_said_and_a_denial_wins() -> None:
    assert not allowed()
    assert allowed(statement())
    assert not allowed(statement(), action="s3:PutObject")
    assert not allowed(statement(), resource=arn("bucket", "a/bc"))
    assert not allowed(statement(), statement("Deny", "s3:*", "*"))


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("a/*", "a/b/c", True),
        ("a/?", "a/bc", False),
        ("a.b", "axb", False),
        ("a/${*}", "a/*", True),
        ("a/${*}", "a/b", False),
        ("a/${?}${$}", "a/?$", True),
        ("a$", "a$", True),
    ],
)
def test_patterns_fit_as_iams_do(pattern: str, text: str, fits: bool) -> None:
    assert matches(pattern, text) is fits


def test_a_condition_on_the_prefix_holds_only_for_a_request_that_has_one() -> None:
    listing = statement(
        action="s3:ListBucket", resource=arn("bucket"), Condition={"StringLike": {"s3:prefix": ["a/*"]}}
    )
    asked = {"action": "s3:ListBucket", "resource": arn("bucket")}
    assert allowed(listing, **asked, prefix="a/")
    assert not allowed(listing, **asked, prefix="b/a/")
    assert not allowed(listing, **asked)
    listing["Condition"] = {"NumericLessThan": {"s3:max-keys": 10}}
    assert not allowed(listing, **asked)


@pytest.mark.parametrize(
    ("method", "name", "query", "action"),
    [
        ("GET", "a", {}, "s3:GetObject"),
        ("HEAD", "a", {}, "s3:GetObject"),
        ("PUT", "a", {"partNumber": "1", "uploadId": "u"}, "s3:PutObject"),
        ("POST", "a", {"uploads": ""}, "s3:PutObject"),
        ("DELETE", "a", {"uploadId": "u"}, "s3:AbortMultipartUpload"),
        ("DELETE", "a", {}, "s3:DeleteObject"),
        ("GET", "", {"list-type": "2", "prefix": "x/"}, "s3:ListBucket"),
        ("GET", "", {"policy": ""}, "s3:GetBucket"),
        ("PUT", "", {}, "s3:PutBucket"),
    ],
)
def test_each_request_needs_its_action(method: str, name: str, query: dict[str, str], action: str) -> None:
    assert [one for one, _, _ in actions(method, "bucket", name, query, {})] == [action]


def test_who_calls_is_read_from_headers_or_from_a_signed_address() -> None:
    assert caller("AWS4-HMAC-SHA256 Credential=KEY/20260101/us-east-1/s3/aws4_request, …", {}) == ("KEY", "s3")
    assert caller("", {"X-Amz-Credential": "KEY/20260101/us-east-1/s3/aws4_request"}) == ("KEY", "s3")
    assert caller("", {}) == ("", "")
