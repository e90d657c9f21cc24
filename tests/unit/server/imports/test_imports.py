"""Data that is elsewhere becomes a group's, whole, once, within its quota, and whatever is killed meanwhile."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from neurocaas.errors import NotFound, NotNow, Refused
from neurocaas.settings import SiteDocument
from support.elsewhere import Elsewhere, Handler, elsewhere

if TYPE_CHECKING:
    from neurocaas.server.groups.scope import Caller
    from neurocaas.server.imports.models import Import
    from support.website import Website

DATA = os.urandom(1 << 20) * 6
SHA256 = hashlib.sha256(DATA).hexdigest()
URL = "https://data.test/rec.npy"


class Importer:
    """ada's imports from a stand-in server."""

    def __init__(self, website: Website, server: Elsewhere) -> None:
        from neurocaas.server.site import Site

        document = website.site.settings.site.model_dump(mode="json")
        document["fetching"] |= {"allow_private": ["127.0.0.1/32"], "read_seconds": 5}
        settings = website.site.settings.model_copy(update={"site": SiteDocument.model_validate(document)})
        self.site = Site(settings)
        self.server = server

    def caller(self, user: str = "ada") -> Caller:
        from neurocaas.server.groups.scope import caller

        return caller(user)

    def begin(self, url: str = URL, *tags: str) -> Import:
        from neurocaas.server.imports.requests import begin_import

        return begin_import(self.site, self.caller(), url, tags, network=self.server.network)

    def work(self) -> None:
        from neurocaas.server.imports.chores import work

        work(self.site, self.server.network)

    def work_in_thread(self) -> None:
        from django.db import connections

        try:
            self.work()
        finally:
            connections.close_all()

    def cancel(self, one: Import, user: str = "ada") -> Import:
        from neurocaas.server.imports.requests import cancel_import

        return cancel_import(self.site, self.caller(user), one.pk)

    def at(self, one: Import) -> Import:
        one.refresh_from_db()
        return one


@pytest.fixture
def importer(website: Website) -> Iterator[Importer]:
    with elsewhere("data.test") as server:
        server.pages["/rec.npy"] = lambda handler: handler.file(DATA)
        yield Importer(website, server)


def test_a_file_elsewhere_becomes_an_item_with_its_tags_and_origin(importer: Importer) -> None:
    one = importer.begin(URL, "mouse 3")
    assert (one.state, one.name, one.size_bytes) == ("waiting", "rec.npy", len(DATA))
    importer.work()
    done = importer.at(one)
    assert (done.state, done.received_bytes, done.message) == ("complete", len(DATA), "")
    assert done.item is not None
    assert done.item.content.sha256 == SHA256
    assert done.item.origin == URL
    assert [tag.text for tag in done.item.tags.all()] == ["mouse 3"]
    assert importer.site.store.head(done.item.content.key) is not None


def test_the_same_content_is_stored_once(importer: Importer, website: Website) -> None:
    there = website.item("lab", "bob", "rec.npy", DATA)
    one = importer.begin()
    importer.work()
    assert importer.at(one).item_id == there.id


def test_a_signed_address_is_shown_without_its_signature_and_not_kept(importer: Importer) -> None:
    one = importer.begin(f"{URL}?X-Amz-Signature=secret")
    assert "secret" not in one.shown
    importer.work()
    assert importer.at(one).url == ""
    assert importer.at(one).item is not None
    assert "secret" not in importer.at(one).item.origin  # type: ignore[union-attr]


def test_more_than_the_quota_has_room_for_is_refused_beforehand_with_the_number_left(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurocaas.server.uploads import opening

    monkeypatch.setattr(opening, "_quota_bytes", lambda _site, _group: len(DATA) + 10)
    importer.begin()
    with pytest.raises(Refused, match="left"):
        importer.begin()  # the first is not here yet, and counts already
    with pytest.raises(NotFound):
        importer.begin("https://data.test/nothing")


def test_a_failed_import_says_why_and_holds_up_no_other(importer: Importer) -> None:
    first, second = importer.begin(), importer.begin()
    importer.server.pages["/other.npy"] = lambda handler: handler.file(b"other")
    third = importer.begin("https://data.test/other.npy")
    importer.server.pages["/rec.npy"] = lambda handler: handler.reply(404)
    importer.work()
    assert importer.at(first).state == importer.at(second).state == "failed"
    assert importer.at(first).message
    assert importer.at(third).state == "complete"


def test_one_that_waits_or_is_fetched_can_be_cancelled_and_leaves_nothing(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurocaas.server.imports import chores

    monkeypatch.setattr(chores, "TOLD_SECONDS", 0)
    waiting, fetched = importer.begin(), importer.begin()
    assert importer.cancel(waiting).state == "cancelled"
    assert importer.cancel(waiting).state == "cancelled"
    begun, go_on = threading.Event(), threading.Event()

    def slow(handler: Handler) -> None:
        handler.reply(200, DATA[: 2 << 20], ETag='"e1"', Content_Length=str(len(DATA)))
        begun.set()
        go_on.wait(10)
        handler.wfile.write(DATA[2 << 20 :])

    importer.server.pages["/rec.npy"] = slow
    working = threading.Thread(target=importer.work_in_thread)
    working.start()
    assert begun.wait(10)
    importer.cancel(fetched)
    go_on.set()
    working.join()
    assert importer.at(fetched).state == "cancelled"
    assert importer.at(fetched).item is None
    assert list((importer.site.settings.state / "imports").iterdir()) == []


def test_one_that_is_complete_is_not_cancelled_and_others_do_not_see_it(importer: Importer) -> None:
    one = importer.begin()
    importer.work()
    with pytest.raises(NotNow, match="complete"):
        importer.cancel(one)
    with pytest.raises(NotFound):
        importer.cancel(one, "carol")


def test_an_import_that_was_killed_in_the_middle_goes_on_where_it_was(importer: Importer) -> None:
    one = importer.begin()
    arrived = threading.Event()
    stuck = threading.Event()

    def page(handler: Handler) -> None:
        if handler.headers.get("Range"):
            handler.file(DATA)
            return
        handler.reply(200, DATA[: 3 << 20], ETag='"e1"', Content_Length=str(len(DATA)))
        handler.wfile.flush()
        arrived.set()
        stuck.wait(20)

    importer.server.pages["/rec.npy"] = page
    killed = start_and_kill(importer, one, arrived)
    stuck.set()
    assert killed > 0
    importer.work()
    done = importer.at(one)
    assert (done.state, done.message) == ("complete", "")
    assert done.item is not None
    assert done.item.content.sha256 == SHA256
    last = importer.server.asked[-1]
    assert int(last[2]["Range"].removeprefix("bytes=").rstrip("-")) == killed


def start_and_kill(importer: Importer, one: Import, arrived: threading.Event) -> int:
    """Fetch in a process of its own and kill it once some has arrived. Returns how many bytes it left."""
    import time

    from django.db import connections

    part = importer.site.settings.state / "imports" / one.pk.hex / "file.part"
    connections.close_all()
    child = os.fork()
    if child == 0:
        try:
            importer.work()
        finally:
            os._exit(1)
    assert arrived.wait(20)
    give_up = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size >= 1 << 20) and time.monotonic() < give_up:
        threading.Event().wait(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return part.stat().st_size


@pytest.mark.parametrize("moved", [False, True], ids=["before it is in place", "after it is in place"])
def test_one_that_was_killed_while_it_was_stored_is_stored_by_the_same_upload(
    importer: Importer, moved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurocaas.server.imports import chores
    from neurocaas.server.uploads.models import Upload

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    one = importer.begin()
    with monkeypatch.context() as patched:
        patched.setattr(chores.shutil, "rmtree", lambda *_, **__: None)
        if moved:
            patched.setattr(chores, "finish", die)
        else:
            patched.setattr(importer.site.store.__class__, "put_file", die)
        importer.work()
    assert importer.at(one).state == "checking"
    importer.work()
    assert importer.at(one).state == "complete"
    assert Upload.objects.count() == 1
    assert importer.server.asked[-1][0] == "GET"
    assert [ask[0] for ask in importer.server.asked].count("GET") == 1


def test_the_api_lists_imports_and_cancels_them(importer: Importer, website: Website) -> None:
    from neurocaas.server.api import imports
    from neurocaas.server.imports.requests import list_imports

    for _ in range(3):
        importer.begin()
    first = list_imports(importer.caller(), count=2)
    rest = list_imports(importer.caller(), first.cursor, count=2)
    assert (len(first.imports), len(rest.imports), rest.cursor) == (2, 1, "")
    assert imports._import(rest.imports[0])["state"] == "waiting"
    with pytest.raises(Refused, match="cursor"):
        list_imports(importer.caller(), "nonsense")
    assert list_imports(importer.caller("carol")).imports == []
    client = website.client("ada")
    assert "rec.npy" in client.get("/data/imports?open=4").content.decode()
    assert client.get("/data/imports?open=4").headers["HX-Trigger"] == "data-came"
    assert client.post(f"/data/imports/{first.imports[0].pk}/cancel").status_code == 302


def test_a_wrong_address_is_told_at_its_field(website: Website) -> None:
    answer = website.client("ada").post("/data/imports/begin", {"url": "ftp://data.test/x"})
    assert answer.status_code == 422
    assert 'id="id_url_error"' in answer.content.decode()
