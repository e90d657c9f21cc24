"""moto's server with what it lacks for S3: who calls is asked, and policies count, those of STS sessions included.

`python aws_server.py PORT`. moto keeps the policy of AssumeRole without ever looking at it, and reads no conditions.
Here each S3 request of a user of IAM's or of an assumed role is allowed only if the principal's policies allow it and,
in a session with a policy, that policy too. Everything else (other services, the key `ADMIN`) is as in moto.

`GET /neurocaas/requests` answers how many S3 requests each access key has made, by method ("LIST" apart from "GET")
and by the job whose objects they were about ("" for others).
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree

ADMIN = "ADMIN"
ACCOUNT, PARTITION = "123456789012", "aws"
FORBIDDEN = "403 Forbidden"

Environ = dict[str, Any]


class Enforcing:
    """WSGI before moto's own application."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._lock = Lock()
        self._creating = Lock()  # S3 looks and writes in one step; moto does not
        self.requests: Counter[tuple[str, str, str]] = Counter()

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/neurocaas/requests":
            body = json.dumps([[*who, count] for who, count in self.requests.items()]).encode()
            start_response("200 OK", [("Content-Type", "application/json")])
            return [body]
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        key, service = caller(environ.get("HTTP_AUTHORIZATION", ""), query)
        if service != "s3" or environ["PATH_INFO"].startswith("/moto-api"):
            return self._app(environ, start_response)  # type: ignore[no-any-return]
        bucket, _, name = environ["PATH_INFO"].lstrip("/").encode("latin-1").decode().partition("/")
        method = environ["REQUEST_METHOD"]
        job = re.search(r"groups/[^/]+/jobs/([^/]+)", name or query.get("prefix", ""))
        with self._lock:
            self.requests[key, "LIST" if method == "GET" and not name else method, job.group(1) if job else ""] += 1
        wanted = [*actions(method, bucket, name, query, environ)]
        problem = ended(query) or refusal(key, environ.get("HTTP_X_AMZ_SECURITY_TOKEN"), wanted, query)
        if problem:
            return refuse(problem, start_response)
        with self._creating if environ.get("HTTP_IF_NONE_MATCH") == "*" else nullcontext():
            return self._app(environ, self._hiding(key, name, bucket, start_response))  # type: ignore[no-any-return]

    def _hiding(self, key: str, name: str, bucket: str, start_response: Any) -> Any:
        """S3 says 404 only to who may list the bucket without any condition; to others what is missing is forbidden."""

        def answer(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            if status.startswith("404") and name and refusal(key, None, [("s3:ListBucket", arn(bucket), {})], {}):
                status = FORBIDDEN
            return start_response(status, headers, *rest)

        return answer


def caller(authorization: str, query: dict[str, str]) -> tuple[str, str]:
    """Access key and service of a signed request, signed in its headers or its address. Unsigned ones are none's."""
    found = re.search(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/", authorization)
    if found is None and "X-Amz-Credential" in query:
        found = re.match(r"([^/]+)/\d+/[^/]+/([^/]+)/", query["X-Amz-Credential"])
    return (found.group(1), found.group(2)) if found else ("", "")


def actions(
    method: str, bucket: str, name: str, query: dict[str, str], environ: Environ
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(action, resource, context) of everything that a request asks for."""
    if not name:
        if method == "POST" and "delete" in query:
            for key in _posted_keys(environ):
                yield "s3:DeleteObject", arn(bucket, key), {}
        elif method in {"GET", "HEAD"} and not set(query) - LIST_PARAMETERS:
            yield "s3:ListBucket", arn(bucket), {"s3:prefix": query["prefix"]} if "prefix" in query else {}
        else:
            yield f"s3:{BUCKET_VERBS.get(method, method)}Bucket", arn(bucket), {}
        return
    if method in {"GET", "HEAD"}:
        yield "s3:ListMultipartUploadParts" if "uploadId" in query else "s3:GetObject", arn(bucket, name), {}
    elif method == "DELETE":
        yield "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject", arn(bucket, name), {}
    else:
        yield "s3:PutObject", arn(bucket, name), {}
        if source := environ.get("HTTP_X_AMZ_COPY_SOURCE"):
            yield "s3:GetObject", arn(unquote(source).lstrip("/")), {}


LIST_PARAMETERS = frozenset(
    {"list-type", "prefix", "delimiter", "max-keys", "continuation-token", "start-after", "encoding-type", "marker"}
    | {"fetch-owner"}
)
BUCKET_VERBS = {"GET": "Get", "HEAD": "Get", "PUT": "Put", "POST": "Put", "DELETE": "Delete"}


def arn(bucket: str, name: str = "") -> str:
    return f"arn:aws:s3:::{bucket}/{name}" if name else f"arn:aws:s3:::{bucket}"


def _posted_keys(environ: Environ) -> list[str]:
    import io

    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return [one.text or "" for one in ElementTree.fromstring(body).iter() if one.tag.rpartition("}")[2] == "Key"]


def ended(query: dict[str, str]) -> str:
    """Signed addresses have an end, which moto does not look at."""
    if "X-Amz-Expires" not in query:
        return ""
    signed_at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return (
        "Request has expired" if datetime.now(UTC) > signed_at + timedelta(seconds=int(query["X-Amz-Expires"])) else ""
    )


def refusal(key: str, token: str | None, wanted: list[tuple[str, str, dict[str, str]]], query: dict[str, str]) -> str:
    """Why the request is refused, "" if it is allowed."""
    if key == ADMIN:
        return ""
    found = policies_of(key, token or query.get("X-Amz-Security-Token"))
    if isinstance(found, str):
        return found
    allowed = all(permits(policies, *one) for policies in found for one in wanted)
    return "" if allowed else "Access Denied"


def _document(policy: Any) -> dict[str, Any]:
    """A policy as moto keeps it: as text, or read already if CloudFormation made its role."""
    read: dict[str, Any] = policy if isinstance(policy, dict) else json.loads(policy)
    return read


def policies_of(key: str, token: str | None) -> list[list[dict[str, Any]]] | str:
    """The policies of a caller, in groups each of which must allow a request; or why there is no such caller."""
    from moto.iam.models import iam_backends
    from moto.sts.models import sts_backends

    iam = iam_backends[ACCOUNT][PARTITION]
    for role in sts_backends[ACCOUNT][PARTITION].assumed_roles:
        if role.access_key_id != key:
            continue
        if token is not None and token != role.session_token:
            return "The provided token is malformed"
        if datetime.now(UTC) > role.expiration.replace(tzinfo=UTC):
            return "The provided token has expired"
        of_role = iam.get_role_by_arn(role.role_arn)
        texts = [*of_role.policies.values(), *map(_current, of_role.managed_policies.values())]
        session = [json.loads(role.policy)] if role.policy else []
        return [[_document(one) for one in texts], *([session] if session else [])]
    for user in iam.users.values():
        if any(one.access_key_id == key and one.status == "Active" for one in user.access_keys):
            texts = [*user.policies.values(), *map(_current, user.managed_policies.values())]
            return [[_document(one) for one in texts]]
    return "The AWS Access Key Id you provided does not exist in our records"


def _current(policy: Any) -> str:
    """The text of a managed policy: that of the version in force."""
    return str(next(one.document for one in policy.versions if one.version_id == policy.default_version_id))


def permits(policies: list[dict[str, Any]], action: str, resource: str, context: dict[str, str]) -> bool:
    """Whether one of the policies allows it and none denies it, as IAM evaluates them."""
    fitting = [
        statement["Effect"]
        for policy in policies
        for statement in _listed(policy["Statement"])
        if any(matches(one, action, fold=True) for one in _listed(statement.get("Action", ())))
        and any(matches(one, resource) for one in _listed(statement.get("Resource", ())))
        and all(_holds(*one, context) for one in statement.get("Condition", {}).items())
    ]
    return "Allow" in fitting and "Deny" not in fitting


def _holds(operator: str, tests: dict[str, Any], context: dict[str, str]) -> bool:
    """A block of conditions; one that is not known here does not hold, so a test that needs it fails."""
    name, if_exists = operator.removesuffix("IfExists"), operator.endswith("IfExists")
    for key, values in tests.items():
        if key not in context:
            if not if_exists:
                return False
        elif name == "StringLike":
            if not any(matches(one, context[key]) for one in _listed(values)):
                return False
        elif name != "StringEquals" or context[key] not in _listed(values):
            return False
    return True


def matches(pattern: str, text: str, *, fold: bool = False) -> bool:
    """IAM's patterns: `*` and `?`, and `${*}`, `${?}`, `${$}` for the characters themselves."""
    parts = re.findall(r"\$\{[*?$]\}|[*?]|[^*?$]+|\$", pattern)
    wild = {"*": ".*", "?": "."}
    regex = "".join(wild[one] if one in wild else re.escape(one[2] if one.startswith("${") else one) for one in parts)
    return re.fullmatch(regex, text, re.DOTALL | (re.IGNORECASE if fold else 0)) is not None


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def refuse(problem: str, start_response: Any) -> list[bytes]:
    body = f"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>{problem}</Message></Error>".encode()
    start_response(FORBIDDEN, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


def _run_jobs_as_batch_does() -> None:
    """A job is STARTING while its image is pulled, where moto says RUNNING; it is ended by SIGTERM, and by SIGKILL half
    a minute later, where moto begins with that."""
    from docker.errors import ImageNotFound
    from docker.models.containers import Container
    from moto.batch.models import Job

    advance, pulling = Job.advance, Lock()

    def pull_and_advance(job: Job) -> None:
        if job.status == "STARTING" and job.job_definition.container_properties:
            image = job.job_definition.container_properties["image"]
            with pulling:
                try:
                    job.docker_client.images.get(image)
                except ImageNotFound:
                    job.docker_client.images.pull(image)
        advance(job)

    Job.advance = pull_and_advance
    Container.kill = lambda self, signal=None: self.stop(timeout=30)


def main(port: int) -> None:
    os.environ["MOTO_PORT"] = str(port)
    # This file is run as a program, whose folder is where its imports are found.
    from formation_gaps import complete
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import run_simple

    _run_jobs_as_batch_does()
    complete()
    app = Enforcing(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", port, app, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main(int(sys.argv[1]))
