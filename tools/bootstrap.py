"""Find uv, or fetch the very release that uv.lock pins, on a machine that has only Python's standard library.

Prints the path of a uv executable. The digest of the download is the one in uv.lock, so there is a single pin
for the uv that sets the project up and the uv that it later builds analysis environments with.
"""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
# The oldest uv that reads this project's uv.lock (its revision 3 format).
OLDEST_VERSION = (0, 9, 0)
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
TIMEOUT_SECONDS = 60
TRIES = 3


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036  an older python3 runs this file too, up to here
        found = platform.python_version()
        fail(f"python3 is {found}, and this project needs 3.11 or newer: put a newer python3 first on PATH.")
    print(uv_on_path() or fetched_uv())


def fail(sentence: str) -> NoReturn:
    sys.exit(f"setup: {sentence}")


def uv_on_path() -> str | None:
    """A uv that is already installed, runs, and is new enough; a shim that does not run is passed over."""
    found = shutil.which("uv")
    if found is None:
        return None
    answer = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
    words = answer.stdout.split()
    if answer.returncode != 0 or len(words) < 2:
        return None
    numbers = tuple(int(part) if part.isdigit() else 0 for part in words[1].split(".")[:3])
    return found if numbers >= OLDEST_VERSION else None


def fetched_uv() -> str:
    """The pinned uv below .tools, fetched if it is not there yet. Atomic: a second `make` at once does no harm."""
    locked = locked_package()
    target = TOOLS / f"uv-{locked['version']}" / "uv"
    if target.exists():
        return str(target)
    filename, url, sha256 = pinned_wheel(locked)
    print(f"setup: fetching {filename}", file=sys.stderr)
    wheel = download(from_index(filename) or url)
    if (found := hashlib.sha256(wheel).hexdigest()) != sha256:
        fail(f"{filename} has sha256 {found}, but uv.lock says {sha256}: the package index served another file.")
    unpack(wheel, target)
    return str(target)


def locked_package() -> dict[str, Any]:
    import tomllib  # not at the top: an older python3 lacks it and must reach the sentence in main()

    document = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    return next(package for package in document["package"] if package["name"] == "uv")


def pinned_wheel(locked: dict[str, Any]) -> tuple[str, str, str]:
    """(file name, URL, sha256) of the uv wheel for this machine's processor and C library."""
    machine = platform.machine()
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    for wheel in locked["wheels"]:
        filename = wheel["url"].rsplit("/", 1)[1]
        tags = filename.removesuffix(".whl").rsplit("-", 1)[1].split(".")
        if any(tag.startswith(libc) and tag.endswith(f"_{machine}") for tag in tags):
            return filename, wheel["url"], wheel["hash"].removeprefix("sha256:")
    fail(f"uv has no wheel for {sys.platform} {machine} ({libc}): install uv {locked['version']} by hand.")


def from_index(filename: str) -> str | None:
    """Where the index named in the environment keeps the file (PEP 503 and 691); None when none is named."""
    index = next((os.environ[name] for name in INDEX_VARIABLES if os.environ.get(name)), None)
    if index is None:
        return None
    page = index.rstrip("/") + "/uv/"
    text = download(page, accept="application/vnd.pypi.simple.v1+json, text/html;q=0.5").decode()
    links: list[str]
    try:
        links = [file["url"] for file in json.loads(text)["files"]]
    except ValueError:
        links = Links.of(text)
    for link in links:
        if urllib.parse.unquote(urllib.parse.urlsplit(link).path).endswith("/" + filename):
            return urllib.parse.urldefrag(urllib.parse.urljoin(page, link)).url
    fail(f"the package index {without_password(index)} does not offer {filename}: name another, or install uv by hand.")


class Links(html.parser.HTMLParser):
    """The targets of all links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]

    @classmethod
    def of(cls, text: str) -> list[str]:
        parser = cls()
        parser.feed(text)
        return parser.found


def download(url: str, accept: str = "*/*") -> bytes:
    """The body at `url`; user and password in it are sent as basic authentication. Proxies and SSL_CERT_FILE apply."""
    parts = urllib.parse.urlsplit(url)
    headers = {"Accept": accept, "User-Agent": "neurocaas-bootstrap"}
    if parts.username:
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    clean = without_password(url)
    request = urllib.request.Request(clean, headers=headers)
    for attempt in range(1, TRIES + 1):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as body:
                return bytes(body.read())
        except urllib.error.HTTPError as error:
            if error.code < 500:
                fail(f"{clean} answered {error.code} {error.reason}: check the package index's address.")
            reason = f"{error.code} {error.reason}"
        except (OSError, urllib.error.URLError) as error:
            reason = str(getattr(error, "reason", error))
        if attempt < TRIES:
            time.sleep(attempt)
    fail(f"{clean} could not be read ({reason}): check the network, the proxy and SSL_CERT_FILE.")


def without_password(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def unpack(wheel: bytes, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        archive = Path(folder) / "uv.whl"
        archive.write_bytes(wheel)
        with zipfile.ZipFile(archive) as opened:
            member = next(name for name in opened.namelist() if name.endswith(".data/scripts/uv"))
            binary = Path(opened.extract(member, folder))
        binary.chmod(0o755)
        binary.replace(target)


if __name__ == "__main__":
    main()
