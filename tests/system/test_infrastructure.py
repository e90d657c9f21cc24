"""`neurocaas deploy --provider aws` and `neurocaas destroy`, as a person types them, in an emulated account."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from support.aws import Aws
from support.aws_server import ACCOUNT
from support.sites import TestSite


@pytest.fixture
def stack() -> str:
    return f"t{uuid4().hex[:9]}"


@pytest.fixture
def aws_site(local_site: TestSite, aws: Aws, stack: str) -> TestSite:
    """A site with one drop-box, whose group has a member, in an account of its own that is emulated."""
    local_site.analysis("pca", "true")
    _declare(local_site, "site.json", {"aws": {"stack": stack, "drop_boxes": ["pca"]}})
    _declare(local_site, "groups/lab.json", {"name": "lab", "users": {"ada": {}}})
    local_site.variables |= aws.variables
    return local_site


def _declare(site: TestSite, path: str, document: dict[str, Any], *, commit: bool = True) -> None:
    """Add to a document of the source repo."""
    from neurocaas.blueprint import SourceRepo

    file = site.root / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps((json.loads(file.read_text()) if file.exists() else {}) | document))
    if commit:
        SourceRepo(site.root).commit(f"Declare {path}")


DEPLOY = ("deploy", "--provider", "aws")


def test_from_nothing_to_a_stack_and_back_to_nothing_but_data(aws_site: TestSite, aws: Aws, stack: str) -> None:
    site = aws_site
    seen = site(*DEPLOY, "--dry-run").out
    assert f"add bucket {stack}-box-pca-ACCOUNT" in seen
    assert "would change.\nAt most 500 dollars a month, for the whole account" in seen
    assert "To have jobs stopped, name the site's role as aws.manager." in seen
    assert not [one for one in aws.client("s3").list_buckets()["Buckets"] if stack in one["Name"]], (
        "a dry run makes nothing"
    )

    made = site(*DEPLOY)
    assert "AWS_SECRET_ACCESS_KEY" not in made.out, "a secret goes to no file and no log"
    assert "1 of the drop-boxes' users are to have new keys" in made.err
    entries = json.loads(made.out.partition("must hold:\n")[2])
    assert entries["dropboxes"] == {"pca": f"s3://{stack}-box-pca-{ACCOUNT}"}

    _declare(site, "site.json", {"storage": entries["storage"]})
    again = site(*DEPLOY, "--json").json
    assert again["changes"] == []
    assert "storage" not in again["site"]

    shown = site(*DEPLOY, "--show-keys").out
    assert "ada of lab, shown this once:\n    AWS_ACCESS_KEY_ID=" in shown
    assert "AWS_ACCESS_KEY_ID" not in site(*DEPLOY, "--show-keys").out

    drift = site(*DEPLOY, "--drift")
    assert drift.out == "All that was looked at is as it was deployed.\n"
    assert "CloudFormation's own detection of drift is unavailable" in drift.err

    refused = site("destroy", "--provider", "aws", "--with-data", "--confirm", "another", expect=2)
    assert f"Found 'another'; '{stack}', the stack's name, is right. Nothing was deleted." in refused.err
    gone = site("destroy", "--provider", "aws").out
    assert gone.splitlines()[0] == f"The stack {stack} is gone."
    assert f"Kept s3://{stack}-store-{ACCOUNT}; deploying again takes it in." in gone
    last = site("destroy", "--provider", "aws", "--with-data", "--confirm", stack).out
    assert f"There is no stack {stack}: nothing to do." in last
    assert f"Deleted s3://{stack}-store-{ACCOUNT} and everything in it." in last
    assert not [one for one in aws.client("s3").list_buckets()["Buckets"] if stack in one["Name"]]


def test_what_is_not_committed_is_not_deployed(aws_site: TestSite) -> None:
    _declare(aws_site, "groups/lab.json", {"title": "Lab"}, commit=False)
    refused = aws_site(*DEPLOY, expect=2)
    assert "groups/lab.json: not committed" in refused.err
    assert "neurocaas deploy --dry-run --provider aws" in refused.err


def test_a_site_without_a_part_for_aws_is_told_what_to_write(local_site: TestSite) -> None:
    for command in (DEPLOY, ("destroy", "--provider", "aws")):
        refused = local_site(*command, expect=2)
        assert "site.json: aws: it is missing; a site that deploys to AWS must have it." in refused.err


def test_without_credentials_one_sentence_says_so(aws_site: TestSite) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws_site.variables[name] = ""
    told = aws_site(*DEPLOY, "--dry-run", expect=12)
    assert "AWS could not be asked to show what is deployed: Unable to locate credentials" in told.err


def test_options_of_infrastructure_need_a_provider(local_site: TestSite) -> None:
    assert "Add --provider aws." in local_site("deploy", "--drift", expect=2).err
