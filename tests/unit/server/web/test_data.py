"""The page of staged data shows a group its own, finds it, and does to it what was asked."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from neurocaas.server.uploads.models import Item
    from support.website import Website


def only_item() -> Item:
    from neurocaas.server.uploads.models import Item

    return Item.objects.get()


def test_the_page_shows_the_groups_data_and_the_number_left(website: Website) -> None:
    website.item("lab", "ada", "movie.npy")
    website.item("other", "carol", "hidden.npy")
    page = website.client("ada").get("/data").content.decode()
    assert "movie.npy" in page
    assert "hidden.npy" not in page
    assert "left" in page


def test_a_search_asked_by_htmx_answers_with_the_list_alone(website: Website) -> None:
    website.item("lab", "ada", "movie.npy")
    website.item("lab", "ada", "trace.npy", b"\x93NUMPY\x01\x01")
    asked = {"HX-Request": "true", "HX-Target": "found"}
    page = website.client("bob").get("/data?search=trac", headers=asked).content.decode()
    assert "trace.npy" in page
    assert "movie.npy" not in page
    assert "<html" not in page


def test_pages_follow_each_other_and_cost_the_same_number_of_queries(website: Website) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = website.client("ada")
    website.item("lab", "ada", "movie-0.npy", b"\x93NUMPY\x00")
    client.get("/data")
    with CaptureQueriesContext(connection) as few:
        client.get("/data")
    for number in range(1, 60):
        website.item("lab", "ada", f"movie-{number}.npy", b"\x93NUMPY" + bytes([number]))
    with CaptureQueriesContext(connection) as many:
        first = client.get("/data")
    assert len(many) == len(few)
    older = html.unescape(re.findall(r'rel="next" href="([^"]+)"', first.content.decode())[0])
    shown = [re.findall(r"movie-\d+\.npy", page.content.decode()) for page in (first, client.get(older))]
    assert [len(names) for names in shown] == [50, 10]
    names = [name for page in shown for name in page]
    assert sorted(names) == sorted(f"movie-{number}.npy" for number in range(60))


def test_tags_are_set_and_a_wrong_one_is_told_at_the_field(website: Website) -> None:
    item, client = website.item("lab", "ada"), website.client("bob")
    assert client.post(f"/data/{item.id}/tags", {"tags": "mouse 3, day 2,"}).status_code == 302
    assert "mouse 3" in client.get("/data?tag=day+2").content.decode()
    wrong = client.post(f"/data/{item.id}/tags", {"tags": "x" * 61})
    assert wrong.status_code == 422
    assert "at most 60" in wrong.content.decode()


def test_what_is_kept_does_not_expire(website: Website) -> None:
    from neurocaas.server.uploads.models import Item

    item, client = website.item("lab", "ada"), website.client("ada")
    Item.objects.update(expires_at=datetime.now(UTC) + timedelta(days=3))
    assert "Keep it for good" in client.get(f"/data/{item.id}").content.decode()
    client.post(f"/data/{item.id}/keep", {"keep": "yes"})
    assert "never" in client.get(f"/data/{item.id}").content.decode()
    client.post(f"/data/{item.id}/keep", {"keep": "no"})
    assert "never" not in client.get(f"/data/{item.id}").content.decode()


def test_data_that_a_live_job_needs_is_not_deleted_and_the_job_is_named(website: Website) -> None:
    job, client = website.job(), website.client("ada")
    item = only_item()
    refused = client.post(f"/data/{item.id}/delete")
    assert refused.status_code == 409
    assert job.id in refused.content.decode()
    website.finish(job, {"a.txt": b"a"})
    assert client.post(f"/data/{item.id}/delete").status_code == 302
    assert client.get(f"/data/{item.id}").status_code == 404


def test_an_item_names_the_jobs_that_used_it_but_not_those_that_others_keep_private(website: Website) -> None:
    job = website.job(user="ada", private=True)
    item = only_item()
    assert job.id in website.client("ada").get(f"/data/{item.id}").content.decode()
    assert job.id not in website.client("bob").get(f"/data/{item.id}").content.decode()


@pytest.mark.parametrize("what", ["", "/tags", "/keep", "/delete"])
def test_another_groups_data_does_not_exist(website: Website, what: str) -> None:
    item = website.item("other", "carol")
    client = website.client("ada")
    answer = client.post(f"/data/{item.id}{what}") if what else client.get(f"/data/{item.id}")
    assert answer.status_code == 404
    assert website.client("carol").get(f"/data/{item.id}").status_code == 200


def test_a_collaborators_data_is_shown_where_its_profile_says_so(website: Website) -> None:
    from neurocaas.server.groups.models import Collaboration

    website.item("other", "carol", "shared.npy")
    client = website.client("ada")
    assert client.get("/data?of=other").status_code == 404
    Collaboration.objects.create(group_id="other", other="lab", what="data")
    assert "shared.npy" in client.get("/data?of=other").content.decode()


def test_who_has_no_group_is_shown_the_way_into_one(website: Website) -> None:
    assert website.client("olga").get("/data").headers["Location"] == "/group"
