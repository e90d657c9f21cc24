"""A site's bucket compared with what the site asks of it, and brought to that (needs boto3)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from neurocaas.errors import Refused, StorageFailed, Unavailable
from neurocaas.settings import Settings
from neurocaas.storage import bucket as asked
from neurocaas.storage.credentials import Connection

_NOT_SET = frozenset(
    {
        "NoSuchLifecycleConfiguration",
        "NoSuchCORSConfiguration",
        "NoSuchPublicAccessBlockConfiguration",
        "ServerSideEncryptionConfigurationNotFoundError",
    }
)
# Stores that speak S3 lack some of these; that is theirs to answer for, and said.
_NOT_KNOWN = frozenset({"NotImplemented", "MethodNotAllowed", "XNotImplemented"})


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One part of the bucket's settings: whether it is as asked, what was found, and what is asked."""

    part: str
    well: bool
    found: str
    asked: str


class SiteBucket:
    """The bucket of the site's store. Raises Refused for a store that is none, Unavailable without boto3."""

    def __init__(self, settings: Settings) -> None:
        if not settings.store_url.startswith("s3://"):
            raise Refused(
                f'site.json: store: found "{settings.site.store}"; a store at s3://bucket/prefix is right here.'
            )
        self.name, _, self._prefix = settings.store_url.removeprefix("s3://").partition("/")
        self._storage = settings.site.storage
        self._site_url = settings.site.web.url
        self._client = _client()

    def compare(self) -> list[Compared]:
        """Every part, as it is now. Raises StorageFailed if the bucket is not there or may not be looked at."""
        return [self._encryption(), self._public_access(), *self._lifecycle(), self._cors()]

    def apply(self) -> None:
        """Bring every part to what is asked. Rules that are not this platform's stay. Raises StorageFailed."""
        default = {"ApplyServerSideEncryptionByDefault": asked.encryption(self._storage), "BucketKeyEnabled": True}
        self._put("encryption", "put_bucket_encryption", ServerSideEncryptionConfiguration={"Rules": [default]})
        block = asked.PUBLIC_ACCESS_BLOCK
        self._put("public access", "put_public_access_block", PublicAccessBlockConfiguration=block)
        rules = [*self._foreign_rules(), *(rule.for_s3() for rule in self._rules())]
        self._put("lifecycle", "put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": rules})
        cors = [*self._foreign_cors(), asked.cors_rule(self._site_url)]
        self._put("browsers", "put_bucket_cors", CORSConfiguration={"CORSRules": cors})

    def _encryption(self) -> Compared:
        found = self._get("get_bucket_encryption", "ServerSideEncryptionConfiguration", {}).get("Rules", [])
        default = found[0].get("ApplyServerSideEncryptionByDefault", {}) if found else {}
        wanted = asked.encryption(self._storage)
        return Compared(part="encryption", well=default == wanted, found=_said(default), asked=_said(wanted))

    def _public_access(self) -> Compared:
        found = self._get("get_public_access_block", "PublicAccessBlockConfiguration", {})
        open_to = [name for name in asked.PUBLIC_ACCESS_BLOCK if not found.get(name)]
        said = f"not blocked: {', '.join(open_to)}" if open_to else "blocked"
        return Compared(part="public access", well=not open_to, found=said, asked="blocked")

    def _lifecycle(self) -> Iterator[Compared]:
        there = {one.get("ID", ""): one for one in self._found_rules()}
        wanted = {rule.id: rule.for_s3() for rule in self._rules()}
        for name, rule in wanted.items():
            found = {key: value for key, value in there.get(name, {}).items() if key in rule}
            yield Compared(part=f"lifecycle {name}", well=found == rule, found=_said(found), asked=_said(rule))
        for name in sorted(there):
            if self._is_ours(name) and name not in wanted:
                yield Compared(part=f"lifecycle {name}", well=False, found=_said(there[name]), asked="nothing")

    def _cors(self) -> Compared:
        wanted = asked.cors_rule(self._site_url)
        found = self._found_cors()
        fits = [one for one in found if self._site_url in one["AllowedOrigins"] and "PUT" in one["AllowedMethods"]]
        well = any("ETag" in one.get("ExposeHeaders", ()) for one in fits)
        return Compared(part="browsers", well=well, found=_said(fits or found), asked=_said(wanted))

    def _rules(self) -> Sequence[asked.Rule]:
        return asked.lifecycle_rules(self._storage.lifecycle, self._prefix)

    def _is_ours(self, name: str) -> bool:
        """Whether a lifecycle rule is this site's: another site may have its store in the same bucket."""
        top = f"{self._prefix.strip('/')}/" if self._prefix.strip("/") else ""
        mine = name.removeprefix(f"{asked.RULE_IDS}{top}")
        return name.startswith(f"{asked.RULE_IDS}{top}") and "/" not in mine

    def _found_rules(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get("get_bucket_lifecycle_configuration", "Rules", [])
        return found

    def _foreign_rules(self) -> list[dict[str, Any]]:
        return [one for one in self._found_rules() if not self._is_ours(one.get("ID", ""))]

    def _found_cors(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get("get_bucket_cors", "CORSRules", [])
        return found

    def _foreign_cors(self) -> list[dict[str, Any]]:
        own = asked.cors_rule(self._site_url)
        return [one for one in self._found_cors() if one.get("ID") != own["ID"] and one != _without_id(own)]

    def _get(self, method: str, name: str, nothing: Any) -> Any:
        with self._told("looked at"):
            answer = self._asked(lambda: getattr(self._client, method)(Bucket=self.name))
            return answer.get(name, nothing)

    @staticmethod
    def _asked(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        try:
            return ask()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _NOT_SET | _NOT_KNOWN:
                return {}
            raise

    def _put(self, part: str, method: str, **values: Any) -> None:
        with self._told(f"changed ({part})"):
            getattr(self._client, method)(Bucket=self.name, **values)

    @contextlib.contextmanager
    def _told(self, done: str) -> Iterator[None]:
        """Turns botocore's errors into sentences."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            said = str(error.response.get("Error", {}).get("Message")).rstrip(".")
            raise StorageFailed(f"The bucket {self.name} could not be {done}: {said}.") from error
        except BotoCoreError as error:
            raise StorageFailed(f"The bucket {self.name} could not be {done}: {str(error)[:300]}.") from error


def _client() -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as cause:
        raise Unavailable(
            "The settings of a bucket need boto3, which is not installed.", remedy="pip install 'neurocaas[aws]'"
        ) from cause
    connection = Connection.here()
    style = "virtual" if connection.virtual_hosted else "path" if connection.endpoint else "auto"
    config = Config(retries={"mode": "standard", "max_attempts": 4}, s3={"addressing_style": style})
    return boto3.client("s3", region_name=connection.region, endpoint_url=connection.endpoint or None, config=config)


def _said(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str) if value else "nothing"


def _without_id(rule: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key != "ID"}
