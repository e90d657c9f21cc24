"""Pages that analyses bring: the preview of a set-up page, and the files that a page may be handed."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from support.website import Website

NEW = "/analyses/both/new"
LEAF: dict[str, Any] = {
    "title": "A part",
    "summary": "A part.",
    "environment": {"kind": "python", "python": "3.11", "lock": "requirements.lock"},
    "workflow": {"command": ["python", "/workflow/workflow.py"], "files": ["workflow.py"]},
    "inputs": {"matrix": {"title": "Matrix", "kinds": [".npy"], "max_gib": "0.001"}},
    "outputs": {"result": {"kind": "npy", "pattern": "result.npy"}},
}
SIZE = {"size": {"type": "integer", "default": 3, "minimum": 1, "description": "How large."}}
PLACES = {"places": {"type": "array", "items": {"type": "number"}, "default": [], "description": "Where."}}
SETUP = {"file": "page.html", "preview": "look"}


@pytest.fixture
def analysis(tmp_path: Path) -> Path:
    """`both`, a chain of `look` and `mean`, with both pages."""
    from neurocaas.blueprint import read_version
    from neurocaas.blueprint.pinning import pin

    bundled = tmp_path / "bundled"

    def declare(name: str, document: dict[str, Any]) -> Path:
        folder = bundled / name
        folder.mkdir(parents=True)
        (folder / "requirements.lock").write_text("")
        (folder / "workflow.py").write_text(f"print('{name}')\n")
        (folder / "page.html").write_text(f"<!doctype html><title>{name}</title>")
        (folder / "blueprint.json").write_text(json.dumps({"name": name} | document))
        return folder

    def schema(properties: dict[str, Any]) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": False, "properties": properties}

    declare("look", LEAF | {"parameters": schema(SIZE)})
    own = {"parameters": schema(PLACES | SIZE)}
    declare("mean", LEAF | own | {"pages": {"results": {"file": "page.html"}}})
    parts = [{"name": "look", "analysis": "look"}, {"name": "mean", "analysis": "mean"}]
    document = {key: LEAF[key] for key in ("title", "summary", "inputs")}
    document |= {"protocol": {"kind": "chain", "steps": parts}}
    folder = declare("both", document | {"pages": {"setup": SETUP, "results": {"file": "page.html"}}})
    pin(folder, lambda name: read_version(bundled / name).digest)
    return folder


def form(website: Website, item: Any = None, **more: Any) -> dict[str, Any]:
    item = item or website.item("lab", "ada")
    fields = {"data": [str(item.id)], "p.look.size": "3", "p.mean.size": "3", "p.mean.places": "[1.5]", "seed": "0"}
    return fields | {"key": str(uuid4()), "setup_key": str(uuid4()), **more}


def shown(website: Website, sent: dict[str, Any], user: str = "ada") -> str:
    answer = website.client(user).post(f"{NEW}/setup", sent)
    assert answer.status_code == 200
    return str(answer.content.decode())


def jobs() -> Any:
    from neurocaas.server.jobs.models import Job

    return Job.objects.order_by("submitted_at")


def told_first(markup: str) -> dict[str, Any]:
    found = re.search(r'data-start="([^"]*)"', markup)
    assert found, markup
    told: dict[str, Any] = json.loads(html.unescape(found[1]))
    return told


def listed(website: Website, address: str, user: str = "ada") -> dict[str, str]:
    """The addresses of the files by their paths."""
    answer = website.client(user).get(html.unescape(address))
    assert answer.status_code == 200
    return {one["path"]: one["url"] for one in answer.json()["files"]}


def test_the_form_has_a_place_for_the_page(website: Website) -> None:
    assert 'id="setup"' in website.client("ada").get(NEW).content.decode()
    assert 'id="setup"' not in website.client("ada").get("/analyses/mean/new").content.decode()
    assert website.client("ada").post("/analyses/mean/new/setup", form(website)).status_code == 404


def test_without_data_there_is_nothing_to_see_and_nothing_is_made(website: Website) -> None:
    assert "Choose a dataset" in shown(website, form(website, data=[], make="yes"))
    assert not jobs().exists()


def test_a_preview_is_offered_with_its_price_then_made_then_shown(website: Website) -> None:
    sent = form(website, **{"p.look.size": "5"})
    offered = shown(website, sent)
    assert "It costs nothing" in offered
    assert not jobs().exists()
    running = shown(website, sent | {"make": "yes"})
    job = jobs().get()
    assert (job.analysis, job.config, job.seed, job.user) == ("look", {"size": 5}, 0, "ada")
    assert f"/jobs/{job.id}/events" in running
    assert website.wakes == ["wake"]
    website.finish(job, {"result.npy": b"what is seen"})
    ready = shown(website, sent)
    told = told_first(ready)
    assert (told["page"], told["runs"], told["dataset"]) == ("setup", [], "movie.npy")
    assert told["config"] == {"look.size": 5, "mean.places": [1.5], "mean.size": 3}
    address = re.search(r'data-files="([^"]*)"', ready)
    assert address
    files = listed(website, address[1])
    assert list(files) == ["result.npy"]
    assert b"".join(website.client("ada").get(files["result.npy"])) == b"what is seen"  # type: ignore[call-overload]


def test_what_is_shown_already_is_not_drawn_again(website: Website) -> None:
    """A page would lose what is on it."""
    sent = form(website)
    token = re.search(r'name="setup_shown" value="([^"]*)"', shown(website, sent))
    assert token
    sent |= {"setup_shown": token[1]}
    answer = website.client("ada").post(f"{NEW}/setup", sent | {"p.mean.places": "[2]"})
    assert answer.status_code == 204
    assert "is being made" in shown(website, sent | {"make": "yes"})


def test_pressing_the_button_twice_makes_one_job(website: Website) -> None:
    sent = form(website) | {"make": "yes"}
    shown(website, sent)
    shown(website, sent)
    shown(website, sent | {"setup_key": str(uuid4())})  # it runs already, so nobody makes it anew
    assert jobs().count() == 1


def test_previews_are_made_so_many_times_a_minute(website: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    from neurocaas.server.api.throttles import SUBMITTING

    monkeypatch.setattr(SUBMITTING, "most", 0)
    sent = form(website)
    assert "costs" in shown(website, sent)
    assert website.client("ada").post(f"{NEW}/setup", sent | {"make": "yes"}).status_code == 429


def test_the_job_that_is_submitted_takes_the_previews_results_over(website: Website) -> None:
    sent = form(website)
    shown(website, sent | {"make": "yes"})
    website.finish(jobs().get(), {"result.npy": b"\x93NUMPY"})
    assert website.client("ada").post(NEW, sent | {"action": "submit"}).status_code == 302
    first, second = jobs().last().stacks.order_by("index")
    assert (first.status, first.reused_from.job_id) == ("succeeded", jobs().first().id)
    assert second.status == "waiting"


def test_a_fault_of_what_the_preview_needs_is_told_and_no_other(website: Website) -> None:
    sent = form(website)
    assert "config: look.size: found 0" in shown(website, sent | {"p.look.size": "0"})
    assert "prepared first" in shown(website, sent | {"p.mean.size": "0", "p.mean.places": "none", "minutes": "never"})


def test_a_preview_that_failed_says_so_and_can_be_made_again(website: Website) -> None:
    sent = form(website)
    shown(website, sent | {"make": "yes"})
    website.finish(jobs().get())
    assert "Try again" in shown(website, sent)
    shown(website, sent | {"make": "yes", "setup_key": str(uuid4())})
    assert jobs().count() == 2
    website.finish(jobs().last(), {"result.npy": b"x"})
    assert "data-framed" in shown(website, sent)


def test_anothers_private_preview_is_not_shown_but_saves_the_computing(website: Website) -> None:
    sent = form(website, private="on")
    shown(website, sent | {"make": "yes"}, "ada")
    private = website.finish(jobs().get(), {"result.npy": b"x"})
    assert "answered from earlier results and costs nothing" in shown(website, sent, "bob")
    ready = shown(website, sent | {"make": "yes"}, "bob")
    assert private.id not in ready
    assert "data-framed" in ready


def test_an_offer_is_drawn_again_when_its_price_has_changed(website: Website) -> None:
    sent = form(website, private="on")
    shown(website, sent | {"make": "yes"}, "ada")
    website.finish(jobs().get(), {"result.npy": b"x"})
    free = shown(website, sent, "bob")
    assert "answered from earlier results" in free
    token = re.search(r'name="setup_shown" value="([^"]*)"', free)
    assert token
    assert "answered from earlier" not in shown(website, sent | {"setup_shown": token[1], "p.look.size": "4"}, "bob")


def test_a_preview_that_a_longer_job_makes_is_seen_when_its_stack_has_ended(website: Website) -> None:
    from neurocaas.server.jobs.models import Job, Stack

    sent = form(website)
    website.client("ada").post(NEW, sent | {"action": "submit"})
    waiting = shown(website, sent)
    assert "is being made" in waiting
    assert "sse:landed" in waiting  # the job's end is hours away
    job = website.finish(jobs().get(), {"result.npy": b"x"})
    Job.objects.filter(pk=job.pk).update(status="running", ended_at=None)
    Stack.objects.filter(job=job, index=1).update(status="running", ended_at=None)
    assert "data-framed" in shown(website, sent)


def test_data_of_another_group_is_not_to_be_looked_at(website: Website) -> None:
    theirs = website.item("other", "carol")
    assert "there is no staged data" in shown(website, form(website, theirs, make="yes"))
    assert not jobs().exists()


def test_of_several_datasets_one_is_looked_at(website: Website) -> None:
    one, other = (website.item("lab", "ada", f"{name}.npy", b"\x93NUMPY" + name.encode()) for name in ("one", "other"))
    sent = form(website, data=[str(one.id), str(other.id)], preview_of=str(other.id))
    assert f'value="{other.id}" selected' in shown(website, sent)
    assert f'value="{one.id}" selected' in shown(website, sent | {"preview_of": "nonsense"})
    assert f'value="{other.id}" selected' in shown(website, sent | {"p.look.size": "0"})  # another may still be chosen


@pytest.mark.parametrize("address", ["/analyses/both/setup-page", "/jobs/{job}/explore/page"])
def test_a_page_is_served_as_nobodys_document(website: Website, address: str) -> None:
    job = website.job(analysis="both", config={"mean.places": [1]})
    answer = website.client("ada").get(address.format(job=job.id))
    assert answer.content == b"<!doctype html><title>both</title>"
    policy = answer["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline';")
    assert "frame-ancestors 'self'" in policy
    assert "allow-same-origin" not in policy
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    assert answer["Content-Type"] == "text/html; charset=utf-8"


def test_a_job_shows_the_page_of_the_version_that_it_ran(website: Website) -> None:
    job = website.job(analysis="both", config={"mean.places": [1]})
    page = website.site.repo.folder("both") / "page.html"
    page.write_text("<!doctype html><title>Newer</title>")
    assert b"Newer" not in website.client("ada").get(f"/jobs/{job.id}/explore/page").content
    assert b"Newer" in website.client("ada").get("/analyses/both/setup-page").content


def test_a_job_without_a_page_has_nothing_to_explore(website: Website) -> None:
    job = website.finish(website.job(analysis="look"), {"result.npy": b"x"})
    client = website.client("ada")
    assert "Explore" not in client.get(f"/jobs/{job.id}").content.decode()
    assert client.get(f"/jobs/{job.id}/explore").status_code == 404
    assert client.get(f"/jobs/{job.id}/explore/page").status_code == 404


def test_files_of_a_composite_are_named_by_their_steps(website: Website) -> None:
    job = website.finish(
        website.job(analysis="both", config={"mean.places": [1]}), {"result.npy": b"x", "in/a.txt": b"y"}
    )
    explored = website.client("ada").get(f"/jobs/{job.id}/explore").content.decode()
    told = told_first(explored)
    assert told["config"] == {"look.size": 3, "mean.places": [1], "mean.size": 3}
    files = listed(website, f"/jobs/{job.id}/explore/files")
    assert set(files) == {"look/result.npy", "look/in/a.txt", "mean/result.npy", "mean/in/a.txt"}
    for address in files.values():
        assert website.client("ada").get(address).status_code == 200
        assert website.client("carol").get(address).status_code == 404


def test_the_points_of_a_sweep_are_runs_that_share_what_they_share(website: Website) -> None:
    job = website.job(analysis="both", config={"mean.places": [1]}, points=[{"mean.size": 1}, {"mean.size": 2}])
    website.finish(job, {"result.npy": b"x"})
    explored = website.client("ada").get(f"/jobs/{job.id}/explore").content.decode()
    assert re.findall(r'<option value="\d+"[^>]*>([^<]*)', explored) == ["size=1", "size=2"]
    told = told_first(explored)
    assert all(isinstance(one["id"], str) for one in told["runs"])  # a list to choose from hands back nothing else
    assert [(one["label"], one["point"], one["config"]["mean.size"]) for one in told["runs"]] == [
        ("mean.size=1", {"mean.size": 1}, 1),
        ("mean.size=2", {"mean.size": 2}, 2),
    ]
    first, second = (listed(website, f"/jobs/{job.id}/explore/files?run={one['id']}") for one in told["runs"])
    assert set(first) == set(second) == {"look/result.npy", "mean/result.npy"}
    assert first["look/result.npy"] == second["look/result.npy"]
    assert first["mean/result.npy"] != second["mean/result.npy"]
    other = told_first(
        website.client("ada").get(f"/jobs/{job.id}/explore?run={told['runs'][1]['id']}").content.decode()
    )
    assert (other["run"], other["config"]["mean.size"]) == (told["runs"][1]["id"], 2)
    for number in (0, 77):  # a stack that another waits for is no run of its own
        assert website.client("ada").get(f"/jobs/{job.id}/explore/files?run={number}").status_code == 404


def test_a_job_of_one_step_has_its_files_by_their_own_names(website: Website) -> None:
    job = website.job(analysis="mean", config={"places": []}, points=[{"size": 1}, {"size": 2}])
    website.finish(job, {"result.npy": b"x"})
    assert set(listed(website, f"/jobs/{job.id}/explore/files?run=1")) == {"result.npy"}


def test_a_page_hears_the_values_that_the_form_shows(website: Website) -> None:
    """What can't be read yet shows its default."""
    sent = form(website, **{"p.mean.places": "[1, 2", "p.look.size": "7"})
    said = website.client("ada").post(f"{NEW}/config", sent).json()
    assert said["config"] == {"look.size": 7, "mean.places": [], "mean.size": 3}
