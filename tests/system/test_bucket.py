"""`neurocaas storage`: the bucket has what site.json asks for, or it is said what differs; others' rules stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.aws import Aws
from support.sites import TestSite, make_site


@pytest.fixture
def stored(as_admin: Aws, tmp_path: Path, shared_environments: Path) -> tuple[TestSite, str]:
    """A site on S3, and the name of its bucket."""
    bucket = as_admin.bucket()
    variables = {"NEUROCAAS_STORE_URL": f"s3://{bucket}/site", **as_admin.variables}
    return make_site(tmp_path, shared_environments, **variables), bucket


def ask(site: TestSite, **storage: Any) -> None:
    path = site.root / "site.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"storage": storage}))


def differing(site: TestSite) -> set[str]:
    answer = site("storage", "check", "--json", expect=None)
    parts = {one["part"] for one in answer.json if not one["well"]}
    assert answer.code == (8 if parts else 0)
    return parts


def test_a_new_bucket_differs_and_after_apply_it_does_not(stored: tuple[TestSite, str], aws: Aws) -> None:
    site, bucket = stored
    assert {"public access", "browsers", "lifecycle neurocaas:site/exchange"} <= differing(site)
    said = site("storage", "check", expect=8).out
    assert "DIFFERS  public access" in said
    assert "neurocaas storage apply" in said
    site("storage", "apply")
    assert differing(site) == set()
    s3 = aws.client("s3")
    rules = {one["ID"]: one for one in s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]}
    assert rules["neurocaas:site/abandoned"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 8}
    assert rules["neurocaas:site/exchange"]["Expiration"] == {"Days": 8}
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())


def test_what_site_json_asks_for_is_followed_there_and_back(stored: tuple[TestSite, str]) -> None:
    site, _ = stored
    key = "arn:aws:kms:us-east-1:123456789012:key/abc"
    ask(site, encryption=key, lifecycle={"cold_days": 30, "cold_class": "GLACIER_IR"})
    site("storage", "apply")
    ask(site)
    assert differing(site) == {"encryption", "lifecycle neurocaas:site/cold"}
    site("storage", "apply")
    assert differing(site) == set()


def test_rules_of_others_in_the_bucket_stay(stored: tuple[TestSite, str], aws: Aws) -> None:
    site, bucket = stored
    s3 = aws.client("s3")
    others = [
        {"ID": name, "Status": "Enabled", "Filter": {"Prefix": "elsewhere/"}, "Expiration": {"Days": 3}}
        for name in ("theirs", "neurocaas:other-site/exchange", "neurocaas:site/below/exchange")
    ]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": others})
    theirs = {"AllowedOrigins": ["https://elsewhere.example.org"], "AllowedMethods": ["GET"]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [theirs]})
    for _ in range(2):
        site("storage", "apply")
    rules = [one["ID"] for one in s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]]
    assert sorted(rules) == sorted({*(one["ID"] for one in others), *rules})
    assert {one["ID"] for one in others} < set(rules)
    origins = [one["AllowedOrigins"] for one in s3.get_bucket_cors(Bucket=bucket)["CORSRules"]]
    assert origins == [["https://elsewhere.example.org"], ["http://localhost:8000"]]


def test_a_bucket_that_is_not_there_is_said_in_a_sentence(stored: tuple[TestSite, str]) -> None:
    site, _ = stored
    site.variables["NEUROCAAS_STORE_URL"] = "s3://no-such-bucket/site"
    for command in ("check", "apply"):
        assert "The bucket no-such-bucket could not be" in site("storage", command, expect=8).err


def test_the_doctor_looks_whether_the_store_is_there(stored: tuple[TestSite, str]) -> None:
    site, _ = stored
    found = {one["part"]: one for one in site("doctor", "--json", expect=None).json}
    assert found["store"]["well"]
    site.variables["NEUROCAAS_STORE_URL"] = "s3://no-such-bucket/site"
    found = {one["part"]: one for one in site("doctor", "--json", expect=7).json}
    assert "there is no bucket no-such-bucket" in found["store"]["found"]


def test_a_store_in_a_folder_has_no_bucket(tmp_path: Path, shared_environments: Path) -> None:
    site = make_site(tmp_path, shared_environments)
    assert "s3://bucket/prefix is right" in site("storage", "check", expect=2).err
