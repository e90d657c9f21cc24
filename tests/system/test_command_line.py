"""The command line as its user meets it: a job from end to end, and one sentence for everything that is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from support.s3 import BUCKET
from support.sites import NEUROCAAS, Answer, TestSite, make_site, until

COPY = 'sleep "${PAUSE:-0}"; cp "$NEUROCAAS_INPUT_DATA" "$NEUROCAAS_RESULTS/copy.txt"; echo done'
OUTPUT = {"copy": {"kind": "txt", "pattern": "copy.txt"}}


def test_a_job_from_files_to_results_and_a_certificate(site: TestSite) -> None:
    site.analysis("copy", COPY, outputs=OUTPUT)
    out = site.folder / "out"
    job = site("run", "copy", *site.data(3), "--out", out, "--json").json
    assert [one["status"] for one in job["stacks"]] == ["succeeded"] * 3
    assert (out / "d001" / "copy.txt").read_text() == "dataset 1\n"
    assert (out / "d002" / "log.txt").read_text() == "done\n"
    assert site("verify", out / "certificate.json", out, "--json").json["verdict"] == "valid"
    assert "valid" in site("verify", out / "certificate.json", out).out
    (out / "d001" / "copy.txt").write_text("other")
    altered = site("verify", out / "certificate.json", out, expect=4)
    assert "d001/copy.txt" in altered.out + altered.err
    assert [one["job"] for one in site("jobs", "--json").json] == [job["job"]]
    assert site("logs", job["job"], "--dataset", "0").out == "done\n"
    again = site.folder / "again"
    site("results", job["job"], "--out", again)
    assert (again / "d000" / "copy.txt").read_text() == "dataset 0\n"


def test_a_job_whose_results_are_kept_on_s3(local_site: TestSite, s3_endpoint: str) -> None:
    local_site.variables["NEUROCAAS_STORE_URL"] = f"s3://{BUCKET}/{local_site.folder.name}"
    local_site.analysis("copy", COPY, outputs=OUTPUT)
    out = local_site.folder / "out"
    local_site("run", "copy", *local_site.data(3), "--out", out)
    assert (out / "d001" / "copy.txt").read_text() == "dataset 1\n"
    assert (out / "d001" / "log.txt").read_text() == "done\n"
    local_site("verify", out / "certificate.json", out)
    assert not (local_site.root / ".neurocaas" / "store").exists()


def test_results_replace_those_of_an_earlier_job_and_nothing_else(local_site: TestSite) -> None:
    local_site.analysis("copy", COPY, outputs=OUTPUT)
    out = local_site.folder / "out"
    local_site("run", "copy", *local_site.data(2), "--out", out)
    local_site("run", "copy", local_site.data(1)[0], "--out", out)
    assert sorted(one.name for one in out.iterdir()) == ["certificate.json", "certificate.txt", "d000"]
    local_site("verify", out / "certificate.json", out)


def test_one_failed_dataset_spares_the_others_and_shows_in_the_exit_code(local_site: TestSite) -> None:
    script = """
    grep -q "dataset 1" "$NEUROCAAS_INPUT_DATA" || exit 0
    echo "failure d001.txt is odd." > "$NEUROCAAS_REPORT"
    exit 3
    """
    local_site.analysis("picky", script)
    answer = local_site("run", "picky", *local_site.data(3), "--out", local_site.folder / "out", "--json", expect=1)
    assert [one["status"] for one in answer.json["stacks"]] == ["succeeded", "failed", "succeeded"]
    assert answer.json["stacks"][1]["message"].startswith("d001.txt is odd.")
    assert local_site("verify", local_site.folder / "out" / "certificate.json", local_site.folder / "out").code == 0


def test_interrupting_run_detaches_and_the_job_goes_on(local_site: TestSite) -> None:
    local_site.analysis("slow", "sleep 10")
    command = [
        NEUROCAAS,
        "--site",
        local_site.root,
        "run",
        "slow",
        local_site.data()[0],
        "--out",
        local_site.folder / "o",
    ]
    # Whoever starts the tests in the background of a shell ignores this signal, and children inherit that.
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=listen)
    assert run.stderr is not None
    assert any("running" in line for line in iter(run.stderr.readline, ""))
    run.send_signal(signal.SIGINT)
    said = run.stderr.read()
    run.stderr.close()
    assert run.wait(10) == 130
    assert "Detached; the job goes on" in said
    (job,) = local_site("jobs", "--json").json
    assert local_site.wait(job["job"])["status"] == "succeeded"


def test_a_cancelled_job_ends_soon_with_a_certificate(site: TestSite) -> None:
    site.analysis("slow", "sleep 280")
    job = site("submit", "slow", *site.data(3)).out.strip()
    until(lambda: site("show", job, "--json").json["stacks"][0]["status"] == "running")
    site("cancel", job)
    assert site.wait(job, 60)["status"] == "cancelled"
    site("results", job, "--out", site.folder / "out")
    certificate = json.loads((site.folder / "out" / "certificate.json").read_text())
    assert certificate["job"]["status"] == "cancelled"
    site("verify", site.folder / "out" / "certificate.json", site.folder / "out")


def test_logs_can_be_followed_while_the_workflow_writes_them(local_site: TestSite) -> None:
    local_site.analysis("talk", "for i in 1 2 3 4; do echo line $i; sleep 0.7; done")
    job = local_site("submit", "talk", local_site.data()[0]).out.strip()
    assert local_site("logs", job, "-f").out == "line 1\nline 2\nline 3\nline 4\n"


def test_a_submitted_job_can_be_waited_for(local_site: TestSite) -> None:
    local_site.analysis("ends", 'sleep 1; test $(cat "$NEUROCAAS_INPUT_DATA" | tail -c 2) = 0', limits={"attempts": 1})
    job = local_site("submit", "ends", *local_site.data(2)).out.strip()
    answer = local_site("wait", job, expect=1)
    assert f"Job {job} failed." in answer.out
    assert f"neurocaas results {job}" in answer.out
    assert "d001.txt: failed" in answer.err
    one = local_site("submit", "ends", local_site.data()[0]).out.strip()
    assert local_site("wait", one, "--json").json["status"] == "succeeded"


def test_stacks_wait_for_this_machine_and_say_why(local_site: TestSite) -> None:
    cores = len(os.sched_getaffinity(0))
    local_site.analysis("wide", "sleep 6", hardware={"vcpus": cores, "memory_gib": "0.25"})
    job = local_site("submit", "wide", *local_site.data(2)).out.strip()

    def waiting() -> str:
        stack = local_site("show", job, "--json").json["stacks"][1]
        return str(stack["message"]) if stack["reason"] == "WAITING_FOR_INSTANCE" else ""

    assert f"It needs {cores} vCPUs (0 of {cores} free)" in until(waiting)
    assert local_site.wait(job)["status"] == "succeeded"


def test_a_stack_larger_than_this_machine_is_refused(local_site: TestSite) -> None:
    local_site.analysis("huge", "true", hardware={"vcpus": 4096})
    answer = local_site("run", "huge", local_site.data()[0], expect=2)
    assert "hardware: found 4096 vCPUs; at most" in answer.err


Case = Callable[[TestSite, Path], list[str | Path]]


def _write(path: Path, contents: str | bytes) -> Path:
    path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    return path


BAD: dict[str, tuple[Case, int, str]] = {
    "missing file": (lambda s, d: ["copy", d / "no.txt"], 2, "no.txt: there is no such file."),
    "empty file": (lambda s, d: ["copy", _write(d / "e.txt", "")], 2, "e.txt is empty"),
    "wrong kind": (lambda s, d: ["copy", _write(d / "a.docx", "x")], 2, "a.docx is of kind .docx; a file of kind .txt"),
    "no kind": (lambda s, d: ["copy", _write(d / "a", "x")], 2, "a is of kind none"),
    "wrong contents": (lambda s, d: ["copy", _write(d / "a.txt", b"a\0")], 2, "is not what its name says"),
    "folder without data": (lambda s, d: ["copy", d], 2, "is a folder without a file of kind .txt in it."),
    "newline in a name": (lambda s, d: ["copy", _write(d / "a\nb.txt", "x")], 2, "contains '\\n'"),
    "name too long": (lambda s, d: ["copy", _write(d / ("a" * 220 + ".txt"), "x")], 2, "at most 200"),
    "traversal to nothing": (lambda s, d: ["copy", "../../../no/such.txt"], 2, "such.txt: there is no such file."),
    "pattern without a match": (lambda s, d: ["copy", f"{d}/*.nothing"], 2, "the pattern fits no file."),
    "no data": (lambda s, d: ["copy"], 2, "data: found none"),
    "device": (lambda s, d: ["copy", "/dev/null"], 2, "is not a plain file"),
    "unknown analysis": (lambda s, d: ["copi", *s.data()], 3, "There is no analysis 'copi' on this site. Did you mean"),
    "analysis with a path": (lambda s, d: ["../copy", *s.data()], 2, "analysis: found '../copy'"),
    "unknown version": (lambda s, d: ["copy@ffffffffffff", *s.data()], 3, "There is no version copy@ffffffffffff"),
    "nonsense version": (lambda s, d: ["copy@latest", *s.data()], 2, "version: found 'latest'"),
    "config missing": (lambda s, d: ["copy", *s.data(), "--config", d / "no.yaml"], 3, "there is no such config file."),
    "config not YAML": (
        lambda s, d: ["copy", *s.data(), "--config", _write(d / "c.yaml", "a: [")],
        2,
        "c.yaml: line 1: it is not YAML",
    ),
    "config a list": (
        lambda s, d: ["copy", *s.data(), "--config", _write(d / "c.yaml", "- 1")],
        2,
        "parameter names with values",
    ),
    "config binary": (
        lambda s, d: ["copy", *s.data(), "--config", _write(d / "c.yaml", b"\xff\xfe")],
        2,
        "it is not text",
    ),
    "config a folder": (lambda s, d: ["copy", *s.data(), "--config", d], 2, "can't be read: Is a directory."),
    "unknown parameter": (lambda s, d: ["copy", *s.data(), "--set", "sise=3"], 2, 'Did you mean "size"?'),
    "wrong type": (lambda s, d: ["copy", *s.data(), "--set", "size=big"], 2, 'size: found "big"; a whole number'),
    "out of range": (lambda s, d: ["copy", *s.data(), "--set", "size=10"], 2, "at least 1 and at most 9 is right."),
    "not a pair": (lambda s, d: ["copy", *s.data(), "--set", "size"], 2, "key=value is right"),
    "not finite": (lambda s, d: ["copy", *s.data(), "--set", "size=.nan"], 2, "size: found nan; a finite number"),
    "seed out of range": (lambda s, d: ["copy", *s.data(), "--seed=-1"], 2, "seed: found -1"),
    "unknown input": (lambda s, d: ["copy", *s.data(), "--input", "mask=x"], 2, "there is no such input"),
    "unknown option": (lambda s, d: ["copy", *s.data(), "--colour"], 2, "No such option"),
    "out a file": (lambda s, d: ["copy", *s.data(), "--out", _write(d / "f", "x")], 2, "is not a folder"),
    "out in use": (lambda s, d: ["copy", *s.data(), "--out", _write(d / "f", "x").parent], 2, "holds other files"),
    "out read-only": (lambda s, d: ["copy", *s.data(), "--out", "/proc/out"], 2, "can't be written"),
}


@pytest.fixture(scope="module")
def copy_site(shared_environments: Path, tmp_path_factory: pytest.TempPathFactory) -> TestSite:
    """One site for all refusals: none of them leaves a job behind."""
    site = make_site(tmp_path_factory.mktemp("refusals"), shared_environments)
    site.analysis("copy", COPY, outputs=OUTPUT)
    return site


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_one_sentence_and_nothing_runs(
    copy_site: TestSite, tmp_path: Path, name: str
) -> None:
    arguments, code, sentence = BAD[name]
    answer = copy_site("run", *arguments(copy_site, tmp_path), expect=code)
    errors = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, answer.err
    assert sentence in errors[0]
    assert copy_site("jobs", "--json").json == []


def test_a_refusal_is_json_when_json_is_asked_for(copy_site: TestSite) -> None:
    answer = copy_site("run", "copy", "no.txt", "--json", expect=2)
    assert "no.txt: there is no such file." in answer.json["error"]["messages"][0]


@pytest.mark.parametrize("name", ["with spaces.txt", "ünïcode 脳.txt", "quote'\"&;.txt", "-dash.txt", "%2e%2e.txt"])
def test_unusual_but_honest_names_run(copy_site: TestSite, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    copy_site("run", "copy", _write(tmp_path / name, "x"), "--out", out)
    assert (out / name.removesuffix(".txt") / "copy.txt").read_text() == "x"


def test_a_full_disk_for_the_results_is_told_in_one_sentence(local_site: TestSite, tmp_path: Path) -> None:
    small = _small_disk(tmp_path)
    try:
        local_site.analysis("copy", "head -c 3M /dev/zero > $NEUROCAAS_RESULTS/zeros")
        answer = local_site("run", "copy", local_site.data()[0], "--out", small / "out", expect=8)
        assert f"The results can't be brought to {small / 'out'}" in answer.err
        assert "the disk is full" in answer.err
        assert not (small / "out" / "d000").exists()
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_full_disk_for_the_store_fails_the_dataset_in_words(local_site: TestSite, tmp_path: Path) -> None:
    small = _small_disk(tmp_path)
    try:
        local_site.variables["NEUROCAAS_STORE_URL"] = small.as_uri()
        local_site.analysis("fill", "head -c 3M /dev/zero > $NEUROCAAS_RESULTS/zeros")
        answer = local_site("run", "fill", local_site.data()[0], "--out", tmp_path / "out", "--json", expect=1)
        (stack,) = answer.json["stacks"]
        assert (stack["status"], stack["reason"]) == ("failed", "RESULTS_NOT_STORED")
        assert "the disk is full" in stack["message"]
        assert len(stack["attempts"]) == 1
    finally:
        local_site.end()
        subprocess.run(["umount", small], check=True)


def _small_disk(tmp_path: Path) -> Path:
    """A file system of 1 MiB, which only root can mount; CI runs as root."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    return small


def test_help_names_every_command_and_completion_is_printed(local_site: TestSite) -> None:
    from neurocaas.cli.main import COMMANDS

    listed: Answer = local_site("--help")
    assert all(name in listed.out for name in COMMANDS)
    for name in COMMANDS:
        assert "Usage:" in local_site(name, "--help").out
    assert "_NEUROCAAS_COMPLETE" in local_site("completion", "bash").out
    assert local_site("schema", "blueprint").json["title"] == "Blueprint"
