"""A job as a Workflow Run RO-Crate: what is in it, how it is described, where it may be written."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocaas.certificate import SigningKey, TrustedKeys, verify
from neurocaas.certificate.crate import write_crate
from neurocaas.certificate.crate_files import CrateFile
from neurocaas.errors import NotFound, Refused
from support.crates import Exported, job_without_stacks, one_step_job, two_step_job

METADATA = "ro-crate-metadata.json"
Entities = dict[str, dict[str, Any]]


@pytest.fixture
def job(tmp_path: Path) -> Exported:
    (tmp_path / "job").mkdir()
    return two_step_job(tmp_path / "job")


@pytest.fixture
def crate(job: Exported, tmp_path: Path) -> Path:
    return write(job, tmp_path / "crate")


def write(job: Exported, to: Path) -> Path:
    return write_crate(job.certificate, job.results, to, workflows=job.workflows)


def entities(crate: Path) -> Entities:
    graph = json.loads((crate / METADATA).read_text())["@graph"]
    found = {one["@id"]: one for one in graph}
    assert len(found) == len(graph), "an entity is described twice"
    return found


def ids(references: Any) -> list[str]:
    references = references if isinstance(references, list) else [references]
    return [one["@id"] for one in references]


def below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.keys() == {"@id"}:
            yield value["@id"]
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def test_every_file_is_described_once_under_a_percent_encoded_identifier(crate: Path) -> None:
    found = entities(crate)
    parts = ids(found["./"]["hasPart"])
    assert sorted(map(unquote, parts)) == [path for path in below(crate) if path != METADATA]
    assert "results/fly%20%232%20100%25-reduce/courses.npy" in parts
    assert "results/gr%C3%B6%C3%9Fe%3F-smooth/smooth%26%3Cb%3E.csv" in parts
    for part in parts:
        types = found[part]["@type"]
        assert "File" in (types if isinstance(types, list) else [types])
        assert found[part]["contentSize"] == str((crate / unquote(part)).stat().st_size)
        assert found[part]["sha256"]
        assert found[part]["encodingFormat"]


@given(st.lists(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_any_file_name_becomes_a_path_that_a_uri_gives_back(parts: list[str]) -> None:
    path = "results/" + "/".join(parts)
    split = urlsplit(CrateFile(path=path, source=b"", sha256="", size_bytes=0).id)
    assert split.path.isascii()
    assert (split.scheme, split.netloc, split.query, split.fragment) == ("", "", "", "")
    assert unquote(split.path) == path


@pytest.mark.parametrize("make", [two_step_job, one_step_job, job_without_stacks])
def test_nothing_refers_to_what_is_not_described(make: Callable[[Path], Exported], tmp_path: Path) -> None:
    found = entities(write(make(tmp_path), tmp_path / "crate"))
    elsewhere = ("https://", "http://")
    missing = {one for one in references(list(found.values())) if one not in found and not one.startswith(elsewhere)}
    assert not missing


def test_a_step_that_never_got_a_stack_leaves_nothing_dangling(tmp_path: Path) -> None:
    first = two_step_job(tmp_path)
    stacks = [one for one in first.certificate["stacks"] if one["step"] == "reduce"]
    crate = write(Exported(first.certificate | {"stacks": stacks}, first.results, first.workflows), tmp_path / "crate")
    found = entities(crate)
    assert set(references(found["./"]["hasPart"])) <= found.keys()
    assert "#step/smooth" not in found


def test_what_one_stack_wrote_is_what_the_next_one_read(crate: Path) -> None:
    found = entities(crate)
    courses = "results/mouse%201-reduce/courses.npy"
    assert courses in ids(found["#stack/0"]["result"])
    assert courses in ids(found["#stack/3"]["object"])
    connected = {
        (ids(one["sourceParameter"])[0].partition("/")[2], ids(one["targetParameter"])[0].partition("/")[2])
        for one in found.values()
        if one["@type"] == "ParameterConnection"
    }
    assert connected == {("input/movie", "input/movie"), ("output/courses", "input/courses")}
    assert ids(found["#step/smooth"]["connection"])


def test_the_job_is_a_run_of_its_blueprint_by_its_user_on_its_data_and_settings(crate: Path, job: Exported) -> None:
    found = entities(crate)
    run, workflow = found["#job"], found[ids(found["./"]["mainEntity"])[0]]
    assert ids(run["instrument"]) == [workflow["@id"]]
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow"} <= set(workflow["@type"])
    assert found[ids(run["agent"])[0]]["name"] == "ada"
    assert (run["startTime"], run["endTime"]) == ("2026-11-02T09:15:01.250+00:00", "2026-11-02T09:16:02.000+00:00")
    given = [found[one] for one in ids(run["object"])]
    assert [one["name"] for one in given if one["@type"] == "CreativeWork"] == [
        "mouse 1.tif",
        "fly #2 100%.tif",
        "größe?.tif",
    ]
    values = [(one["name"], one["value"]) for one in given if one["@type"] == "PropertyValue"]
    assert values == [("size", 3), ("window", "null"), ("reduce", '{"size":3}'), ("seed", 7), ("size", 4)]
    assert all(ids(one["exampleOfWork"])[0] in found for one in given)
    assert "results/sweep/table.csv" in ids(run["result"])
    assert ids(run["wasInformedBy"]) == ["#earlier/20261101-aaaa"]


def test_submitted_data_is_named_by_its_digest_and_stays_out(crate: Path, job: Exported) -> None:
    found = entities(crate)
    submitted = job.certificate["datasets"][0]["inputs"][0]
    one = next(one for one in found.values() if one.get("sha256") == submitted["sha256"])
    assert one["@id"].startswith("ni:///sha-256;")
    assert (one["name"], one["contentSize"]) == ("mouse 1.tif", "1234567")
    assert one["@id"] not in ids(found["./"]["hasPart"])
    assert not [path for path in below(crate) if path.endswith(".tif")]


def test_a_failure_is_told_and_what_came_from_an_earlier_job_names_it(crate: Path) -> None:
    found = entities(crate)
    failed, reused = found["#stack/4"], found["#stack/2"]
    assert failed["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert failed["error"] == "OUT_OF_MEMORY: It used more than 2048 MiB of memory."
    assert "2 attempts" in failed["description"]
    assert found["#job"]["error"] == "OUT_OF_MEMORY"
    assert found["#stack/0"]["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert "error" not in found["#stack/0"]
    earlier = found[ids(reused["wasInformedBy"])[0]]
    assert earlier["name"] == "Stack 4 of job 20261001-aaaa"
    assert earlier["result"] == reused["result"][0]
    assert "startTime" not in reused


def test_cost_machine_and_environment_are_told(crate: Path) -> None:
    found = entities(crate)
    used = {found[one]["name"]: found[one]["value"] for one in ids(found["#stack/0"]["resourceUsage"])}
    assert used == {
        "cost": "0.01",
        "wall": 60.5,
        "cpu": 58.25,
        "peak memory": 512_000_000,
        "peak storage": 1_000,
    }
    machine = {found[one]["name"]: found[one]["value"] for one in ids(found["#stack/0"]["additionalProperty"])}
    assert machine["host CPU"] == "AMD EPYC"
    tool = found[ids(found["#stack/0"]["instrument"])[0]]
    assert {found[one]["value"] for one in ids(tool["additionalProperty"])} >= {"56" * 32}
    assert ids(tool["softwareRequirements"])[0].endswith("/requirements.lock")
    assert found["#neurocaas"]["softwareVersion"] == "0.1.0"


def test_the_results_in_the_crate_verify_against_the_certificate_in_it(job: Exported, crate: Path) -> None:
    trusted = TrustedKeys(crate.parent / "trusted")
    trusted.add(SigningKey.load(job.results.parent / "site.pem").public_path, "Bench Lab")
    certificate = json.loads((crate / "results" / "certificate.json").read_text())
    assert [one for one in verify(certificate, trusted, crate / "results").alterations if "sweep" not in one] == []


def test_without_a_stack_no_provenance_of_steps_is_claimed(tmp_path: Path) -> None:
    found = entities(write(job_without_stacks(tmp_path), tmp_path / "crate"))
    assert "https://w3id.org/ro/wfrun/provenance/0.5" not in ids(found["./"]["conformsTo"])
    assert "#organization" not in found


def test_a_zip_holds_the_files_of_the_folder_its_description_first(job: Exported, crate: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(write(job, tmp_path / "crate.zip")) as archive:
        names = archive.namelist()
        assert names[0] == METADATA
        assert sorted(names) == below(crate)
        assert all(archive.read(name) == (crate / name).read_bytes() for name in names)


def test_the_same_facts_give_the_same_bytes(job: Exported, crate: Path, tmp_path: Path) -> None:
    again = write(job, tmp_path / "again")
    assert {name: (again / name).read_bytes() for name in below(again)} == {
        name: (crate / name).read_bytes() for name in below(crate)
    }
    assert write(job, tmp_path / "1.zip").read_bytes() == write(job, tmp_path / "2.zip").read_bytes()


def test_an_empty_folder_is_taken(job: Exported, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert METADATA in below(write(job, tmp_path / "empty"))


@pytest.mark.parametrize("name", ["full", "file", "there.zip", "link", "dangling.zip"])
def test_what_is_there_already_is_left_alone(name: str, job: Exported, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "there.zip").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "dangling.zip").symlink_to(tmp_path / "nowhere")
    (tmp_path / "elsewhere").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Refused, match="is there already"):
        write(job, tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["crate", "crate.zip"])
def test_an_altered_result_is_refused_and_nothing_is_left(name: str, job: Exported, tmp_path: Path) -> None:
    (job.results / "mouse 1-reduce" / "courses.npy").write_bytes(b"courses of a mouse!!")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Refused, match=r"courses\.npy: its SHA-256 is"):
        write(job, tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


def test_a_missing_result_is_named(job: Exported, tmp_path: Path) -> None:
    (job.results / "mouse 1-reduce" / "courses.npy").unlink()
    with pytest.raises(NotFound, match=r"mouse 1-reduce/courses\.npy"):
        write(job, tmp_path / "crate")


def test_files_of_another_version_are_refused(job: Exported, tmp_path: Path) -> None:
    folder = next(folder for folder in job.workflows.values() if folder.name == "smooth")
    (folder / "work flow.sh").write_text("echo something else\n")
    with pytest.raises(Refused, match="the files of smooth@"):
        write(job, tmp_path / "crate")
    missing = Exported(job.certificate, job.results, {})
    with pytest.raises(NotFound, match="The files of whole@"):
        write(missing, tmp_path / "crate")


def test_a_certificate_of_another_release_is_refused(job: Exported, tmp_path: Path) -> None:
    older = Exported(job.certificate | {"format": "neurocaas-certificate/1"}, job.results, job.workflows)
    with pytest.raises(Refused, match="neurocaas-certificate/1"):
        write(older, tmp_path / "crate")


def test_a_result_outside_its_folder_is_refused(job: Exported, tmp_path: Path) -> None:
    stack = job.certificate["stacks"][0]
    outside = stack | {"outputs": [stack["outputs"][0] | {"path": "../../site.pem"}]}
    stacks = [outside, *job.certificate["stacks"][1:]]
    with pytest.raises(Refused, match="must name one file"):
        write(Exported(job.certificate | {"stacks": stacks}, job.results, job.workflows), tmp_path / "crate")


def test_a_folder_put_together_from_several_stacks_is_all_that_they_wrote(job: Exported, tmp_path: Path) -> None:
    last = job.certificate["stacks"][5]
    gathered = last["inputs"][0] | {"form": "folder", "sha256": "0" * 64, "from_stacks": [0, 1, 2]}
    stacks = [*job.certificate["stacks"][:5], last | {"inputs": [gathered]}]
    found = entities(write(Exported(job.certificate | {"stacks": stacks}, job.results, job.workflows), tmp_path / "c"))
    wrote = [one for index in range(3) for one in ids(found[f"#stack/{index}"]["result"]) if one.startswith("results/")]
    assert [one for one in ids(found["#stack/5"]["object"]) if not one.startswith("#value/")] == wrote


def test_a_result_is_an_example_of_the_output_that_declares_it(crate: Path) -> None:
    found = entities(crate)
    figure = found["results/mouse%201-reduce/figures/gr%C3%B6%C3%9Fe%20100%25.png"]
    assert ids(figure["exampleOfWork"])[0].endswith("/output/figures")
    assert ids(found["results/sweep/table.csv"]["exampleOfWork"])[0].endswith("/output/table")


def test_numbers_and_truths_stay_what_they_are_among_the_values(job: Exported, tmp_path: Path) -> None:
    config = {"one": 1, "true": True, "float": 1.0, "none": None, "list": [1, "ü"]}
    found = entities(write(Exported(job.certificate | {"config": config}, job.results, job.workflows), tmp_path / "c"))
    values = {found[one]["name"]: found[one] for one in ids(found["#job"]["object"]) if one.startswith("#value/")}
    assert {name: repr(values[name]["value"]) for name in config} == {
        "one": "1",
        "true": "True",
        "float": "1.0",
        "none": "'null'",
        "list": "'[1,\"ü\"]'",
    }
    assert found[ids(values["true"]["exampleOfWork"])[0]]["additionalType"] == "Boolean"
