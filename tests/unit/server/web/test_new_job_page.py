"""The page of a new job: form, quote, text beside the form, saved configurations, submission."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import pytest

from support.website import Website

NEW = "/analyses/mean/new"


def text(answer: Any) -> str:
    return str(answer.content.decode())


def form(website: Website, **more: Any) -> dict[str, Any]:
    """A form as a browser sends it."""
    if "data" not in more:
        more["data"] = [str(website.item("lab", "ada").id)]
    return {"key": str(uuid4()), "p.components": "3", "seed": "0", "action": "submit", **more}


def jobs() -> Any:
    from neurocaas.server.jobs.models import Job

    return Job.objects.order_by("submitted_at")


def test_the_form_has_a_field_for_each_parameter(website: Website) -> None:
    page = text(website.client("ada").get(NEW))
    assert 'name="p.components" value="3"' in page
    assert "How many." in page
    assert 'name="input.mask"' in page


def test_a_submitted_form_becomes_a_job_with_what_was_typed(website: Website) -> None:
    client = website.client("ada")
    mask = website.item("lab", "ada", "mask.npy", b"\x93NUMPYmask")
    sent = form(
        website, **{"p.components": "5", "input.mask": str(mask.id), "minutes": "7", "seed": "9", "private": "on"}
    )
    answer = client.post(NEW, sent)
    job = jobs().get()
    assert answer.status_code == 302
    assert job.id in answer["Location"]
    assert (job.config, job.seed, job.timeout_minutes, job.private) == ({"components": 5}, 9, 7, True)
    assert (job.group_id, job.user) == ("lab", "ada")
    assert sorted(one["name"] for one in job.stacks.get().inputs) == ["mask", "matrix"]
    assert website.wakes == ["wake"]


def test_pressing_submit_twice_makes_one_job(website: Website) -> None:
    client, sent = website.client("ada"), form(website)
    first, again = client.post(NEW, sent), client.post(NEW, sent)
    assert first["Location"] == again["Location"]
    assert jobs().count() == 1
    other = client.post(NEW, sent | {"key": str(uuid4())})
    assert other["Location"] != first["Location"]


def test_jobs_are_submitted_so_many_times_a_minute(website: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    from neurocaas.server.api import throttles

    monkeypatch.setattr(throttles, "PERIOD_SECONDS", 10**9)  # or the next minute may begin meanwhile
    monkeypatch.setattr(throttles.SUBMITTING, "most", 1)
    client, sent = website.client("ada"), form(website)
    assert [client.post(NEW, sent | {"key": str(uuid4())}).status_code for _ in range(2)] == [302, 429]
    assert jobs().count() == 1


def test_the_key_of_somebody_elses_form_gives_an_own_job(website: Website) -> None:
    sent = form(website)
    website.client("ada").post(NEW, sent)
    website.client("bob").post(NEW, sent)
    assert [job.user for job in jobs()] == ["ada", "bob"]


@pytest.mark.parametrize(
    ("wrong", "said", "place"),
    [
        ({"p.components": "0"}, "config: components: found 0; a whole number at least 1 is right.", "p-components"),
        ({"p.components": "many"}, "config: components: found &quot;many&quot;", "p-components"),
        ({"p.components": "[1"}, "config: components: found", "p-components"),
        ({"s.components": "3:1"}, "sweep: components: found &#x27;3:1&#x27;", "p-components"),
        ({"s.components": "0, 2"}, "components: found 0", "p-components"),
        ({"minutes": "-1"}, "minutes: found -1.0; a number above 0 is right.", "minutes"),
        ({"minutes": "soon"}, "minutes: found soon; a number above 0 is right.", "minutes"),
        ({"minutes": "61"}, "minutes: found 61; at most 60", "minutes"),
        ({"save": "on"}, "save: the save price is for runs", "minutes"),
        ({"seed": "-1"}, "seed: found -1", "seed"),
        ({"seed": "٣"}, "seed: found ٣", "seed"),
        ({"points": "size: 3"}, "points: a list with one line for each point", "points"),
        ({"points": "- [1"}, "points: ", "points"),
        ({"data": []}, "data: found none", "data"),
        ({"data": ["nonsense"]}, "data: there is no staged data nonsense", "data"),
    ],
)
def test_a_fault_is_told_at_its_field_in_the_words_of_the_api(
    website: Website, wrong: dict[str, Any], said: str, place: str
) -> None:
    client, sent = website.client("ada"), form(website, **wrong)
    answer = client.post(NEW, sent)
    assert answer.status_code == 422
    found = re.search(rf'id="{place}-fault">(.*?)</div></div></div>', text(answer), re.DOTALL)
    assert found, text(answer)
    assert said in found[1]
    assert not jobs().exists()
    quoted = client.post(f"{NEW}/quote", sent)
    assert quoted.status_code == 200
    if sent["data"]:
        assert said in text(quoted)


def test_what_was_typed_is_still_there_after_a_refusal(website: Website) -> None:
    sent = form(website, **{"p.components": "0", "s.components": "1:3", "minutes": "5", "fresh": "on"})
    page = text(website.client("ada").post(NEW, sent))
    for kept in ('name="p.components" value="0"', 'value="1:3"', 'value="5"', 'name="fresh" checked', sent["key"]):
        assert kept in page
    assert f'value="{sent["data"][0]}" checked' in page


def test_the_quote_counts_the_stacks_of_a_sweep(website: Website) -> None:
    sent = form(website, **{"s.components": "1:4"})
    quoted = text(website.client("ada").post(f"{NEW}/quote", sent))
    assert "<b>4</b> stacks on 1 dataset" in quoted
    assert "Left for the group" in quoted
    assert not jobs().exists()


def test_a_sweep_of_a_list_of_points_is_combined_with_values(website: Website) -> None:
    client = website.client("ada")
    sent = form(website, points="- {components: 2}\n- {components: 7}\n")
    assert client.post(NEW, sent).status_code == 302
    assert jobs().get().points == [{"components": 2}, {"components": 7}]


def test_a_quote_without_data_asks_for_some(website: Website) -> None:
    assert "Choose or drop datasets" in text(website.client("ada").post(f"{NEW}/quote", form(website, data=[])))


def test_another_groups_data_is_not_there(website: Website) -> None:
    theirs = website.item("other", "carol", "secret.npy", b"\x93NUMPYsecret")
    client = website.client("ada")
    assert "secret.npy" not in text(client.get(f"{NEW}?data={theirs.id}"))
    answer = client.post(NEW, form(website, data=[str(theirs.id)]))
    assert answer.status_code == 422
    assert "secret.npy" not in text(answer)
    assert not jobs().exists()


def test_staged_data_is_found_by_name_and_tag_beside_what_is_chosen(website: Website) -> None:
    from neurocaas.server.uploads.items import set_tags

    items = [
        website.item("lab", "ada", f"{name}.npy", b"\x93NUMPY" + name.encode()) for name in ("mouse", "fly", "fish")
    ]
    website.item("lab", "ada", "notes.txt", b"x")
    set_tags("lab", str(items[1].id), ["insects"])
    client, chosen = website.client("ada"), str(items[0].id)
    by_name = text(client.post(f"{NEW}/data", {"data": [chosen], "search": "FI"}))
    assert f'value="{chosen}" checked' in by_name
    assert f'value="{items[2].id}">' in by_name
    listed = by_name.partition("Staged data of")[2].partition('for="input-mask"')[0]
    assert "fly.npy" not in listed
    by_tag = text(client.post(f"{NEW}/data", {"tag": "insects"})).partition("Staged data of")[2]
    assert "fly.npy" in by_tag.partition('for="input-mask"')[0]
    assert "notes.txt" not in text(client.post(f"{NEW}/data", {}))


def test_text_fills_the_fields_and_fields_the_text(website: Website) -> None:
    client = website.client("ada")
    filled = client.post(f"{NEW}/config", {"source": "text", "config_text": "components: 7"}).json()
    assert filled["texts"] == {"components": "7"}
    assert filled["fault"] == ""
    written = client.post(f"{NEW}/config", {"source": "form", "p.components": "8"}).json()
    assert written["text"] == "components: 8\n"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("components: [1", "line 1: it is not YAML"),
        ("- 3", "parameter names with values"),
        ("!!python/object/apply:os.system [ls]", "it is not YAML"),
        ("a: &a [1]\nb: *a", "it is not YAML"),
        ("compnents: 3", 'Did you mean "components"?'),
        ("components: 0", "a whole number at least 1 is right"),
    ],
)
def test_text_that_is_not_right_is_told_with_its_line(website: Website, written: str, said: str) -> None:
    answer = website.client("ada").post(f"{NEW}/config", {"source": "text", "config_text": written})
    assert said in answer.json()["fault"]


def test_a_config_file_fills_the_form_without_scripts(website: Website) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    client = website.client("ada")
    file = SimpleUploadedFile("config.yaml", b"components: 9\n")
    page = text(client.post(NEW, form(website, action="read", config_file=file)))
    assert 'name="p.components" value="9"' in page
    wrong = client.post(NEW, form(website, action="read", config_file=SimpleUploadedFile("c.yaml", b"\xff\xfe")))
    assert wrong.status_code == 422
    assert "the file is not text" in text(wrong)


def test_a_configuration_is_saved_loaded_and_deleted_in_its_group_alone(website: Website) -> None:
    from neurocaas.server.web.models import SavedConfig

    client, bob, carol = (website.client(user) for user in ("ada", "bob", "carol"))
    client.post(NEW, form(website, action="keep", save_name="usual", **{"p.components": "6"}))
    saved = SavedConfig.objects.get()
    assert (saved.group_id, saved.name, saved.config, saved.by) == ("lab", "usual", {"components": 6}, "ada")
    assert 'value="6"' in text(bob.get(f"{NEW}?config={saved.id}"))
    assert carol.get(f"{NEW}?config={saved.id}").status_code == 404
    refused = bob.post(NEW, form(website, action="forget", saved=str(saved.id)))
    assert refused.status_code == 403
    assert client.post(NEW, form(website, action="keep", save_name=" ")).status_code == 422
    assert client.post(NEW, form(website, action="load", saved="x")).status_code == 422
    client.post(NEW, form(website, action="forget", saved=str(saved.id)))
    assert not SavedConfig.objects.exists()


def test_an_earlier_job_is_run_again_from_its_form(website: Website) -> None:
    points = [{"components": 2}, {"components": 4}]
    job = website.job(config={"components": 5}, points=points, seed=4, timeout_minutes=3.5, private=True)
    page = text(website.client("ada").get(f"{NEW}?from={job.id}"))
    for filled in (
        'name="s.components" value="2, 4"',
        'name="seed"',
        'value="4"',
        'value="3.5"',
        "ada-movie.npy",
        f"job {job.id}",
    ):
        assert filled in page
    assert 'name="private" checked' in page
    assert website.client("bob").get(f"{NEW}?from={job.id}").status_code == 404
    assert website.client("carol").get(f"{NEW}?from={job.id}").status_code == 404
    assert website.client("ada").get(f"{NEW}?from=none").status_code == 404


def test_a_certificate_fills_the_form(website: Website) -> None:
    from neurocaas.server.web.asking import read_given
    from support.crates import two_step_job

    certificate = two_step_job(website.folder / "crate").certificate
    given = read_given(json.dumps(certificate), "config_text")
    assert given.config == certificate["config"]
    assert list(given.points) == certificate["sweep"]
    answer = website.client("ada").post(
        f"{NEW}/config", {"source": "text", "config_text": '{"seal": {}, "config": {}}'}
    )
    assert "certificate" in answer.json()["fault"]


def test_who_belongs_to_no_group_is_told_how_to_join_one(website: Website) -> None:
    answer = website.client("olga").get(NEW)
    assert answer.status_code == 403
    assert "belongs to no group" in text(answer)


def test_a_job_that_the_budget_does_not_allow_is_refused_in_the_form(website: Website) -> None:
    from neurocaas.server.jobs.models import Group

    path = website.site.settings.root / "site.json"
    path.write_text(json.dumps({"name": "Test site", "local": {"price_per_hour": "1"}}))
    from neurocaas.server.serving.wiring import serve_site
    from neurocaas.server.site import Site
    from neurocaas.settings import read_settings

    settings = read_settings(website.site.settings.root).model_copy(
        update={"database_url": website.site.settings.database_url}
    )
    serve_site(Site(settings))
    Group.objects.filter(pk="lab").update(profile={"budget_dollars": "0.5"})
    client, sent = website.client("ada"), form(website)
    quoted = text(client.post(f"{NEW}/quote", sent))
    assert "The budget left is smaller than the most that this job can cost." in quoted
    answer = client.post(NEW, sent)
    assert answer.status_code == 422
    assert "budget" in text(answer)
    assert not jobs().exists()


def test_a_page_that_is_posted_without_its_token_is_refused(website: Website) -> None:
    assert website.client("ada", enforce_csrf_checks=True).post(NEW, form(website)).status_code == 403


def test_who_signed_out_meanwhile_is_sent_to_sign_in_from_a_part_of_the_page(website: Website) -> None:
    answer = website.client().post(f"{NEW}/quote", {}, headers={"HX-Request": "true", "HX-Current-URL": NEW})
    assert answer.status_code == 204
    assert answer["HX-Redirect"] == f"/accounts/login/?next={NEW}"
