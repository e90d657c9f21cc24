"""Finding uv, what of the caller's settings it may see, and what its log says in one sentence."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from neurocaas.errors import Unavailable

# Where packages come from and how the network is reached; nothing that changes what is installed, or where to.
PASSED_ON = frozenset(
    (
        *(
            "UV_DEFAULT_INDEX",
            "UV_INDEX",
            "UV_INDEX_URL",
            "UV_EXTRA_INDEX_URL",
            "UV_INDEX_STRATEGY",
            "UV_FIND_LINKS",
            "UV_NO_INDEX",
        ),
        *(
            "UV_INSECURE_HOST",
            "UV_HTTP_TIMEOUT",
            "UV_HTTP_CONNECT_TIMEOUT",
            "UV_HTTP_RETRIES",
            "UV_REQUEST_TIMEOUT",
            "UV_NATIVE_TLS",
        ),
        *(
            "UV_SYSTEM_CERTS",
            "UV_OFFLINE",
            "UV_CONCURRENT_DOWNLOADS",
            "UV_CONFIG_FILE",
            "UV_TORCH_BACKEND",
            "UV_PYTHON_INSTALL_MIRROR",
        ),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "NETRC"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    )
)
PASSWORD_OF_INDEX = re.compile(r"UV_INDEX_[A-Z0-9_]+_(USERNAME|PASSWORD)")
NAMES_A_PATH = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "NETRC", "UV_CONFIG_FILE")
LISTS_LINKS = ("UV_FIND_LINKS", "UV_INDEX", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL")
SENTENCE_MAX = 600
CAUSES = ("cause:", "╰─▶", "├─▶")
NO_WHEEL = re.compile(r"Wheels are required for `([^`]+)` because building from source is disabled")


def find_uv() -> Path:
    """The uv binary that came with this project, else the one on PATH."""
    try:
        from uv import find_uv_bin

        return Path(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if not found:
        raise Unavailable("uv, which builds analysis environments, was not found.", remedy="Install it: pip install uv")
    return Path(found)


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's variables that uv may see: indexes, proxies, certificates.

    Unless they say otherwise uv trusts the authorities that this machine trusts, so that an institution's own counts.
    """
    return {"UV_SYSTEM_CERTS": "1"} | {
        name: value
        for name, value in environ.items()
        if value and (name in PASSED_ON or PASSWORD_OF_INDEX.fullmatch(name))
    }


def local_paths(variables: Mapping[str, str]) -> list[Path]:
    """The files and folders of this machine that the variables name, so that they can be shown to uv."""
    named = [variables[name] for name in NAMES_A_PATH if name in variables]
    for name in LISTS_LINKS:
        named += [_as_path(link) for link in re.split(r"[\s,]+", variables.get(name, "")) if link]
    found = [Path(each) for each in named if each.startswith("/")]
    return [each for each in dict.fromkeys(found) if each.exists()]


def _as_path(link: str) -> str:
    link = re.sub(r"^[\w-]+=", "", link)
    parts = urlsplit(link)
    return unquote(parts.path) if parts.scheme == "file" else link


def last_sentence(lines: Iterable[str]) -> str:
    """What went wrong according to a log: uv's last error with its causes, else the last line.

    uv has written errors as "error: … / cause: …" and, before, as "× … / ╰─▶ …" wrapped over several lines.
    """
    texts = [line.strip() for line in lines]
    starts = [index for index, text in enumerate(texts) if text.startswith(("error:", "×"))]
    if not starts:
        return _sentence(next((text for text in reversed(texts) if text), "Nothing was written"))
    said: list[str] = []
    for text in texts[starts[-1] :]:
        if said and (not text or text.startswith(("hint:", "help:"))):
            break
        if said and text.startswith(CAUSES):
            said[-1] = said[-1].rstrip(":.") + ":"
        said.append(re.sub(r"^(error:|cause:|×|╰─▶|├─▶|│)\s*", "", text))
    for package in NO_WHEEL.findall("\n".join(texts)):
        said = [
            f"{package} has no wheel that fits this Python and platform, and environments are made of wheels only;",
            "lock a version that has one",
        ]
    return _sentence(" ".join(said))


def _sentence(text: str) -> str:
    return re.sub(r"\s+", " ", text)[:SENTENCE_MAX].rstrip(". ") + "."
