"""A file from a web server arrives whole or not at all, and a bad server gets nothing."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurocaas.errors import NeurocaasError, NotFound, Refused, RemoteFailed, StorageFailed
from neurocaas.server.fetching import Cancelled, Fetched, Network, describe, fetch
from neurocaas.server.fetching.remote import safe_name
from support.elsewhere import LOOPBACK, Elsewhere, Handler, elsewhere, limits, trusting

DATA = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server() -> Iterator[Elsewhere]:
    with elsewhere("data.test", "other.test") as one:
        yield one


def test_a_look_says_name_size_and_version(server: Elsewhere) -> None:
    server.pages["/a/rec%20ording.tif"] = lambda handler: handler.file(DATA)
    found = describe("https://data.test/a/rec ording.tif".replace(" ", "%20"), limits=limits(), network=server.network)
    assert (found.name, found.size_bytes, found.etag) == ("rec ording.tif", len(DATA), '"e1"')
    assert [one[0] for one in server.asked] == ["HEAD"]


def test_a_server_without_head_is_looked_at_by_one_byte(server: Elsewhere) -> None:
    server.pages["/f"] = lambda handler: handler.reply(405) if handler.command == "HEAD" else handler.file(DATA)
    assert describe("https://data.test/f", limits=limits(), network=server.network).size_bytes == len(DATA)
    assert server.asked[-1][2]["Range"] == "bytes=0-0"


def test_a_file_arrives_with_its_digest(server: Elsewhere, tmp_path: Path) -> None:
    server.pages["/f"] = lambda handler: handler.file(DATA)
    seen: list[tuple[int, int | None]] = []
    done = fetch(
        "https://data.test/f",
        tmp_path / "new" / "f",
        limits=limits(),
        network=server.network,
        progress=lambda received, total: seen.append((received, total)),
    )
    assert done == Fetched(sha256=SHA256, size_bytes=len(DATA))
    assert (tmp_path / "new" / "f").read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert len(seen) > 3
    assert server.asked[0][2]["Accept-Encoding"] == "identity"


def test_a_broken_download_is_taken_up_where_it_broke(server: Elsewhere, tmp_path: Path) -> None:
    breaks = itertools.count()

    def page(handler: Handler) -> None:
        if next(breaks) == 0:
            handler.reply(200, DATA[:1_000_000], ETag='"e1"', Content_Length=str(len(DATA)))
            handler.sever()
        else:
            handler.file(DATA)

    server.pages["/f"] = page
    assert fetch("https://data.test/f", tmp_path / "f", limits=limits(), network=server.network).sha256 == SHA256
    assert server.asked[1][2]["If-Range"] == '"e1"'
    assert 0 < int(server.asked[1][2]["Range"].removeprefix("bytes=").rstrip("-")) <= 1_000_000
    assert server.paused


@pytest.mark.parametrize("etags", [('"e1"', '"e2"'), ("", "")], ids=["changed meanwhile", "without version"])
def test_what_cannot_be_taken_up_starts_over(server: Elsewhere, tmp_path: Path, etags: tuple[str, str]) -> None:
    breaks = itertools.count()

    def page(handler: Handler) -> None:
        if next(breaks) == 0:
            handler.reply(200, b"x" * 1_000_000, ETag=etags[0], Content_Length=str(len(DATA)))
            handler.sever()
        else:
            handler.file(DATA, etag=etags[1])

    server.pages["/f"] = page
    assert fetch("https://data.test/f", tmp_path / "f", limits=limits(), network=server.network).sha256 == SHA256


def test_a_busy_server_is_asked_again_and_keeps_what_arrived(server: Elsewhere, tmp_path: Path) -> None:
    answers = iter(["break", "busy"])

    def page(handler: Handler) -> None:
        match next(answers, ""):
            case "break":
                handler.reply(200, DATA[:9], ETag='"e1"', Content_Length=str(len(DATA)))
                handler.sever()
            case "busy":
                handler.reply(503)
            case _:
                handler.file(DATA)

    server.pages["/f"] = page
    assert fetch("https://data.test/f", tmp_path / "f", limits=limits(), network=server.network).sha256 == SHA256
    assert "Range" in server.asked[-1][2]


def test_a_server_that_always_breaks_is_given_up(server: Elsewhere, tmp_path: Path) -> None:
    def page(handler: Handler) -> None:
        handler.reply(200, DATA[:100], Content_Length=str(len(DATA)))
        handler.sever()

    server.pages["/f"] = page
    with pytest.raises(RemoteFailed, match="broke off 10 times"):
        fetch("https://data.test/f", tmp_path / "f", limits=limits(), network=server.network)
    assert list(tmp_path.iterdir()) == []


def _refused(server: Elsewhere, url: str, tmp_path: Path, right: str, **changes: object) -> NeurocaasError:
    """Neither a look nor a download goes through, and nothing is left on the disk."""
    with pytest.raises(NeurocaasError, match=right):
        describe(url, limits=limits(**changes), network=server.network)
    with pytest.raises(NeurocaasError, match=right) as fault:
        fetch(url, tmp_path / "f", limits=limits(**changes), network=server.network)
    assert list(tmp_path.iterdir()) == []
    return fault.value


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("file:///etc/passwd", "begins with file:"),
        ("gopher://data.test/1", "begins with gopher:"),
        ("ftp://data.test/1", "begins with ftp:"),
        ("http://data.test/f", "begins with http:"),
        ("data.test/f", "begins with nothing:"),
        ("", "begins with nothing:"),
        ("https:///f", "names no server"),
        ("https://me:secret@data.test/f", "user name or password"),
        ("https://data.test@10.0.0.1/f", "user name or password"),
        ("https://data.test:22/f", "port 22"),
        ("https://data.test:99999/f", "can't be read"),
        ("https://data.test/a b", "invisible"),
        ("https://data.test\\@10.0.0.1/", "backslash"),
        ("https://data.test/\r\nHost: x", "invisible"),
        ("https://[::ffff:10.0.0.1]/", "not a public address"),
        ("https://[fe80::1%25eth0]/", "zone"),
        ("https://[::1", "can't be read"),
        ("https://10.0.0.1/", "not a public address"),
        ("https://2852039166/latest/meta-data/", "not a public address"),
        ("https://0xa9.0xfe.0xa9.0xfe/", "not a public address"),
        ("https://0251.0376.0251.0376/", "not a public address"),
        ("https://nowhere.test/", "no server called"),
        ("https://data.test/" + "a" * 9000, "at most 8192"),
        ("s3://", "names no file"),
        ("s3://bucket", "names no file"),
        ("s3://bu/cket/", "names no file"),
        ("s3://bu@cket/key", "bucket's name"),
    ],
)
def test_what_is_no_public_web_address_is_refused(server: Elsewhere, tmp_path: Path, url: str, right: str) -> None:
    assert _refused(server, url, tmp_path, right).http_status in {404, 422}
    assert server.asked == []


@pytest.mark.parametrize(
    ("location", "right"),
    [
        ("https://169.254.169.254/latest/meta-data/", "not a public address"),
        ("https://[64:ff9b::a9fe:a9fe]/", "not a public address"),
        ("http://data.test/f", "begins with http:"),
        ("file:///etc/passwd", "begins with file:"),
        ("https://me:secret@data.test/f", "user name or password"),
        ("https://data.test:6379/", "port 6379"),
        ("/again", "more than 5 times"),
    ],
)
def test_a_redirect_leads_nowhere_that_the_address_could_not(
    server: Elsewhere, tmp_path: Path, location: str, right: str
) -> None:
    server.pages["*"] = lambda handler: handler.reply(302, Location=location)
    _refused(server, "https://data.test/f", tmp_path, right)


def test_a_redirect_gives_up_no_encryption_even_where_http_is_allowed(server: Elsewhere, tmp_path: Path) -> None:
    server.pages["/f"] = lambda handler: handler.reply(302, Location="http://data.test/f")
    _refused(server, "https://data.test/f", tmp_path, "from https:// to http://", allow_http=True)


def test_five_redirects_are_followed(server: Elsewhere, tmp_path: Path) -> None:
    for step in range(5):
        host = "other.test" if step % 2 else "data.test"
        server.pages[f"/{step}"] = lambda handler, to=f"https://{host}/{step + 1}": handler.reply(307, Location=to)  # type: ignore[misc]
    server.pages["/5"] = lambda handler: handler.file(DATA)
    assert fetch("https://data.test/0", tmp_path / "f", limits=limits(), network=server.network).sha256 == SHA256


def test_where_a_redirect_led_is_said_without_its_signature(server: Elsewhere) -> None:
    server.pages["/f"] = lambda handler: handler.reply(302, Location="https://other.test/g.tif?signature=secret")
    server.pages["/g.tif"] = lambda handler: handler.file(DATA)
    found = describe("https://data.test/f?id=5", limits=limits(), network=server.network)
    assert (found.url, found.name) == ("https://other.test/g.tif", "g.tif")
    plain = describe("https://data.test/g.tif?id=5", limits=limits(), network=server.network)
    assert plain.url == "https://data.test/g.tif?id=5"


def test_a_name_that_changes_its_address_after_the_check_reaches_nothing(server: Elsewhere, tmp_path: Path) -> None:
    """DNS rebinding: the second answer is never asked for, since the address that was checked is connected to."""
    answers = iter([[(LOOPBACK, server.port)]])
    server.pages["/f"] = lambda handler: handler.file(DATA)
    network = Network(resolve=lambda host, port: next(answers), tls=trusting())
    assert fetch("https://data.test/f", tmp_path / "f", limits=limits(), network=network).sha256 == SHA256


def test_a_name_is_checked_again_for_every_connection(server: Elsewhere, tmp_path: Path) -> None:
    answers = iter([[(LOOPBACK, server.port)], [("10.0.0.1", 443)]])
    server.pages["/f"] = lambda handler: handler.reply(302, Location="https://other.test/f")
    network = Network(resolve=lambda host, port: next(answers), tls=trusting())
    with pytest.raises(Refused, match=r"10\.0\.0\.1"):
        fetch("https://data.test/f", tmp_path / "f", limits=limits(), network=network)


def test_the_loopback_is_refused_unless_allowed(server: Elsewhere, tmp_path: Path) -> None:
    _refused(server, "https://data.test/f", tmp_path, "not a public address", allow_private=[])
    assert server.asked == []


def test_a_server_without_a_trusted_certificate_is_not_believed(server: Elsewhere, tmp_path: Path) -> None:
    network = Network(resolve=server.resolve, pause=server.paused.append)
    with pytest.raises(RemoteFailed, match="can't prove who it is"):
        fetch("https://data.test/f", tmp_path / "f", limits=limits(), network=network)


def test_a_certificate_for_another_name_is_not_believed(server: Elsewhere, tmp_path: Path) -> None:
    network = Network(resolve=lambda host, port: [(LOOPBACK, server.port)], tls=trusting())
    with pytest.raises(RemoteFailed, match="can't prove who it is"):
        describe("https://third.test/f", limits=limits(), network=network)


def test_proxies_of_the_environment_are_not_used(
    server: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.pages["/f"] = lambda handler: handler.file(DATA)
    assert fetch("https://data.test/f", tmp_path / "f", limits=limits(), network=server.network).sha256 == SHA256


def test_plain_http_is_fetched_where_the_site_allows_it(tmp_path: Path) -> None:
    with elsewhere(tls=False) as server:
        server.pages["/f"] = lambda handler: handler.file(DATA)
        allowing = limits(allow_http=True)
        assert fetch("http://data.test/f", tmp_path / "f", limits=allowing, network=server.network).sha256 == SHA256


def test_a_file_that_says_it_is_too_large_is_refused_before_it_comes(server: Elsewhere, tmp_path: Path) -> None:
    server.pages["/f"] = lambda handler: handler.file(DATA)
    fault = _refused(server, "https://data.test/f", tmp_path, "at most 0.001 GiB", max_gib="0.001")
    assert "max_gib" in fault.remedy


def test_an_endless_body_is_cut_at_the_limit(server: Elsewhere, tmp_path: Path) -> None:
    sent = itertools.count()

    def page(handler: Handler) -> None:
        handler.reply(Transfer_Encoding="chunked")
        while handler.command == "GET":
            next(sent)
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    server.pages["/f"] = page
    with pytest.raises(Refused, match=r"at most 0\.001 GiB"):
        fetch("https://data.test/f", tmp_path / "f", limits=limits(max_gib="0.001"), network=server.network)
    assert next(sent) < 1000
    assert list(tmp_path.iterdir()) == []


def test_a_packed_body_is_refused_rather_than_unpacked(server: Elsewhere, tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    server.pages["/f"] = lambda handler: handler.reply(200, bomb, Content_Encoding="gzip")
    _refused(server, "https://data.test/f", tmp_path, "packs the file")


@pytest.mark.parametrize("length", ["-5", "1e9", "9" * 30], ids=["negative", "not a number", "huge"])
def test_a_nonsensical_length_is_refused(server: Elsewhere, tmp_path: Path, length: str) -> None:
    server.pages["/f"] = lambda handler: handler.reply(200, DATA, Content_Length=length)
    _refused(server, "https://data.test/f", tmp_path, "GiB|broke")


def test_a_length_shorter_than_the_body_gives_that_much(server: Elsewhere, tmp_path: Path) -> None:
    """What follows is no part of the answer (RFC 9112), nor of the next one."""
    server.pages["/f"] = lambda handler: handler.reply(200, DATA, Content_Length="100")
    done = fetch("https://data.test/f", tmp_path / "f", limits=limits(), network=server.network)
    assert done.size_bytes == 100


@pytest.mark.parametrize("where", ["body", "headers"])
def test_a_trickle_ends_with_the_total_time(server: Elsewhere, tmp_path: Path, where: str) -> None:
    over = threading.Event()

    def page(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 99999\r\n\r\n" if where == "body" else b"X: "))
        while not over.wait(0.02):
            handler.wfile.write(b"x")

    server.pages["/f"] = page
    try:
        with pytest.raises(RemoteFailed, match="minutes it may take"):
            fetch("https://data.test/f", tmp_path / "f", limits=limits(total_minutes=0.005), network=server.network)
    finally:
        over.set()


def test_a_trickle_is_too_slow_after_a_minute(server: Elsewhere, tmp_path: Path) -> None:
    """The clock is the test's: every look at it is a minute later."""
    clock = itertools.count(step=61)
    server.pages["/f"] = lambda handler: handler.reply(200, b"x" * 100)
    network = Network(resolve=server.resolve, tls=trusting(), clock=lambda: float(next(clock)))
    with pytest.raises(RemoteFailed, match="less than 10 KiB per second"):
        fetch("https://data.test/f", tmp_path / "f", limits=limits(total_minutes=9999), network=network)


def test_a_silent_server_is_not_waited_for(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        port = silent.getsockname()[1]
        network = Network(resolve=lambda host, _: [(LOOPBACK, port)], tls=trusting(), pause=lambda _: None)
        with pytest.raises(RemoteFailed, match=r"does not answer|can't be reached"):
            describe("https://data.test/f", limits=limits(read_seconds=0.1, connect_seconds=0.1), network=network)


def test_a_closed_port_is_said(tmp_path: Path) -> None:
    network = Network(resolve=lambda host, _: [(LOOPBACK, 1)], tls=trusting(), pause=lambda _: None)
    with pytest.raises(RemoteFailed, match="can't be reached"):
        describe("https://data.test/f", limits=limits(), network=network)


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFound), (401, Refused), (403, Refused), (418, RemoteFailed), (500, RemoteFailed)]
)
def test_an_answer_that_is_no_data_says_why(
    server: Elsewhere, tmp_path: Path, status: int, error: type[NeurocaasError]
) -> None:
    server.pages["/f"] = lambda handler: handler.reply(status)
    assert isinstance(_refused(server, "https://data.test/f", tmp_path, f"HTTP {status}"), error)


def test_it_can_be_cancelled_while_it_arrives(server: Elsewhere, tmp_path: Path) -> None:
    server.pages["/f"] = lambda handler: handler.file(DATA)
    seen: list[int] = []
    with pytest.raises(Cancelled):
        fetch(
            "https://data.test/f",
            tmp_path / "f",
            limits=limits(),
            network=server.network,
            progress=lambda received, _: seen.append(received),
            cancelled=lambda: bool(seen),
        )
    assert seen
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_says_so(server: Elsewhere, tmp_path: Path) -> None:
    server.pages["/f"] = lambda handler: handler.file(DATA)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(StorageFailed, match="larger than this process may write"):
            fetch("https://data.test/f", tmp_path / "f", limits=limits(), network=server.network)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_a_file(server: Elsewhere, tmp_path: Path) -> None:
    server.pages["/f"] = lambda handler: handler.file(b"")
    assert fetch("https://data.test/f", tmp_path / "f", limits=limits(), network=server.network).size_bytes == 0


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="a.tif"', "a.tif"),
        ("attachment; filename*=UTF-8''caf%C3%A9.tif", "café.tif"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="C:\\\\x\\\\y.tif"', "y.tif"),
        ("attachment; filename*=nonsense''a", "a"),
        ("attachment", "f.csv"),
        ('attachment; filename=".."', "download"),
    ],
)
def test_a_file_is_called_what_the_server_says_made_safe(server: Elsewhere, disposition: str, name: str) -> None:
    server.pages["/d/f.csv"] = lambda handler: handler.reply(200, b"x", Content_Disposition=disposition)
    assert describe("https://data.test/d/f.csv?x=1", limits=limits(), network=server.network).name == name


def test_a_long_name_keeps_its_ending() -> None:
    name = safe_name("é" * 400 + ".nii")
    assert name.endswith("é.nii")
    assert len(name.encode()) <= 200
    assert safe_name("") == safe_name("\x00") == safe_name("a/..") == "download"
