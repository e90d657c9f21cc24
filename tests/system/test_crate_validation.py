"""Crates before the public validator of RO-Crates, without a network."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from neurocaas.certificate.crate import write_crate
from support import crate_contexts
from support.composites import declare_chain, declare_ensemble
from support.crates import Exported, job_without_stacks, one_step_job, two_step_job
from support.sites import TestSite

PYTHON = Path(__file__).parents[2] / ".tools" / "crate" / "bin" / "python"
EVERY = ("ro-crate-1.1", "workflow-ro-crate-1.0", "process-run-crate-0.5", "workflow-run-crate-0.5")
PROVENANCE = "provenance-run-crate-0.5"
# What the profiles recommend and nobody has told NeuroCAAS, or what is so on purpose.
LEFT = {
    "FormalParameter SHOULD be referenced from a data entity or PropertyValue via exampleOfWork",  # data stays out
    "The Action SHOULD have a result",  # a stack that failed
    "The Action SHOULD have an endTime in ISO 8601 format",  # a stack that did not run, but came from earlier
    "The Application SHOULD have a url",
    "The SoftwareApplication id SHOULD be an absolute URI",
    "The organization SHOULD have a URL.",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The validator's HTTP cache, in which all is that it may read."""
    if not PYTHON.exists():
        pytest.fail("roc-validator is missing: make .tools/crate/.installed")
    cache = tmp_path_factory.mktemp("http") / "cache"
    subprocess.run([PYTHON, crate_contexts.__file__, cache], check=True)
    return cache


def validate(cache: Path, crate: Path, *profiles: str, severity: str = "required") -> tuple[int, list[str], str]:
    """The exit status of rocrate-validator, the profiles it found the crate to meet, and what it said."""
    command = [PYTHON.with_name("rocrate-validator"), "validate", "--offline", "--cache-path", cache, "--no-paging"]
    chosen = [word for profile in profiles for word in ("--profile-identifier", profile)]
    done = subprocess.run(
        [*command, "--requirement-severity", severity, "--verbose", *chosen, crate],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    said = done.stdout + done.stderr
    return done.returncode, re.findall(r"RO-Crate is a valid (\S+)", said), said


def findings(cache: Path, crate: Path, profile: str, report: Path) -> set[tuple[str, str]]:
    """Severity and sentence of each thing that could be better."""
    command = [PYTHON.with_name("rocrate-validator"), "validate", "--offline", "--cache-path", cache, "--no-paging"]
    asked = ["-p", profile, "-l", "recommended", "-f", "json", "-o", report, crate]
    subprocess.run([*command, *asked], capture_output=True, check=False, timeout=300)
    return {(one["severity"], one["message"]) for one in json.loads(report.read_text())["issues"]}


def write(job: Exported, to: Path) -> Path:
    return write_crate(job.certificate, job.results, to, workflows=job.workflows)


@pytest.mark.parametrize("name", ["crate", "crate.zip"])
@pytest.mark.parametrize(
    ("make", "profiles"),
    [
        (two_step_job, (*EVERY, PROVENANCE)),
        (one_step_job, (*EVERY, PROVENANCE)),
        (job_without_stacks, EVERY),
    ],
)
def test_a_crate_meets_every_profile_it_claims(
    make: Callable[[Path], Exported], profiles: tuple[str, ...], name: str, cache: Path, tmp_path: Path
) -> None:
    status, met, said = validate(cache, write(make(tmp_path), tmp_path / name), *profiles)
    assert (status, met) == (0, list(profiles)), said


def test_of_what_is_recommended_only_this_is_left(cache: Path, tmp_path: Path) -> None:
    crate = write(two_step_job(tmp_path), tmp_path / "crate")
    found = findings(cache, crate, PROVENANCE, tmp_path / "report.json")
    for severity, sentence in sorted(found):
        print(f"{severity}: {sentence}")
    assert {severity for severity, _ in found} == {"RECOMMENDED"}
    assert {sentence for _, sentence in found} <= LEFT


def _without(entity: str, name: str) -> Callable[[dict[str, Any]], object]:
    return lambda found: found[entity].pop(name)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_without("#stack/0", "instrument"), "The Action MUST have an instrument"),
        (_without("#step/smooth", "workExample"), "must refer to its corresponding tool via workExample"),
        (_without("./", "mainEntity"), "mainEntity"),
        (lambda found: found["#job"].update(unheardOf="of"), "unheardOf"),
    ],
)
def test_the_validator_finds_what_is_spoilt(
    spoil: Callable[[dict[str, Any]], object], sentence: str, cache: Path, tmp_path: Path
) -> None:
    crate = write(two_step_job(tmp_path), tmp_path / "crate")
    document = json.loads((crate / "ro-crate-metadata.json").read_text())
    spoil({one["@id"]: one for one in document["@graph"]})
    (crate / "ro-crate-metadata.json").write_text(json.dumps(document))
    status, met, said = validate(cache, crate, PROVENANCE)
    assert (status, met) == (1, [])
    assert sentence in " ".join(said.replace("│", " ").split())


@pytest.mark.parametrize("path", ["fly #2 100%-reduce/courses.npy", "größe?-reduce/courses.npy"])
def test_the_validator_finds_files_by_their_encoded_names(path: str, cache: Path, tmp_path: Path) -> None:
    crate = write(two_step_job(tmp_path), tmp_path / "crate")
    (crate / "results" / path).unlink()
    found = findings(cache, crate, EVERY[0], tmp_path / "report.json")
    assert any(severity == "REQUIRED" and quote(path) in sentence for severity, sentence in found)


def test_the_validator_has_no_network(tmp_path: Path, cache: Path) -> None:
    crate = write(one_step_job(tmp_path), tmp_path / "crate")
    status, met, _ = validate(tmp_path / "empty", crate, EVERY[0])
    assert status != 0
    assert not met


def test_a_real_swept_chain_and_a_real_ensemble_meet_every_profile(local_site: TestSite, cache: Path) -> None:
    declare_chain(local_site)
    declare_ensemble(local_site, modulus=4)
    data = local_site.data(2)
    for asked in (("both", *data, "--sweep", "count.size=1,2"), ("ensemble", data[0])):
        job = local_site("run", *asked, "--out", local_site.folder / asked[0], "--json").json["job"]
        crate = local_site.folder / f"{asked[0]}-crate"
        local_site("export", job, "--crate", "--to", crate)
        status, met, said = validate(cache, crate, *EVERY, PROVENANCE)
        assert (status, met) == (0, [*EVERY, PROVENANCE]), said
