"""Files in S3 buckets and in the DANDI archive, found by the addresses that people copy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from neurocaas.errors import NeurocaasError, NotFound, Refused, RemoteFailed
from neurocaas.server.fetching import Network, describe, fetch
from support.elsewhere import Elsewhere, Handler, elsewhere, limits
from support.s3 import BUCKET

DATA = b"\x89HDF\r\n\x1a\n" + bytes(5000)
SHA256 = hashlib.sha256(DATA).hexdigest()
ASSET = "bc578d52-8fc0-4973-b4a9-5f296d2f133c"
ZARR = "acfaff07-8d4d-4fc1-adce-c769579c5c61"
NWB = "sub-RAT123/sub-RAT123.nwb"
API = "https://api.dandiarchive.org/api"


def _asset(uuid: str, path: str, **changes: Any) -> dict[str, Any]:
    """An asset's metadata as the archive answers it (shortened)."""
    return {
        "id": f"dandiasset:{uuid}",
        "path": path,
        "access": [{"status": "dandi:OpenAccess", "schemaKey": "AccessRequirements"}],
        "digest": {"dandi:sha2-256": SHA256, "dandi:dandi-etag": "6ec084ca9d3be17ec194a8f700d65344-1"},
        "@context": "https://raw.githubusercontent.com/dandi/schema/master/releases/0.6.4/context.json",
        "schemaKey": "Asset",
        "contentUrl": [f"{API}/assets/{uuid}/download/", "https://dandiarchive.s3.amazonaws.com/blobs/2db/af0/x"],
        "identifier": uuid,
        "contentSize": len(DATA),
        "schemaVersion": "0.6.4",
        "encodingFormat": "application/x-nwb",
        **changes,
    }


def _listed(uuid: str, path: str) -> dict[str, Any]:
    return {
        "asset_id": uuid,
        "blob": "2dbaf0fd-5003-4a0a-b4c0-bc8cdbdb3826",
        "zarr": None,
        "path": path,
        "size": len(DATA),
        "created": "2021-04-22T20:29:45.838142Z",
        "modified": "2021-04-22T20:29:45.838142Z",
        "metadata": None,
    }


@pytest.fixture
def dandi() -> Iterator[Elsewhere]:
    """The archive's API and the bucket that it redirects downloads to."""
    with elsewhere("api.dandiarchive.org", "dandiarchive.s3.amazonaws.com", "api.sandbox.dandiarchive.org") as archive:
        metadata = {
            ASSET: _asset(ASSET, NWB),
            ZARR: _asset(ZARR, "sub-1/image.ome.zarr", encodingFormat="application/x-zarr"),
        }
        for uuid, about in metadata.items():
            archive.pages[f"/api/assets/{uuid}/"] = _json(about)
        archive.pages[f"/api/assets/{ASSET}/download/"] = lambda handler: handler.reply(
            302, Location="https://dandiarchive.s3.amazonaws.com/blobs/2db/af0/x?X-Amz-Signature=s"
        )
        archive.pages["/blobs/2db/af0/x"] = lambda handler: (
            handler.file(DATA) if handler.command == "GET" else handler.reply(403)
        )
        for version in ("draft", "0.210831.2033"):
            archive.pages[f"/api/dandisets/000027/versions/{version}/assets/"] = _listing
        archive.pages["/api/dandisets/000027/"] = _json(
            {"identifier": "000027", "most_recent_published_version": {"version": "0.210831.2033", "size": 18792}}
        )
        yield archive


def _json(value: object) -> Any:
    return lambda handler: handler.reply(200, json.dumps(value).encode(), Content_Type="application/json")


def _listing(handler: Handler) -> None:
    wanted = parse_qs(urlsplit(handler.path).query)["path"][0]
    everything = [_listed(ASSET, NWB), _listed(ZARR, NWB + ".bak")]
    found = [one for one in everything if one["path"].startswith(wanted)]
    _json({"count": len(found), "next": None, "previous": None, "results": found})(handler)


@pytest.mark.parametrize(
    "url",
    [
        f"https://dandiarchive.org/dandiset/000027/draft/files?location={NWB}",
        "https://dandiarchive.org/dandiset/000027/0.210831.2033/files?location=sub-RAT123%2Fsub-RAT123.nwb&page=1",
        f"https://dandiarchive.org/dandiset/000027/files?location=/{NWB}",
        f"https://gui.dandiarchive.org/#/dandiset/000027/draft/files?location={NWB}",
        f"{API}/assets/{ASSET}/download/",
        f"{API}/assets/{ASSET}",
        f"{API}/dandisets/000027/versions/draft/assets/{ASSET}/",
        f"{API}/dandisets/000027/versions/0.210831.2033/assets/{ASSET}/download/",
        f"{API}/dandisets/000027/versions/draft/assets/?path={NWB}",
    ],
)
def test_an_asset_is_found_by_every_address_it_has(dandi: Elsewhere, tmp_path: Path, url: str) -> None:
    found = describe(url, limits=limits(), network=dandi.network)
    assert (found.name, found.size_bytes, found.url) == (
        "sub-RAT123.nwb",
        len(DATA),
        f"{API}/assets/{ASSET}/download/",
    )
    assert found.etag == "6ec084ca9d3be17ec194a8f700d65344-1"
    assert not any(path.startswith("/blobs") for _, path, _, _ in dandi.asked)
    assert fetch(url, tmp_path / "f", limits=limits(), network=dandi.network).sha256 == SHA256
    assert (tmp_path / "f").read_bytes() == DATA


def test_an_address_without_a_version_means_the_published_one(dandi: Elsewhere) -> None:
    url = f"https://dandiarchive.org/dandiset/000027/files?location={NWB}"
    describe(url, limits=limits(), network=dandi.network)
    assert "/versions/0.210831.2033/" in dandi.asked[1][1]
    dandi.pages["/api/dandisets/000027/"] = _json({"identifier": "000027", "most_recent_published_version": None})
    describe(url, limits=limits(), network=dandi.network)
    assert "/versions/draft/" in dandi.asked[4][1]


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("https://dandiarchive.org/dandiset/000027", "no single file"),
        ("https://dandiarchive.org/dandiset/000027/draft", "no single file"),
        ("https://dandiarchive.org/dandiset/000027/draft/files?location=sub-RAT123/", "no single file"),
        ("https://dandiarchive.org/dandiset/000027/draft/files?location=sub-RAT123", "is a folder"),
        ("https://dandiarchive.org/dandiset/000027/draft/files?location=nothing", "There is no nothing"),
        ("https://dandiarchive.org/search?search=x", "no single file"),
        (f"{API}/assets/../users/me/", "no single file"),
        (f"{API}/dandisets/000027/versions/draft/assets/", "no single file"),
        (f"{API}/assets/{ZARR}/download/", "Zarr folder"),
        (f"{API}/assets/00000000-0000-4000-8000-000000000000/", "HTTP 404"),
    ],
)
def test_an_address_of_no_single_asset_says_what_would_be_right(dandi: Elsewhere, url: str, right: str) -> None:
    with pytest.raises((Refused, NotFound), match=right):
        describe(url, limits=limits(), network=dandi.network)


@pytest.mark.parametrize(
    ("changes", "right"),
    [({"contentSize": len(DATA) + 1}, "bytes arrived"), ({"digest": {"dandi:sha2-256": "0" * 64}}, "digests differ")],
)
def test_what_is_not_what_the_archive_describes_does_not_appear(
    dandi: Elsewhere, tmp_path: Path, changes: dict[str, Any], right: str
) -> None:
    dandi.pages[f"/api/assets/{ASSET}/"] = _json(_asset(ASSET, NWB, **changes))
    with pytest.raises(RemoteFailed, match=right):
        fetch(f"{API}/assets/{ASSET}/", tmp_path / "f", limits=limits(), network=dandi.network)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"path": ""}', b'{"path": "x", "contentSize": -1}'])
def test_an_archive_that_answers_nonsense_is_said_to(dandi: Elsewhere, body: bytes) -> None:
    dandi.pages[f"/api/assets/{ASSET}/"] = lambda handler: handler.reply(200, body)
    with pytest.raises(RemoteFailed, match="in a form that"):
        describe(f"{API}/assets/{ASSET}/", limits=limits(), network=dandi.network)


def test_endless_metadata_is_cut(dandi: Elsewhere) -> None:
    def endless(handler: Handler) -> None:
        handler.reply(Transfer_Encoding="chunked")
        while True:
            handler.wfile.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")

    dandi.pages[f"/api/assets/{ASSET}/"] = endless
    with pytest.raises(RemoteFailed, match="MiB of metadata"):
        describe(f"{API}/assets/{ASSET}/", limits=limits(), network=dandi.network)


def test_an_embargoed_asset_is_refused(dandi: Elsewhere) -> None:
    dandi.pages[f"/api/assets/{ASSET}/"] = lambda handler: handler.reply(401)
    with pytest.raises(Refused, match="only public data"):
        describe(f"{API}/assets/{ASSET}/", limits=limits(), network=dandi.network)


def test_another_archive_can_be_named(dandi: Elsewhere) -> None:
    other = "https://api.sandbox.dandiarchive.org/api"
    found = describe(f"{other}/assets/{ASSET}/", limits=limits(dandi_api=other), network=dandi.network)
    assert found.url == f"{other}/assets/{ASSET}/download/"


def test_an_archive_behind_a_private_address_is_refused(dandi: Elsewhere) -> None:
    network = Network(resolve=lambda host, port: [("10.0.0.1", port)])
    with pytest.raises(Refused, match="not a public address"):
        describe(f"{API}/assets/{ASSET}/", limits=limits(), network=network)


KEY = "folder/a b%20#?é.nwb"


@pytest.fixture
def bucket(s3_endpoint: str) -> str:
    """An S3 server with one object in its bucket. Returns its endpoint."""
    boto3.client("s3", endpoint_url=s3_endpoint).put_object(Bucket=BUCKET, Key=KEY, Body=DATA, ACL="public-read")
    return s3_endpoint


def _s3_limits(endpoint: str, **changes: object) -> Any:
    return limits(s3_endpoint=endpoint, allow_http=True, ports=[urlsplit(endpoint).port], **changes)


@pytest.mark.parametrize("buckets", [(), (BUCKET,)], ids=["public", "with the site's credentials"])
def test_an_object_is_looked_at_and_fetched(bucket: str, tmp_path: Path, buckets: tuple[str, ...]) -> None:
    within = _s3_limits(bucket, allowed_buckets=buckets)
    url = f"s3://{BUCKET}/{KEY}"
    found = describe(url, limits=within)
    assert (found.name, found.size_bytes, found.url) == ("a b%20#?é.nwb", len(DATA), url)
    assert fetch(url, tmp_path / "f", limits=within).sha256 == SHA256


def test_a_signature_is_sent_for_allowed_buckets_only_and_shown_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with elsewhere("s3.us-east-1.amazonaws.com", "s3.amazonaws.com") as amazon:
        amazon.pages["*"] = lambda handler: handler.file(DATA)
        within = limits(allowed_buckets=["mine"])
        assert "Signature" not in str(describe("s3://mine/f", limits=within, network=amazon.network))
        assert "X-Amz-Signature=" in amazon.asked[-1][1]
        describe("s3://others/f", limits=within, network=amazon.network)
        assert "Signature" not in amazon.asked[-1][1]
        assert "Authorization" not in amazon.asked[-1][2]


def test_a_public_bucket_is_asked_in_its_own_region(tmp_path: Path) -> None:
    with elsewhere("s3.amazonaws.com", "s3.eu-central-1.amazonaws.com") as amazon:
        amazon.pages["/data"] = lambda handler: handler.reply(301, x_amz_bucket_region="eu-central-1")
        amazon.pages["/data/f"] = lambda handler: handler.file(DATA)
        assert fetch("s3://data/f", tmp_path / "f", limits=limits(), network=amazon.network).sha256 == SHA256
        assert amazon.asked[-1][2]["Host"] == "s3.eu-central-1.amazonaws.com"


@pytest.mark.parametrize("missing", [f"s3://{BUCKET}/nothing", "s3://no-such-bucket/f"])
def test_an_object_that_is_not_there_is_not_found(bucket: str, missing: str) -> None:
    with pytest.raises(NotFound):
        describe(missing, limits=_s3_limits(bucket))


def test_a_private_bucket_is_refused(tmp_path: Path) -> None:
    with elsewhere("s3.us-east-1.amazonaws.com", "s3.amazonaws.com") as amazon:
        amazon.pages["*"] = lambda handler: handler.reply(403)
        with pytest.raises(Refused, match="only public data"):
            fetch("s3://secret/f", tmp_path / "f", limits=limits(), network=amazon.network)


def test_limits_are_read_from_the_site(tmp_path: Path) -> None:
    from neurocaas.settings import read_settings

    def read(**fetching: object) -> Any:
        (tmp_path / "site.json").write_text(json.dumps({"name": "lab", "fetching": fetching}))
        return read_settings(tmp_path).site.fetching

    found = read(max_gib=2, allow_private=["10.1.0.0/16"], ports=[443, 8443])
    assert (found.max_bytes, str(found.allow_private[0]), found.ports) == (2 << 30, "10.1.0.0/16", (443, 8443))
    for wrong in ({"max_gib": 0}, {"ports": [0]}, {"allow_private": ["10.1"]}, {"allow_everything": True}):
        with pytest.raises(NeurocaasError, match=r"fetching\."):
            read(**wrong)
