"""An analysis version runs the same for ever: after edits, after rewritten history, on another site."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.sites import TestSite, make_site

VERSION = "echo {} > $NEUROCAAS_RESULTS/version.txt"
OUTPUTS = {"version": {"kind": "txt", "pattern": "version.txt"}}


def _run(site: TestSite, spec: str, expect: int = 0) -> tuple[str, str]:
    """What the workflow wrote, and the label that the certificate carries."""
    out = site.folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    job = site("run", spec, site.data()[0], "--out", out, "--json", expect=expect).json
    assert job["analysis"] in (out / "certificate.txt").read_text()
    return (out / "d000" / "version.txt").read_text().strip(), job["analysis"]


def test_an_old_version_runs_as_it_was_after_edits_and_a_rewritten_history(local_site: TestSite) -> None:
    local_site.analysis("say", VERSION.format("first"), outputs=OUTPUTS)
    wrote, first = _run(local_site, "say")
    assert wrote == "first"
    local_site.analysis("say", VERSION.format("second"), outputs=OUTPUTS)
    assert _run(local_site, "say")[0] == "second"
    shutil.rmtree(local_site.root / ".git")
    local_site.git("init", "--quiet")
    local_site.git("add", "--all")
    local_site.git("commit", "--quiet", "--message", "History begins anew")
    assert _run(local_site, first) == ("first", first)


def test_a_version_that_was_committed_but_never_run_is_found_in_the_history(local_site: TestSite) -> None:
    local_site.analysis("say", VERSION.format("first"), outputs=OUTPUTS)
    digest = local_site("analysis", "show", "say", "--json").json["version"]
    shutil.rmtree(local_site.root / ".neurocaas" / "store" / "versions")
    local_site.analysis("say", VERSION.format("second"), outputs=OUTPUTS)
    assert _run(local_site, f"say@{digest[:8]}") == ("first", f"say@{digest[:12]}")


def test_a_tree_that_is_not_committed_runs_as_dev_and_the_certificate_says_so(local_site: TestSite) -> None:
    local_site.analysis("say", VERSION.format("first"), outputs=OUTPUTS)
    local_site.analysis("say", VERSION.format("draft"), commit=False, outputs=OUTPUTS)
    assert _run(local_site, "say") == ("draft", "say@dev")
    assert "not committed" in (local_site.folder / "out" / "certificate.txt").read_text()


def test_an_ambiguous_version_is_refused(local_site: TestSite) -> None:
    local_site.analysis("say", VERSION.format("first"), outputs=OUTPUTS)
    digest = local_site("analysis", "show", "say", "--json").json["version"]
    records = local_site.root / ".neurocaas" / "store" / "versions" / "say"
    twin = digest[:20] + ("0" if digest[20] != "0" else "1") + digest[21:]
    shutil.copy(records / f"{digest}.json", records / f"{twin}.json")
    answer = local_site("run", f"say@{digest[:8]}", local_site.data()[0], expect=3)
    assert "fits 2 versions" in answer.err


@pytest.fixture
def another_site(shared_environments: Path, tmp_path: Path) -> Iterator[Callable[[], TestSite]]:
    """Make a second site, with an environment store of its own."""
    made: list[TestSite] = []

    def make() -> TestSite:
        folder = tmp_path / "other"
        folder.mkdir()
        (tmp_path / "environments").mkdir()
        made.append(make_site(folder, tmp_path / "environments"))
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_an_exported_version_runs_on_another_site_to_the_same_digests(
    local_site: TestSite, another_site: Callable[[], TestSite]
) -> None:
    local_site.analysis("say", VERSION.format("first"), outputs=OUTPUTS)
    _run(local_site, "say")
    here = local_site("jobs", "--json").json[0]["job"]
    file = local_site.folder / "say.neurocaas"
    exported = local_site("analysis", "export", "say", "--to", file, "--json").json
    other = another_site()
    refused = other("analysis", "import", file, expect=5)
    assert exported["seal"]["key_id"] in refused.err
    other("keys", "trust", file)
    imported = other("analysis", "import", file, "--json").json
    assert imported["analysis"]["version"] == exported["analysis"]["version"]
    out = other.folder / "out"
    job = other("run", f"say@{exported['analysis']['version'][:12]}", other.data()[0], "--out", out, "--json").json
    before = local_site("show", here, "--json").json
    assert (job["version"], job["steps"]) == (before["version"], before["steps"])
    assert (out / "d000" / "version.txt").read_text() == "first\n"


def test_a_damaged_or_altered_export_is_refused(local_site: TestSite, another_site: Callable[[], TestSite]) -> None:
    local_site.analysis("say", VERSION.format("first"), outputs=OUTPUTS)
    file = local_site.folder / "say.neurocaas"
    local_site("analysis", "export", "say", "--to", file)
    other = another_site()
    other("keys", "trust", file)
    data = file.read_bytes()
    file.write_bytes(data.replace(b"echo first", b"echo other"))
    assert "altered" in other("analysis", "import", file, expect=4).err
    file.write_bytes(data[: len(data) // 2])
    assert str(file) in other("analysis", "import", file, expect=2).err


def test_a_faulty_blueprint_is_found_by_site_check(local_site: TestSite) -> None:
    local_site.analysis("say", VERSION.format("first"), outputs=OUTPUTS)
    assert "is right" in local_site("site", "check").out
    local_site.analysis("bad", "true", commit=False, hardware={"vcpu": 2})
    answer = local_site("site", "check", expect=2)
    assert 'bad/blueprint.json: hardware.vcpu: this key is not known. Did you mean "vcpus"?' in answer.err


def test_a_composite_brings_its_parts_and_its_results_can_be_had_again_elsewhere(
    local_site: TestSite, another_site: Callable[[], TestSite]
) -> None:
    local_site.analysis("say", VERSION.format("first"), outputs=OUTPUTS)
    local_site.analysis("again", 'cat "$NEUROCAAS_INPUT_DATA" > "$NEUROCAAS_RESULTS/again.txt"')
    steps = [{"name": "say", "analysis": "say"}, {"name": "again", "analysis": "again"}]
    local_site.composite("both", kind="chain", steps=steps)
    data, out, file = local_site.data(2), local_site.folder / "out", local_site.folder / "both.neurocaas"
    local_site("run", "both", *data, "--out", out)
    local_site("analysis", "export", "both", "--to", file)
    other = another_site()
    asked = other("reproduce", out / "certificate.json", expect=3).err
    assert "neurocaas analysis import FILE" in asked
    other("keys", "trust", file)
    other("analysis", "import", file)
    found = other("reproduce", out / "certificate.json", "--data", data[0].parent, "--json").json
    assert found["verdict"] == "equal"
    assert {one["path"] for one in found["files"]} >= {"d000/say/version.txt", "d001/again/again.txt"}
