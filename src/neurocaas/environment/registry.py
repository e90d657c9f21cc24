"""Send an image to a registry: the push half of the OCI distribution specification 1.0.

The bytes that are sent are those that were digested, so the digest is known before anything is sent and is the same
in every registry; an engine would compress the layers anew. Who may push is read where `podman login` and `docker
login` leave it. Only a registry on this very machine is spoken to without TLS, as engines do.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx

from neurocaas.environment.oci import BLOCK_BYTES, MANIFEST_TYPE, Blobs, Image
from neurocaas.errors import Forbidden, Refused, RemoteFailed

NAMED = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(:\d+)?)/(?P<name>[a-z0-9]+([._/-]+[a-z0-9]+)*)(:(?P<tag>[A-Za-z0-9_][\w.-]{0,127}))?"
)
LOOPBACK = re.compile(r"^(localhost|127\.\d+\.\d+\.\d+)(:\d+)?$")
SECONDS = httpx.Timeout(60, write=300)
TRIES = 3
Content = bytes | Iterator[bytes] | None
SignIn = Callable[[str], tuple[str, str] | None]  # user and password for a host


class Destination(NamedTuple):
    """What `HOST[:PORT]/NAME[:TAG]` names."""

    host: str
    name: str
    tag: str

    @property
    def url(self) -> str:
        return f"{'http' if LOOPBACK.match(self.host) else 'https'}://{self.host}/v2/{self.name}"


def parse(reference: str) -> Destination:
    """Raises Refused for anything that does not name a registry's host and a repository in it."""
    found = NAMED.fullmatch(reference)
    if found is None or not ({".", ":"} & set(found["host"]) or found["host"] == "localhost"):
        raise Refused(f"The image's place is {reference!r}; HOST/NAME or HOST/NAME:TAG, in lower case, is right.")
    return Destination(host=found["host"], name=found["name"], tag=found["tag"] or "")


def push(
    blobs: Blobs, image: Image, reference: str, *, progress: Callable[[str], None], sign_in: SignIn | None = None
) -> str:
    """Send what the registry lacks. Returns HOST/NAME@sha256:…. Raises Refused, Forbidden or RemoteFailed.

    sign_in: asked once the registry asks who we are; left out, what `podman login` and `docker login` left.
    """
    place = parse(reference)
    manifest = blobs.manifest(image)
    with httpx.Client(timeout=SECONDS, transport=httpx.HTTPTransport(retries=TRIES)) as http:
        registry = _Registry(http, place, sign_in or credentials_for)
        tag = place.tag or image.digest.removeprefix("sha256:")[:12]
        if registry.holds_manifest(tag, image.digest):
            progress(f"{place.host} has it already.")
        else:
            for one in (*manifest["layers"], manifest["config"]):
                registry.send_blob(blobs, one["digest"], one["size"], progress)
            registry.send_manifest(tag, blobs.path(image.digest).read_bytes())
    return f"{place.host}/{place.name}@{image.digest}"


class _Registry:
    """One repository of a registry, over HTTP."""

    def __init__(self, http: httpx.Client, place: Destination, sign_in: SignIn) -> None:
        self._http = http
        self._place = place
        self._sign_in = sign_in
        self._authorization = ""

    def holds_manifest(self, tag: str, digest: str) -> bool:
        answer = self._ask("HEAD", f"{self._place.url}/manifests/{tag}", headers={"Accept": MANIFEST_TYPE})
        held = str(answer.headers.get("Docker-Content-Digest", ""))
        return answer.status_code == httpx.codes.OK and held == digest

    def send_blob(self, blobs: Blobs, digest: str, size_bytes: int, progress: Callable[[str], None]) -> None:
        if self._ask("HEAD", f"{self._place.url}/blobs/{digest}").status_code == httpx.codes.OK:
            return
        if size_bytes > BLOCK_BYTES:
            progress(f"Sending {size_bytes / 1e6:.0f} MB.")
        begun = self._expect(self._ask("POST", f"{self._place.url}/blobs/uploads/"))
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size_bytes)}
        sent = self._expect(self._ask("PATCH", _next(begun), headers=headers, content=_blocks(blobs.path(digest))))
        self._expect(self._ask("PUT", _next(sent).copy_merge_params({"digest": digest})))

    def send_manifest(self, tag: str, manifest: bytes) -> None:
        headers = {"Content-Type": MANIFEST_TYPE}
        self._expect(self._ask("PUT", f"{self._place.url}/manifests/{tag}", headers=headers, content=manifest))

    def _ask(
        self, method: str, url: str | httpx.URL, *, headers: dict[str, str] | None = None, content: Content = None
    ) -> httpx.Response:
        """One request. An answer that asks who we are, the first or one after a token ended, is asked for again."""
        answer = self._request(method, url, headers, content)
        if answer.status_code == httpx.codes.UNAUTHORIZED and (content is None or isinstance(content, bytes)):
            self._authorization = self._authorize(answer.headers.get("WWW-Authenticate", ""))
            answer = self._request(method, url, headers, content)
        return answer

    def _request(
        self, method: str, url: str | httpx.URL, headers: dict[str, str] | None, content: Content
    ) -> httpx.Response:
        own = {"Authorization": self._authorization} if self._authorization else {}
        try:
            return self._http.request(method, url, headers={**(headers or {}), **own}, content=content)
        except httpx.HTTPError as cause:
            raise RemoteFailed(f"The registry {self._place.host} did not answer: {cause}.") from cause

    def _authorize(self, challenge: str) -> str:
        credentials = self._sign_in(self._place.host)
        basic = f"Basic {base64.b64encode(':'.join(credentials).encode()).decode()}" if credentials else ""
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() != "bearer":
            return basic or self._refuse()
        asked = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        query = {"service": asked.get("service", ""), "scope": f"repository:{self._place.name}:pull,push"}
        self._authorization, headers = "", {"Authorization": basic} if basic else {}
        url = httpx.URL(asked.get("realm", "")).copy_merge_params(query)
        answer = self._request("GET", url, headers, None)
        if answer.is_error:
            return self._refuse()
        said = answer.json()
        return f"Bearer {said.get('token') or said.get('access_token')}"

    def _refuse(self) -> str:
        raise Forbidden(
            f"The registry {self._place.host} asks who you are before it takes {self._place.name}.",
            remedy=f"Say so with: podman login {self._place.host} (or docker login).",
        )

    def _expect(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            self._refuse()
        if answer.is_error:
            said = re.sub(r"\s+", " ", answer.text)[:200]
            raise RemoteFailed(f"The registry {self._place.host} did not take the image ({answer.status_code}): {said}")
        return answer


def _next(answer: httpx.Response) -> httpx.URL:
    return answer.request.url.join(answer.headers.get("Location", ""))


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def credentials_for(host: str) -> tuple[str, str] | None:
    """User and password for a registry, from the files of `podman login` and `docker login`; None if there are none."""
    for file in _login_files():
        try:
            said = json.loads(file.read_text())
        except (OSError, ValueError):
            continue
        helper = said.get("credHelpers", {}).get(host) or said.get("credsStore", "")
        if helper and (found := _from_helper(helper, host)):
            return found
        if auth := said.get("auths", {}).get(host, {}).get("auth", ""):
            user, _, password = base64.b64decode(auth).decode().partition(":")
            return user, password
    return None


def _login_files() -> Iterator[Path]:
    if given := os.environ.get("REGISTRY_AUTH_FILE"):
        yield Path(given)
    if os.geteuid() == 0:
        yield Path("/run/containers/0/auth.json")
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime, "containers", "auth.json")
    yield Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker", "config.json")


def _from_helper(helper: str, host: str) -> tuple[str, str] | None:
    try:
        answer = subprocess.run(
            [f"docker-credential-{helper}", "get"], input=host, capture_output=True, text=True, timeout=60, check=True
        )
        said = json.loads(answer.stdout)
        return said["Username"], said["Secret"]
    except (OSError, ValueError, KeyError, subprocess.SubprocessError):
        return None
