"""The pages about analyses: who sees what, what they tell, and that they ask the database a fixed number of things."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.website import Website

PAGES = ("/analyses/mean", "/analyses/mean/changes", "/analyses/mean/sample", "/analyses/mean/new")


def text(answer: Any) -> str:
    return str(answer.content.decode())


def folder(website: Website) -> Path:
    return website.site.repo.folder("mean")


def close_to(website: Website, *groups: str) -> None:
    """Let only these groups use the analysis."""
    from neurocaas.server.groups.models import AnalysisAccess

    AnalysisAccess.objects.update_or_create(analysis="mean", defaults={"document": {"groups": groups}})


def change(website: Website, script: str) -> None:
    """A new version of the analysis."""
    (folder(website) / "workflow.py").write_text(script)
    website.site.repo.commit("Compute it better")


def test_visitors_see_home_and_what_is_open_to_all(website: Website) -> None:
    nobody = website.client()
    assert "The mean." in text(nobody.get("/"))
    assert "The mean." in text(nobody.get("/analyses"))
    close_to(website, "lab")
    assert "The mean." not in text(nobody.get("/analyses"))


@pytest.mark.parametrize("path", PAGES)
def test_visitors_are_asked_to_sign_in_and_come_back(website: Website, path: str) -> None:
    answer = website.client().get(path)
    assert answer.status_code == 302
    assert answer["Location"] == f"/accounts/login/?next={path}"


@pytest.mark.parametrize("path", PAGES)
def test_an_analysis_of_other_groups_does_not_exist(website: Website, path: str) -> None:
    close_to(website, "lab")
    answer = website.client("carol").get(path)
    assert answer.status_code == 404
    assert "There is no analysis" in text(answer)
    assert "The mean." not in text(website.client("carol").get("/analyses"))


def test_home_of_a_member_shows_the_groups_latest_jobs(website: Website) -> None:
    job = website.job()
    assert job.id in text(website.client("bob").get("/"))
    assert job.id not in text(website.client("carol").get("/"))


def test_home_of_who_belongs_to_no_group_says_so(website: Website) -> None:
    assert "You belong to no group yet" in text(website.client("olga").get("/"))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=MEAN", True),
        ("q=the+mean", True),
        ("q=median", False),
        ("subfield=x", False),
        ("access=public", True),
        ("access=custom", False),
    ],
)
def test_analyses_are_found_by_words_subfield_and_access(website: Website, query: str, found: bool) -> None:
    assert ("/analyses/mean" in text(website.client("ada").get(f"/analyses?{query}"))) is found


def test_a_search_as_one_types_is_answered_with_the_list_alone(website: Website) -> None:
    answer = text(website.client("ada").get("/analyses?q=mean", headers={"HX-Request": "true"}))
    assert "<html" not in answer
    assert "/analyses/mean" in answer


def test_a_custom_analysis_is_marked(website: Website) -> None:
    close_to(website, "lab")
    assert ">custom<" in text(website.client("ada").get("/analyses?access=custom"))


def test_a_faulty_blueprint_spares_the_list(website: Website) -> None:
    (folder(website) / "blueprint.json").write_text("{")
    assert website.client("ada").get("/analyses").status_code == 200


def test_an_analysis_shows_parameters_inputs_and_all_its_files(website: Website) -> None:
    page = text(website.client("ada").get("/analyses/mean"))
    for told in ("How many.", "Matrix", ".npy, .csv, .mp4", "print(1)", "blueprint.json", "requirements.lock"):
        assert told in page


def test_scripts_of_workflows_are_shown_not_run(website: Website) -> None:
    change(website, "print('<script>alert(1)</script>')\n")
    page = text(website.client("ada").get("/analyses/mean"))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_what_changed_between_versions_is_shown_line_by_line(website: Website) -> None:
    change(website, "print(2)\n")
    page = text(website.client("ada").get("/analyses/mean/changes"))
    assert "print(1)" in page
    assert "print(2)" in page
    assert "Compute it better" in page
    assert "What changed can change results" in page


def test_an_earlier_version_is_shown_as_it_was(website: Website) -> None:
    first = website.site.analyses.resolve("mean").version
    change(website, "print(2)\n")
    page = text(website.client("ada").get(f"/analyses/mean?version={first.digest}"))
    assert "print(1)" in page
    assert "print(2)" not in page
    assert "This is an earlier version" in page


def test_a_version_that_is_none_is_told(website: Website) -> None:
    client = website.client("ada")
    assert client.get("/analyses/mean?version=abcdef012345").status_code == 404
    assert client.get("/analyses/mean?version=..%2F..").status_code == 422
    assert client.get("/analyses/mean/changes?before=zzz").status_code == 404
    assert client.get("/analyses/none").status_code == 404


def test_usual_time_and_cost_are_told_from_what_ran_here(website: Website) -> None:
    from neurocaas.server.jobs.models import Attempt

    client = website.client("ada")
    assert "It has not run here yet" in text(client.get("/analyses/mean"))
    for number in range(4):
        website.finish(website.job(name=f"m{number}", fresh=True), {"mean.npy": b"x"})
    Attempt.objects.update(provider=website.site.providers.name)
    assert "80 % of runs take" in text(client.get("/analyses/mean"))


def test_the_number_of_queries_does_not_depend_on_how_much_there_is(website: Website) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = website.client("ada")

    def queries(path: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert client.get(path).status_code == 200
        return len(captured)

    paths = ("/", "/analyses", "/analyses/mean", "/analyses/mean/new")
    website.finish(website.job(name="first"), {"mean.npy": b"x"})
    for path in paths:
        client.get(path)
    few = {path: queries(path) for path in paths}
    for number in range(5):
        website.finish(website.job(name=f"more{number}"), {"mean.npy": b"x"})
    assert {path: queries(path) for path in paths} == few
    assert max(few.values()) < 25


def test_sample_files_are_downloaded_and_staged_for_a_first_job(website: Website) -> None:
    from neurocaas.server.catalogue.samples import samples
    from neurocaas.server.uploads.models import Item

    place = folder(website)
    (place / "small.csv").write_text("1,2\n")
    document = json.loads((place / "blueprint.json").read_text()) | {"sample": {"files": ["small.csv"]}}
    (place / "blueprint.json").write_text(json.dumps(document))
    website.site.repo.commit("Add sample data")
    client, resolved = website.client("ada"), website.site.analyses.resolve("mean")
    first = client.get("/analyses/mean/sample")
    assert first.status_code == 200
    for making in list(samples._making.values()):
        making.made.result(30)
    assert samples.get(website.site, resolved)
    assert "small.csv" in text(client.get("/analyses/mean/sample"))
    assert b"".join(client.get("/analyses/mean/sample/small.csv").streaming_content) == b"1,2\n"
    assert client.get("/analyses/mean/sample/blueprint.json").status_code == 404
    tried = client.post("/analyses/mean/sample")
    assert tried.status_code == 302
    assert tried["Location"] == f"/analyses/mean/new?data={Item.objects.get(name='small.csv').id}"
    assert "small.csv" in text(client.get(tried["Location"]))


def test_an_analysis_without_sample_data_says_so(website: Website) -> None:
    from neurocaas.server.catalogue.samples import samples

    client = website.client("ada")
    client.get("/analyses/mean/sample")
    for making in list(samples._making.values()):
        making.made.exception(30)
    answer = client.get("/analyses/mean/sample")
    assert answer.status_code == 422
    assert "has no sample data" in text(answer)
