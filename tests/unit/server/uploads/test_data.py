"""Staged data on SQLite and PostgreSQL: stored once, found, kept to a quota, deleted, expired; and what must not be."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from neurocaas.errors import NotFound, NotNow, Refused
from neurocaas.storage import keys

if TYPE_CHECKING:
    from support.uploads import Lab

DAY = timedelta(days=1)


def _queries() -> Any:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    return CaptureQueriesContext(connection)


def _live_job(key: str) -> Any:
    """A job that runs on this object."""
    from neurocaas.server.jobs.models import Group, Job, Stack, Step

    group, _ = Group.objects.get_or_create(pk="lab")
    blank = {"version": "v" * 64, "execution_digest": "x" * 64, "label": "mean"}
    job = Job.objects.create(
        id=uuid.uuid4().hex,
        group=group,
        user="ada",
        analysis="mean",
        config={},
        seed=0,
        max_instances=1,
        submitted_at=datetime.now(UTC),
        **blank,
    )
    step = Step.objects.create(job=job, index=0, name="mean")
    return Stack.objects.create(
        job=job, step=step, index=0, dataset="d", folder="d", inputs=[{"key": key}], config={}, seed=0, need={}
    )


def test_the_same_content_is_stored_once_and_found_under_both_names(lab: Lab) -> None:
    first, second = lab.bring("a.npy", b"same", tags=["mouse 7"]), lab.bring("b.npy", b"same", tags=["mouse 8"])
    assert first.content_id == second.content_id
    assert lab.stored() == [first.content.key]
    assert lab.used() == 4
    again = lab.bring("a.npy", b"same", tags=["new"])
    assert again.id == first.id
    assert sorted(tag.text for tag in again.tags.all()) == ["mouse 7", "new"]


def test_content_that_the_group_has_is_not_sent_again(lab: Lab) -> None:
    from support.uploads import digest

    item = lab.bring("a.npy", b"same")
    upload = lab.begin("a.npy", 4, digests=[digest(b"same")])
    assert lab.describe(upload)["item"] == str(item.id)
    assert lab.describe(upload)["files"] == []
    folder = lab.bring_folder("session", {"x.txt": b"1", "y/z.txt": b"22"})
    upload = lab.begin("other", 1, 2, paths=["x.txt", "y/z.txt"], digests=[digest(b"1"), digest(b"22")])
    assert upload.item is not None
    assert upload.item.content_id == folder.content_id
    assert upload.item.name == "other"


@pytest.mark.postgresql
@pytest.mark.usefixtures("pool_of_one")
def test_who_waits_for_a_check_leaves_it_a_connection(tmp_path: Path) -> None:
    from support.uploads import file_lab

    assert file_lab(tmp_path).bring("a.npy", b"some").content.size_bytes == 4


def test_nobody_learns_what_another_group_has(lab: Lab) -> None:
    from neurocaas.server.uploads import items
    from support.uploads import Lab, digest

    item = lab.bring("a.npy", b"secret")
    strangers = Lab(store=lab.store, group="strangers")
    upload = strangers.begin("a.npy", 6, digests=[digest(b"secret")])
    assert strangers.describe(upload)["item"] is None
    assert items.items("strangers").items == []
    for attempt in (
        lambda: items.item("strangers", str(item.id)),
        lambda: strangers.delete(item),
        lambda: items.keep("strangers", str(item.id), True),
        lambda: items.set_tags("strangers", str(item.id), ["x"]),
        lambda: items.local_path(strangers.desk, "strangers", str(item.id)),
    ):
        with pytest.raises(NotFound, match="There is no staged data"):
            attempt()
    with pytest.raises(NotFound, match="There is no upload"):
        strangers.complete(lab.begin("b.npy", 1))


def test_a_folder_lies_in_the_store_as_it_was(lab: Lab) -> None:
    from neurocaas.server.uploads import items
    from neurocaas.storage import folder_digest
    from support.uploads import digest

    item = lab.bring_folder("session", {"b.txt": b"2", "a/ö.txt": b"1", "empty": b""})
    content = item.content
    listed = [("b.txt", digest(b"2"), 1), ("a/ö.txt", digest(b"1"), 1), ("empty", digest(b""), 0)]
    assert content.sha256 == folder_digest(listed).sha256
    assert content.size_bytes == 2
    folder = lab.store.local_path(content.key)
    assert folder is not None
    assert {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == {
        "a/ö.txt": b"1",
        "b.txt": b"2",
        "empty": b"",
    }
    found = items.local_path(lab.desk, "lab", str(item.id), "a/ö.txt")
    assert found is not None
    assert found.read_bytes() == b"1"
    assert items.download_url(lab.desk, "lab", str(item.id), "b.txt") is None
    for path in ("", "../x", "nothing"):
        with pytest.raises(NotFound):
            items.local_path(lab.desk, "lab", str(item.id), path)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({}, "upload: name: it is missing"),
        ({"name": "a", "files": []}, "upload: files: found"),
        ({"name": "a", "files": [{"path": "a", "size_bytes": -1}]}, "a number of at least 0 is right."),
        ({"name": "a", "files": [{"path": "a", "size_bytes": 1, "sha256": "x"}]}, "is right."),
        ({"name": "a", "form": "zip", "files": [{"path": "a", "size_bytes": 1}]}, "'file' or 'folder' is right."),
        ({"name": "..", "files": [{"path": "a", "size_bytes": 1}]}, "The name '..' can't be stored"),
        ({"name": "a", "files": [{"path": "a", "size_bytes": 1}] * 2}, "found 2; one is right for the form file."),
        ("text", "an object is right."),
        (
            {"name": "a", "form": "folder", "files": [{"path": "../x", "size_bytes": 1}]},
            "The name '..' can't be stored",
        ),
        ({"name": "a", "form": "folder", "files": [{"path": "/x", "size_bytes": 1}]}, "The name '' can't be stored"),
        (
            {"name": "a", "form": "folder", "files": [{"path": "x\0", "size_bytes": 1}]},
            "can't be stored: it contains",
        ),
        (
            {"name": "a", "form": "folder", "files": [{"path": "x", "size_bytes": 1}] * 2},
            "found 'x' twice; each path once is right.",
        ),
        (
            {"name": "a", "form": "folder", "files": [{"path": one, "size_bytes": 1} for one in ("x", "x/y")]},
            "'x' is a file and, for 'x/y', a folder; one of them is right.",
        ),
        (
            {"name": "a", "form": "folder", "files": [{"path": "/".join(["x" * 190] * 6), "size_bytes": 1}]},
            "bytes; at most 1024 can be stored.",
        ),
        (
            {"name": "a", "files": [{"path": "a", "size_bytes": 1}], "tags": ["x" * 61]},
            "one line of at most 60 is right.",
        ),
    ],
)
def test_a_wrong_document_is_refused_with_a_sentence(sqlite_lab: Lab, document: Any, sentence: str) -> None:
    from neurocaas.server.uploads.beginning import begin
    from neurocaas.server.uploads.models import Upload

    with pytest.raises(Refused) as refusal:
        begin(sqlite_lab.desk, "lab", "ada", document)
    assert sentence in str(refusal.value)
    assert not Upload.objects.exists()


def test_the_quota_counts_what_is_on_its_way_and_says_what_is_left(lab: Lab) -> None:
    lab.limit_bytes = 10 << 30
    item = lab.bring("a.npy", b"x" * 10)
    upload = lab.begin("b.npy", 6 << 30)
    with pytest.raises(Refused, match=r"found 5 GiB; at most 4 GiB, which are left of the 10 GiB of lab, are right"):
        lab.begin("c.npy", 5 << 30)
    from neurocaas.server.uploads.expiry import give_up

    assert give_up(lab.desk, upload)
    assert not give_up(lab.desk, upload)
    assert lab.used() == 10
    lab.delete(item)
    assert lab.used() == 0


def test_lists_are_searched_tagged_and_paged_with_few_queries(lab: Lab) -> None:
    from neurocaas.server.uploads import items

    brought = []
    for number in range(7):
        lab.now += timedelta(seconds=number // 2)  # some at the same moment
        brought.append(lab.bring(f"Recording {number}.npy", bytes([number]), tags=["even"] if number % 2 == 0 else []))
    seen, cursor = [], ""
    while True:
        with _queries() as queries:
            page = items.items("lab", cursor=cursor, count=3)
            [(one.name, one.content.size_bytes, [tag.text for tag in one.tags.all()]) for one in page.items]
        assert len(queries) == 2
        seen += [one.id for one in page.items]
        if not (cursor := page.cursor):
            break
    assert len(seen) == len(set(seen)) == 7
    assert [one.name for one in items.items("lab", search="recording 3").items] == ["Recording 3.npy"]
    assert len(items.items("lab", tag="even").items) == 4
    assert items.items("lab", search="%").items == []
    items.set_tags("lab", str(brought[0].id), ["odd", " odd ", ""])
    assert [one.id for one in items.items("lab", tag="odd").items] == [brought[0].id]
    assert len(items.items("lab", tag="even").items) == 3
    with pytest.raises(Refused, match="cursor: found 'x'"):
        items.items("lab", cursor="x")


def test_deleted_data_goes_when_no_item_has_it_and_a_while_has_passed(lab: Lab) -> None:
    first, second = lab.bring("a.npy", b"same"), lab.bring("b.npy", b"same")
    lab.delete(first)
    lab.now += DAY
    assert lab.sweep().contents == 0
    lab.delete(second)
    assert lab.sweep().contents == 0  # a job may be on its way
    assert len(lab.stored()) == 1
    lab.now += DAY
    assert lab.sweep().contents == 1
    assert lab.stored() == []
    assert lab.bring("a.npy", b"same").content.size_bytes == 4


def test_deleted_data_that_is_uploaded_again_stays(lab: Lab) -> None:
    lab.delete(lab.bring("a.npy", b"same"))
    lab.now += DAY
    item = lab.bring("c.npy", b"same")
    assert lab.sweep().contents == 0
    assert lab.stored() == [item.content.key]


def test_what_a_live_job_needs_is_not_deleted_nor_expired(lab: Lab) -> None:
    from neurocaas.server.jobs.status import Status

    lab = type(lab)(store=lab.store, expires_after=DAY)
    item = lab.bring("a.npy", b"needed")
    stack = _live_job(item.content.key)
    with pytest.raises(NotNow, match=rf"a\.npy can't be deleted yet: job {stack.job_id} needs it\."):
        lab.delete(item)
    lab.now += 2 * DAY
    assert lab.sweep().expired == 0
    stack.status = Status.SUCCEEDED
    stack.save()
    assert lab.sweep().expired == 1
    stack.status = Status.RUNNING  # as if it had been admitted in the last moment
    stack.save()
    lab.now += DAY
    assert lab.sweep().contents == 0
    assert lab.stored() == [item.content.key]


def test_data_expires_unless_it_is_kept(lab: Lab) -> None:
    from neurocaas.server.uploads import items

    lab = type(lab)(store=lab.store, expires_after=DAY)
    kept, lost = lab.bring("kept.npy", b"kept"), lab.bring("lost.npy", b"lost")
    items.keep("lab", str(kept.id), True)
    lab.now += 2 * DAY
    assert lab.sweep().expired == 1
    assert [one.id for one in items.items("lab").items] == [kept.id]
    with pytest.raises(NotFound):
        items.item("lab", str(lost.id))
    items.keep("lab", str(kept.id), False)
    assert lab.sweep().expired == 1


def test_a_sweep_removes_stale_uploads_and_objects_of_nobody(lab: Lab) -> None:
    item, upload = lab.bring("a.npy", b"stays"), lab.begin("b.npy", 5)
    lab.desk.partial(upload.files.get()).write_bytes(b"half")
    orphan = keys.content_file("lab", uuid.uuid4().hex)
    lab.store.put(orphan, b"left by a killed process")
    moved = lab.begin("c.npy", 1)
    lab.store.put(moved.files.select_related("upload").get().key, b"c")  # killed after it was moved
    swept = lab.sweep()
    assert (swept.stale, swept.orphans) == (0, 1)
    assert orphan not in lab.stored()
    assert lab.finished(moved).content.size_bytes == 1
    lab.now += 8 * DAY
    os.utime(lab.desk.partial(upload.files.get()), times=(lab.now.timestamp(),) * 2)
    assert lab.sweep().stale == 0  # bytes still come
    os.utime(lab.desk.partial(upload.files.get()), times=(0, 0))
    lab.desk.folder(uuid.uuid4())
    swept = lab.sweep()
    assert (swept.stale, swept.orphans) == (1, 1)
    assert lab.stored() == sorted([item.content.key, lab.finished(moved).content.key])
    with pytest.raises(NotFound, match="given up"):
        lab.complete(upload)
    lab.now += 31 * DAY
    lab.sweep()
    with pytest.raises(NotFound, match="There is no upload"):
        lab.complete(upload)


def test_a_sweep_completes_what_a_dead_process_was_checking(lab: Lab) -> None:
    from neurocaas.server.uploads.models import Upload

    upload = lab.begin("a.npy", 3)
    lab.desk.partial(upload.files.get()).write_bytes(b"abc")
    Upload.objects.update(state="checking")
    assert lab.sweep().completed == 1
    upload.refresh_from_db()
    assert upload.state == "complete"


def test_what_is_missing_is_said(lab: Lab) -> None:
    upload = lab.begin("session", 1, 2, 3, 4, 5, paths=list("abcde"))
    with pytest.raises(NotNow, match=r"Not everything has arrived yet: a, b, c and 2 more\. Send the rest\."):
        lab.complete(upload)


def test_two_that_complete_the_same_content_at_once_share_it(lab: Lab) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from neurocaas.server.uploads.completing import finish
    from neurocaas.server.uploads.models import Content
    from neurocaas.server.uploads.reception import connected

    uploads = [lab.begin(f"{number}.npy", 4) for number in range(4)]
    for upload in uploads:
        lab.desk.partial(upload.files.get()).write_bytes(b"same")
    with ThreadPoolExecutor(8) as threads:
        for upload in uploads * 2:
            threads.submit(connected, lambda upload=upload: _closing(finish, lab.desk, upload.id))
    assert Content.objects.count() == 1
    assert len({lab.finished(upload).content_id for upload in uploads}) == 1
    lab.sweep()
    assert len(lab.stored()) == 1


def _closing(action: Any, *arguments: Any) -> None:
    from django.db import connections

    try:
        action(*arguments)
    finally:
        connections.close_all()


def test_a_file_on_this_machine_becomes_an_item(lab: Lab, tmp_path: Any) -> None:
    from neurocaas.server.uploads.completing import store_file

    for content in (b"fetched", b""):
        path = tmp_path / "fetched"
        path.write_bytes(content)
        item = store_file(lab.desk, "lab", "ada", "a.npy", path, origin="https://example.org/a.npy")
        assert (item.name, item.origin) == ("a.npy", "https://example.org/a.npy")
        assert lab.store.get(item.content.key) == content
