"""The same commands against a site over the network: a real server, real uploads, real jobs."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from support.s3 import BUCKET
from support.serving import make_account, web_process
from support.sites import NEUROCAAS, Answer, TestSite, make_site

COPY = 'echo copying; cp "$NEUROCAAS_INPUT_DATA" "$NEUROCAAS_RESULTS/copy.txt"; echo done'
OUTPUT = {"copy": {"kind": "txt", "pattern": "copy.txt"}}


@dataclass
class Person:
    """The command line of somebody on another machine: no site here, a home of their own."""

    home: Path
    url: str
    token: str
    variables: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str | Path, expect: int = 0, said: str | None = None) -> Answer:
        homes = {name: str(self.home / name) for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME")}
        done = subprocess.run(
            [str(NEUROCAAS), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            input=said,
            env=os.environ | homes | self.variables,
            cwd=self.home,
            timeout=120,
        )
        assert "Traceback" not in done.stderr
        assert self.token not in done.stdout + done.stderr
        assert done.returncode == expect, f"{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return Answer(code=done.returncode, out=done.stdout, err=done.stderr)

    def data(self, count: int) -> list[Path]:
        paths = [self.home / "recordings" / f"d{index:03d}.txt" for index in range(count)]
        for index, path in enumerate(paths):
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"dataset {index}\n")
        return paths


@pytest.fixture(scope="module")
def served(shared_environments: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestSite, str, str]]:
    """A site that is served, its address, and a token of ada's."""
    site = make_site(tmp_path_factory.mktemp("served"), shared_environments)
    site.analysis("copy", COPY, outputs=OUTPUT, sample={"files": ["sample.txt"]})
    (site.root / "analyses" / "copy" / "sample.txt").write_text("sample\n")
    site.git("add", "--all")
    site.git("commit", "--quiet", "--message", "A sample")
    site.analysis("picky", 'grep -q "dataset 1" "$NEUROCAAS_INPUT_DATA" && exit 3; exit 0')
    site.analysis("slow", "sleep 60")
    token = make_account(site.root)
    with web_process(site.root) as url:
        yield site, url, token
    site.end()


@pytest.fixture
def ada(served: tuple[TestSite, str, str], tmp_path: Path) -> Person:
    _, url, token = served
    person = Person(home=tmp_path, url=url, token=token)
    person("login", url, "--token-stdin", said=f"{token}\n")
    return person


def test_signing_in_is_kept_for_its_owner_alone_until_signing_out(ada: Person) -> None:
    assert ada("whoami", "--json").json["user"] == "ada"
    kept = ada.home / "XDG_CONFIG_HOME" / "neurocaas" / "sites.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    ada("login", ada.url, "--token-stdin", said="ncs_wrong\n", expect=2)
    assert ada("--group", "lab", "whoami", "--json").json["group"] == "lab"
    ada("logout")
    assert "not signed in" in ada("--site", ada.url, "jobs", expect=2).err
    assert ada.token not in kept.read_text()


def test_a_job_from_files_to_results_and_a_certificate_over_the_network(ada: Person) -> None:
    out = ada.home / "out"
    done = ada("run", "copy", *ada.data(3), "--out", out)
    assert "d001.txt: 0.0 MiB sent." in done.err
    assert "Quote for copy@" in done.err
    assert "d001.txt: succeeded" in done.err
    assert (out / "d001" / "copy.txt").read_text() == "dataset 1\n"
    assert (out / "d002" / "log.txt").read_text() == "copying\ndone\n"
    job = ada("jobs", "--last", "1", "--json").json[0]["job"]
    described = ada("show", job[-6:], "--json").json
    assert described["user"] == "ada"
    answered = httpx.get(f"{ada.url}/api/v1/jobs/{job}", headers={"Authorization": f"Bearer {ada.token}"})
    assert described == answered.json()  # nothing that the site says is lost on the way
    assert ada("logs", job, "--dataset", "0").out == "copying\ndone\n"
    assert ada("logs", job, "--dataset", "d001.txt", "-f").out == "copying\ndone\n"
    ada("keys", "trust", out / "certificate.json", "--name", "there")
    assert ada("verify", out / "certificate.json", out, "--json").json["verdict"] == "valid"
    assert ada("results", job, "--out", ada.home / "again", "--json").json["files"] == 3
    ada("export", job, "--crate")
    assert (ada.home / f"{job}-crate.zip").stat().st_size > 0


def test_data_is_staged_once_and_can_be_named_searched_and_deleted(ada: Person) -> None:
    path = ada.home / "mine.txt"
    path.write_text("mine\n")
    (item,) = ada("upload", path, "--tag", "v1", "--json").json
    assert [one["id"] for one in ada("data", "list", "--tag", "v1", "--json").json] == [item["id"]]
    assert "paris" in ada("data", "tag", f"item:{item['id']}", "paris", "oslo").out
    job = ada("run", "copy", f"item:{item['id']}", "--out", ada.home / "out", "--json").json
    assert job["status"] == "succeeded"
    ada("data", "delete", f"item:{item['id']}")
    assert item["id"] not in ada("data", "list").out


def test_analyses_samples_quotes_and_budgets_are_those_of_the_site(ada: Person) -> None:
    assert "copy" in ada("analyses").out
    shown = ada("analysis", "show", "copy").out
    assert "PARAMETER" in shown
    assert "size" in shown
    ada("sample", "copy", ada.home / "sample")
    assert (ada.home / "sample" / "sample.txt").read_text() == "sample\n"
    assert "it costs nothing" in ada("quote", "copy", *ada.data(1)).out
    assert ada("budget", "--json").json[0]["account"] == "group lab"
    ada("budget", "set", "12.5", "--user", "ada")
    assert {one["account"]: one for one in ada("budget", "--json").json}["user ada"]["budget_dollars"] == "12.5"


def test_what_failed_can_be_retried_and_what_runs_cancelled(ada: Person) -> None:
    job = ada("run", "picky", *ada.data(2), "--out", ada.home / "out", "--json", expect=1).json
    assert [one["status"] for one in job["stacks"]] == ["succeeded", "failed"]
    again = ada("retry", job["job"], "--out", ada.home / "out", "--json", expect=1).json
    assert again["retry_of"] == job["job"]
    slow = ada("submit", "slow", *ada.data(1)).out.strip()
    assert ada("cancel", slow, "--json").json == {"job": slow, "cancelled": True}
    assert "cancelled" in ada("wait", slow, expect=1).out


def test_a_job_is_reproduced_from_its_certificate(ada: Person) -> None:
    out = ada.home / "out"
    ada("run", "copy", *ada.data(2), "--out", out)
    told = ada("reproduce", out / "certificate.json", "--out", ada.home / "reproduced", "--json").json
    assert told["verdict"] == "equal"
    assert len(told["files"]) == 2


BAD = {
    "missing file": (["run", "copy", "no.txt"], 2, "no.txt: there is no such file."),
    "unknown analysis": (["run", "copi", "no.txt"], 3, "There is no analysis"),
    "unknown parameter": (["submit", "copy", "recordings/d000.txt", "--set", "sise=3"], 2, 'Did you mean "size"?'),
    "unknown job": (["show", "20200101-00000000"], 3, "There is no job"),
    "unknown item": (["run", "copy", "item:00000000-0000-4000-8000-000000000000"], 3, "."),
    "of one machine": (["manager", "status"], 2, "works on a site of this machine only"),
    "pins": (["analysis", "pin", "copy"], 2, "works on a site of this machine only"),
    "unreachable": (["--site", "http://127.0.0.1:9", "jobs"], 2, "You are not signed in to http://127.0.0.1:9."),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_one_sentence(ada: Person, name: str) -> None:
    arguments, code, sentence = BAD[name]
    ada.data(1)
    errors = [line for line in ada(*arguments, expect=code).err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert sentence in errors[0]


def test_a_site_of_this_machine_comes_before_the_one_signed_in_to(ada: Person, local_site: TestSite) -> None:
    ada.variables["NEUROCAAS_SITE"] = str(local_site.root)
    assert json.loads(ada("jobs", "--json").out) == []
    assert "for a site over the network" in ada("whoami", expect=2).err
    assert "one group" in ada("--group", "lab", "jobs", expect=2).err


def test_data_and_results_go_straight_to_and_from_s3(local_site: TestSite, s3_endpoint: str, tmp_path: Path) -> None:
    variables = {"NEUROCAAS_STORE_URL": f"s3://{BUCKET}/{tmp_path.name}"}
    local_site.variables |= variables
    local_site.analysis("copy", COPY, outputs=OUTPUT)
    token = make_account(local_site.root, **variables)
    with web_process(local_site.root, **variables) as url:
        person = Person(home=tmp_path, url=url, token=token)
        person("login", url, "--token-stdin", said=f"{token}\n")
        movie = tmp_path / "movie.txt"
        movie.write_bytes(b"0123456789abcdef" * (20 << 16))
        person("run", "copy", movie, "--out", tmp_path / "out")
        assert (tmp_path / "out" / "movie" / "copy.txt").read_bytes() == movie.read_bytes()
