"""What a site asks of its bucket, in the words of S3 and of CloudFormation."""

from __future__ import annotations

import pytest

from neurocaas.documents import parse
from neurocaas.errors import Refused
from neurocaas.settings import Lifecycle, SiteDocument, StorageSettings
from neurocaas.storage import keys
from neurocaas.storage.bucket import cors_rule, encryption, lifecycle_rules


def test_nothing_but_what_was_left_behind_is_ever_deleted() -> None:
    rules = lifecycle_rules(Lifecycle(cold_days=30), "site")
    assert [rule.prefix for rule in rules if rule.expiry_days is not None] == ["site/exchange/"]
    assert keys.exchange("abc") == "exchange/abc"


@pytest.mark.parametrize("prefix", ["", "a/site"])
def test_no_rule_reaches_beyond_the_store_s_prefix(prefix: str) -> None:
    for rule in lifecycle_rules(Lifecycle(cold_days=1), prefix):
        assert rule.prefix.startswith(prefix)
        assert rule.prefix == "" or rule.prefix.endswith("/")


def test_what_grows_cold_can_be_read_at_once() -> None:
    (cold,) = [rule for rule in lifecycle_rules(Lifecycle(cold_days=0), "site") if rule.cold_days is not None]
    assert cold.prefix == "site/groups/"
    assert cold.cold_class == "INTELLIGENT_TIERING"
    assert cold.for_s3()["Transitions"] == [{"Days": 0, "StorageClass": "INTELLIGENT_TIERING"}]
    assert cold.for_cloudformation()["Transitions"] == [{"TransitionInDays": 0, "StorageClass": "INTELLIGENT_TIERING"}]


@pytest.mark.parametrize(
    ("storage", "sentence"),
    [
        ({"lifecycle": {"cold_days": 5, "cold_class": "DEEP_ARCHIVE"}}, "cold_class: found"),
        ({"lifecycle": {"cold_days": 5, "cold_class": "STANDARD_IA"}}, "at least 30 cold_days"),
        ({"lifecycle": {"exchange_days": 0}}, "at least 1"),
        ({"encryption": "none"}, "encryption: found"),
        ({"runner_role": "runner"}, "runner_role: found"),
        ({"session_minutes": 5}, "at least 15"),
        ({"ticket_hours": 200}, "at most 168"),
    ],
)
def test_what_aws_would_refuse_is_refused_when_it_is_read(storage: dict[str, object], sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        parse(SiteDocument, {"name": "x", "storage": storage}, "site.json")


def test_a_key_of_ones_own_encrypts_by_kms() -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/abc"
    assert encryption(StorageSettings(encryption=key)) == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    assert encryption(StorageSettings()) == {"SSEAlgorithm": "AES256"}


def test_browsers_send_from_the_site_s_own_pages_only() -> None:
    assert cors_rule("https://neurocaas.example.org")["AllowedOrigins"] == ["https://neurocaas.example.org"]
