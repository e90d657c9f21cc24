"""What a site asks of its bucket: encryption, lifecycle, no public access, and that browsers may send to it.

Pure: the words of S3's API and of CloudFormation, made of the site's settings. `bucket_settings` talks to S3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurocaas.settings import Lifecycle, StorageSettings

RULE_IDS = "neurocaas:"  # by which the rules of this platform's sites are told from others' in the same bucket
PUBLIC_ACCESS_BLOCK = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One lifecycle rule, on all keys that begin with `prefix` ("" for all).

    abandoned_days: parts of uploads that were never completed go. expiry_days: objects go. cold_days, cold_class:
    objects move to a storage class; S3 by itself leaves those below 128 KiB, which would cost more there.
    """

    id: str
    prefix: str
    abandoned_days: int | None = None
    expiry_days: int | None = None
    cold_days: int | None = None
    cold_class: str = ""

    def for_s3(self) -> dict[str, Any]:
        """As PutBucketLifecycleConfiguration takes it."""
        rule: dict[str, Any] = {"ID": self.id, "Status": "Enabled", "Filter": {"Prefix": self.prefix}}
        if self.abandoned_days is not None:
            rule["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": self.abandoned_days}
        if self.expiry_days is not None:
            rule["Expiration"] = {"Days": self.expiry_days}
        if self.cold_days is not None:
            rule["Transitions"] = [{"Days": self.cold_days, "StorageClass": self.cold_class}]
        return rule

    def for_cloudformation(self) -> dict[str, Any]:
        """As a Rule of AWS::S3::Bucket's LifecycleConfiguration."""
        rule: dict[str, Any] = {"Id": self.id, "Status": "Enabled", "Prefix": self.prefix}
        if self.abandoned_days is not None:
            rule["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": self.abandoned_days}
        if self.expiry_days is not None:
            rule["ExpirationInDays"] = self.expiry_days
        if self.cold_days is not None:
            rule["Transitions"] = [{"TransitionInDays": self.cold_days, "StorageClass": self.cold_class}]
        return rule


def lifecycle_rules(lifecycle: Lifecycle, store_prefix: str = "") -> tuple[Rule, ...]:
    """The rules for a store below this prefix of its bucket. No more than the site's own keys are named.

    Only what groups have grows cold: their data, results and logs. Whatever the class, it must be read at once, since
    a job may take any of it as its input and a person may open it any day: so Glacier Flexible Retrieval and Deep
    Archive, which answer after hours, are not offered. Intelligent-Tiering is the default because nobody knows which
    results are opened again: it moves each object by its own use and asks nothing for reading it.
    """
    top = f"{store_prefix.strip('/')}/" if store_prefix.strip("/") else ""
    rules = [
        Rule(id=f"{RULE_IDS}{top}abandoned", prefix=top, abandoned_days=lifecycle.abandoned_days),
        Rule(id=f"{RULE_IDS}{top}exchange", prefix=f"{top}exchange/", expiry_days=lifecycle.exchange_days),
    ]
    if lifecycle.cold_days is not None:
        cold = {"cold_days": lifecycle.cold_days, "cold_class": lifecycle.cold_class}
        rules.append(Rule(id=f"{RULE_IDS}{top}cold", prefix=f"{top}groups/", **cold))  # type: ignore[arg-type]
    return tuple(rules)


def encryption(storage: StorageSettings) -> dict[str, Any]:
    """The bucket's default encryption; S3's API and CloudFormation name its parts differently."""
    if storage.encryption == "AES256":
        return {"SSEAlgorithm": "AES256"}
    return {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": storage.encryption}


def cors_rule(site_url: str) -> dict[str, Any]:
    """What lets pages of the site, and of nobody else, send uploads to signed addresses; as PutBucketCors takes it.

    CloudFormation calls ID "Id" and ExposeHeaders "ExposedHeaders".
    """
    return {
        "ID": f"{RULE_IDS}{site_url}",
        "AllowedOrigins": [site_url],
        "AllowedMethods": ["PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
    }
