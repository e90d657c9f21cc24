"""Chains, ensembles, sweeps and protocols of an analysis' own, with real stacks on this machine."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest

from support.composites import COUNT, COUNTED, UPPER, declare_chain, declare_ensemble
from support.s3 import BUCKET
from support.sites import TestSite


@pytest.fixture
def chain(local_site: TestSite) -> TestSite:
    declare_chain(local_site)
    return local_site


def test_a_chain_is_one_job_with_both_steps_results_and_one_certificate(chain: TestSite) -> None:
    data, out = chain.data(3), chain.folder / "out"
    answer = chain("run", "both", *data, "--out", out)
    assert "Quote for both@" in answer.err
    assert "it has not run here before" in answer.err
    assert (out / "d001" / "upper" / "upper.txt").read_text() == "DATASET 1\n"
    assert (out / "d001" / "count" / "head.txt").read_text() == "DAT"
    assert "certificate valid" in chain("verify", out / "certificate.json", out).out

    again = chain("run", "both", *data, "--out", out)
    assert "6 of 6 stacks answered from job" in again.out
    assert "certificate valid" in chain("verify", out / "certificate.json", out).out

    changed = chain("run", "both", *data, "--out", out, "--set", "count.size=5")
    assert "3 of 6 stacks answered from job" in changed.out
    assert "3 not: The parameter size is 5; in job" in changed.out
    assert (out / "d002" / "count" / "head.txt").read_text() == "DATAS"

    fresh = chain("run", "both", data[0], "--out", out, "--fresh", "--json").json
    assert [stack["reused_from"] for stack in fresh["stacks"]] == [None, None]
    assert fresh["stacks"][0]["not_reused"] == "It was asked for a fresh run."


@pytest.mark.alone
def test_what_was_computed_before_is_answered_in_two_seconds(chain: TestSite) -> None:
    data, out = chain.data(3), chain.folder / "out"
    chain("run", "both", *data, "--out", out)
    before = time.monotonic()
    again = chain("run", "both", *data, "--out", out)
    assert time.monotonic() - before < 2
    assert "6 of 6 stacks answered from job" in again.out


def test_a_step_that_fails_spares_the_other_datasets(chain: TestSite) -> None:
    chain.analysis(
        "upper",
        "grep -q 'dataset 0' \"$NEUROCAAS_INPUT_DATA\" && exit 3\n" + UPPER,
        outputs={"upper": {"kind": "txt", "pattern": "upper.txt"}},
    )
    chain("analysis", "pin", "both")
    job = chain("run", "both", *chain.data(2), "--json", expect=1).json
    reasons = {stack["name"]: stack["reason"] for stack in job["stacks"]}
    assert reasons["d000.txt upper"] == "WORKFLOW_FAILED"
    assert reasons["d000.txt count"] == "STEP_BEFORE_FAILED"
    assert reasons["d001.txt upper"] == reasons["d001.txt count"] == ""


def test_a_sweep_of_a_chain_runs_once_what_its_points_share(chain: TestSite) -> None:
    out = chain.folder / "out"
    job = chain("run", "both", *chain.data(2), "--sweep", "count.size=1,2,3", "--out", out, "--json").json
    assert len(job["stacks"]) == 2 + 6
    assert (out / "d001" / "count.size=2" / "count" / "head.txt").read_text() == "DA"
    with (out / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["dataset"], row["count.size"], row["count.letters"]) for row in rows] == [
        (f"d00{index}.txt", str(size), f"{size}.0") for size in (1, 2, 3) for index in (0, 1)
    ]
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert "certificate valid" in chain("verify", out / "certificate.json", out).out


def test_a_grid_of_twelve_points_over_two_recordings_is_one_job(local_site: TestSite) -> None:
    both = {"type": "integer", "default": 1, "minimum": 1, "maximum": 9, "description": "A number."}
    parameters = {"type": "object", "additionalProperties": False, "properties": {"size": both, "step": both}}
    script = COUNT.replace("$(sed 's/[^0-9]//g' \"$NEUROCAAS_CONFIG\")", "3")
    local_site.analysis("count", script, parameters=parameters, **COUNTED)
    out = local_site.folder / "out"
    sweep = ("--sweep", "size=1,2,4,8", "--sweep", "step=1,2,3")
    job = local_site("run", "count", *local_site.data(2), *sweep, "--out", out, "--json").json
    assert len(job["stacks"]) == 24
    assert len(job["sweep"]) == 12
    assert len((out / "sweep.csv").read_text().splitlines()) == 25


def test_a_consensus_is_made_of_those_members_that_succeed(local_site: TestSite) -> None:
    local_site.price("36")
    declare_ensemble(local_site, modulus=4)
    [data], out = local_site.data(1), local_site.folder / "out"
    job = local_site("run", "ensemble", data, "--out", out, "--json").json
    assert job["status"] == "succeeded"
    assert job["message"] == "2 of 10 stacks failed, as the plan allows: member-2, member-6."
    assert (out / "d000" / "consensus" / "consensus.txt").read_text() == "0 2 3 4 6 7 8 "
    members = [stack for stack in job["stacks"] if stack["step"] == "members"]
    assert [stack["label"] for stack in members if stack["status"] == "failed"] == ["member-2", "member-6"]
    assert members[1]["message"] == "Seed 1 did not converge."
    assert all(float(stack["cost_dollars"]) > 0 for stack in job["stacks"])
    shown = local_site("show", job["job"]).out
    assert "d000.txt members member-2" in shown
    assert "certificate valid" in local_site("verify", out / "certificate.json", out).out


def test_what_stacks_pass_on_goes_through_a_remote_store_too(local_site: TestSite, s3_endpoint: str) -> None:
    local_site.variables["NEUROCAAS_STORE_URL"] = f"s3://{BUCKET}/{local_site.folder.name}"
    declare_ensemble(local_site, modulus=4)
    out = local_site.folder / "out"
    local_site("run", "ensemble", *local_site.data(1), "--set", "members=3", "--set", "succeed=2", "--out", out)
    assert (out / "d000" / "consensus" / "consensus.txt").read_text() == "0 2 "
    assert "certificate valid" in local_site("verify", out / "certificate.json", out).out


def test_no_consensus_is_invented_when_too_few_members_succeed(local_site: TestSite) -> None:
    declare_ensemble(local_site, modulus=3)
    [data], out = local_site.data(1), local_site.folder / "out"
    job = local_site("run", "ensemble", data, "--out", out, "--json", expect=1).json
    assert (job["status"], job["reason"]) == ("failed", "TOO_FEW_SUCCEEDED")
    consensus = job["stacks"][-1]
    assert consensus["message"].startswith("6 of 9 succeeded, and 7 are needed. member-2: Seed 1 did not converge;")
    assert consensus["attempts"] == []
    assert not list(out.rglob("consensus.txt"))
    fewer = local_site("run", "ensemble", data, "--out", out, "--set", "succeed=6", "--json").json
    assert fewer["status"] == "succeeded"
    assert sum(stack["reused_from"] is not None for stack in fewer["stacks"]) == 6


PROTOCOL = """
def plan(submission):
    halves = [
        {"dataset": index, "label": f"half-{half}", "config": {"size": half}, "inputs": {"data": "data"}}
        for index, _ in enumerate(submission["datasets"])
        for half in (1, 2)
    ]
    if len(halves) > 4:
        raise ValueError("at most two datasets, please")
    return {"steps": [{"name": "halves", "stacks": halves}]}
"""


def test_an_analysis_may_have_a_protocol_of_its_own(local_site: TestSite) -> None:
    folder: Path = local_site.root / "analyses" / "own"
    folder.mkdir(parents=True)
    (folder / "protocol.py").write_text(PROTOCOL)
    local_site.analysis("own", COUNT, protocol={"kind": "function", "file": "protocol.py"}, **COUNTED)
    out = local_site.folder / "out"
    job = local_site("run", "own", *local_site.data(2), "--out", out, "--json").json
    assert [stack["label"] for stack in job["stacks"]] == ["half-1", "half-2"] * 2
    assert (out / "d001" / "half-2" / "head.txt").read_text() == "da"
    refused = local_site("run", "own", *local_site.data(3), expect=2)
    assert "protocol.py, line 9, in plan: ValueError: at most two datasets, please." in refused.err
    assert len(local_site("jobs", "--json").json) == 1


def test_parts_that_do_not_fit_are_refused_by_name(chain: TestSite) -> None:
    outputs = {name: {"kind": "txt", "pattern": f"{name}.txt"} for name in ("head", "tail")}
    chain.analysis("count", COUNT, outputs=outputs)
    chain.composite(
        "wrong",
        kind="chain",
        steps=[
            {"name": "count", "analysis": "count"},
            {"name": "upper", "analysis": "upper"},
        ],
    )
    message = chain("run", "wrong", *chain.data(1), expect=2).err
    fit_alike = "it is not said where it comes from, and count.head, count.tail fit alike; naming one of them is right."
    assert f"wrong: upper: inputs.data: {fit_alike}" in message
    unpinned = chain.root / "analyses" / "both" / "blueprint.json"
    unpinned.write_text(unpinned.read_text().replace("upper@", "upper@0"))
    assert "a name and the full digest of a version" in chain("site", "check", expect=2).err
