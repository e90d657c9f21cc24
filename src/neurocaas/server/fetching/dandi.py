"""An asset of the DANDI archive by its address: its web page's, or its API's.

Over the archive's REST API, because the `dandi` package brings some ninety others with it for three requests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import BaseModel, Field, ValidationError

from neurocaas.errors import NotFound, Refused, RemoteFailed
from neurocaas.server.fetching.network import Web, status_fault
from neurocaas.settings import FetchLimits

_PAGES = frozenset({"dandiarchive.org", "www.dandiarchive.org", "gui.dandiarchive.org"})
_ARCHIVE = "https://api.dandiarchive.org/api"
_ANSWER_BYTES = 8 << 20
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SET = r"(?P<dandiset>\d{6})"
_VERSION = r"(?P<version>draft|\d+\.\d+\.\d+)"
_PAGE = re.compile(rf"/dandiset/{_SET}(?:/{_VERSION})?(?:/files)?/?")
_ASSET = re.compile(rf"(?:/dandisets/{_SET}/versions/{_VERSION})?/assets/(?P<asset>{_UUID})(?:/(?:download|info))?/?")
_LISTING = re.compile(rf"/dandisets/{_SET}/versions/{_VERSION}/assets/?")
_RIGHT = "https://dandiarchive.org/dandiset/000027/draft/files?location=sub-1/file.nwb, or an asset's download link,"


@dataclass(frozen=True, kw_only=True)
class Named:
    """What an address names: an asset by its id, or by its path in a dandiset's version (empty: the latest)."""

    asset: str = ""
    dandiset: str = ""
    version: str = ""
    path: str = ""


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file in the archive. sha256 and etag are empty while the archive has not computed them."""

    path: str
    size_bytes: int
    sha256: str
    etag: str
    download_url: str


class _Listed(BaseModel):
    asset_id: Annotated[str, Field(pattern=rf"^{_UUID}$")]
    path: str


class _Listing(BaseModel):
    results: list[_Listed]


class _Version(BaseModel):
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]


class _Dandiset(BaseModel):
    most_recent_published_version: _Version | None = None


class _Metadata(BaseModel):
    """An asset's metadata, as far as fetching needs it (DANDI schema, `Asset`)."""

    path: Annotated[str, Field(min_length=1)]
    content_size: Annotated[int, Field(alias="contentSize", ge=0)]
    encoding_format: Annotated[str, Field(alias="encodingFormat")] = ""
    digest: dict[str, Any] = {}


M = TypeVar("M", bound=BaseModel)


def named(url: str, limits: FetchLimits) -> Named | None:
    """What a DANDI address names; None if it is no address of the archive. Raises Refused if it names no one file."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return None
    for base in {_ARCHIVE, limits.dandi_api.rstrip("/")}:
        if url.startswith(f"{base}/"):
            return _by_api(url.removeprefix(base))
    if parts.scheme != "https" or host not in _PAGES:
        return None
    # The old pages' addresses stand behind a #.
    page = urlsplit(parts.fragment) if parts.fragment.startswith("/dandiset/") else parts
    found = _PAGE.fullmatch(page.path)
    path = _one(page.query, "location")
    if not found or not path or path.endswith("/"):
        raise Refused(f"This page of the DANDI archive shows no single file; {_RIGHT} is right.")
    return Named(dandiset=found["dandiset"], version=found["version"] or "", path=path)


def find(wanted: Named, web: Web) -> Asset:
    """The asset that an address names, from the archive's API. Raises NotFound, Refused or RemoteFailed."""
    api = web.limits.dandi_api.rstrip("/")
    asset = wanted.asset or _by_path(wanted, api, web)
    about = _read(_Metadata, f"{api}/assets/{asset}/", web)
    if about.encoding_format == "application/x-zarr":
        raise Refused(f"{about.path} is a Zarr folder of many files; only single files are fetched from DANDI.")
    return Asset(
        path=about.path,
        size_bytes=about.content_size,
        sha256=str(about.digest.get("dandi:sha2-256", "")),
        etag=str(about.digest.get("dandi:dandi-etag", "")),
        download_url=f"{api}/assets/{asset}/download/",
    )


def _by_api(rest: str) -> Named:
    parts = urlsplit(rest)
    if found := _ASSET.fullmatch(parts.path):
        return Named(asset=found["asset"])
    path = _one(parts.query, "path")
    if (found := _LISTING.fullmatch(parts.path)) and path and not path.endswith("/"):
        return Named(dandiset=found["dandiset"], version=found["version"], path=path)
    raise Refused(f"This address of DANDI's API names no single file; {_RIGHT} is right.")


def _one(query: str, name: str) -> str:
    return parse_qs(query).get(name, [""])[0].lstrip("/")


def _by_path(wanted: Named, api: str, web: Web) -> str:
    version = wanted.version or _latest(wanted.dandiset, api, web)
    # The archive compares beginnings; in the order of paths, the whole one is the first of them.
    query = f"path={quote(wanted.path, safe='')}&order=path&page_size=100"
    listing = _read(_Listing, f"{api}/dandisets/{wanted.dandiset}/versions/{version}/assets/?{query}", web)
    where = f"dandiset {wanted.dandiset} ({version})"
    for one in listing.results:
        if one.path == wanted.path:
            return one.asset_id
    if listing.results:
        raise Refused(f"{wanted.path} is a folder in {where}; the path of one file is right.")
    raise NotFound(f"There is no {wanted.path} in {where}.")


def _latest(dandiset: str, api: str, web: Web) -> str:
    """The version that the archive's pages show when an address names none."""
    published = _read(_Dandiset, f"{api}/dandisets/{dandiset}/", web).most_recent_published_version
    return published.version if published else "draft"


def _read(model: type[M], url: str, web: Web) -> M:
    with web.open("GET", url, headers={"Accept": "application/json"}) as answer:
        if answer.status != 200:
            raise status_fault(answer)
        body = bytearray()
        for block in answer.body:
            body += block
            if len(body) > _ANSWER_BYTES:
                raise RemoteFailed(
                    f"{answer.place.host} answered with more than {_ANSWER_BYTES >> 20} MiB of metadata."
                )
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        raise RemoteFailed(f"{answer.place.host} answered in a form that DANDI's API does not have.") from error
