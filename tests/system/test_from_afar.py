"""The website's story without the website: a lab's work on a served site by command line, and by Python client.

On SQLite with a local store, and on PostgreSQL with a store on S3 (moto): three recordings, one of 300 MB, a parameter,
a quote, live log lines, a figure, all results, the history, the same job again; a colleague sees it, no stranger does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from neurocaas.client import Client
from neurocaas.client.documents import SubmissionDocument
from neurocaas.errors import NotFound
from support.s3 import BUCKET
from support.served import Served, served
from support.sites import NEUROCAAS, TestSite, make_site

ANALYSES = Path(__file__).resolve().parents[2] / "analyses"
LARGE_FRAMES = 2300  # of 128 x 256 single-precision numbers: 301 MB
ACCOUNTS = """
import json, sys
from pathlib import Path
from neurocaas.server.serving.configuration import connect_fully
from neurocaas.settings import read_settings
site = connect_fully(read_settings(Path(sys.argv[1])))
from neurocaas.server.accounts import enrolment
from neurocaas.server.accounts.models import User
from neurocaas.server.accounts.tokens import issue
from neurocaas.server.groups.scope import caller
users = {name: User.objects.create_user(name, f"{name}@example.org") for name in ("ada", "bob", "eve")}
enrolment.found(site, "ada", "lab")
enrolment.join(site, "bob", enrolment.invite(caller("ada")).code)
enrolment.found(site, "eve", "other")
print(json.dumps({name: issue(user, name="test", scope="write", days=1)[1] for name, user in users.items()}))
"""


@dataclass
class Lab:
    """A served site with `pca`, an address, and a token for ada and bob of one lab and eve of another."""

    site: TestSite
    served: Served
    tokens: dict[str, str]
    recordings: list[Path]
    parts: str

    def command(self, user: str, *arguments: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """The command line of somebody on another machine."""
        home = self.site.folder / user
        home.mkdir(exist_ok=True)
        homes = {name: str(home / name) for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME")}
        mine = {"NEUROCAAS_SITE": self.served.url, "NEUROCAAS_TOKEN": self.tokens[user]}
        done = subprocess.run(
            [str(NEUROCAAS), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | homes | mine,
            cwd=home,
            timeout=300,
        )
        assert done.returncode == expect, f"{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def client(self, user: str) -> Client:
        return Client(self.served.url, self.tokens[user], state=self.site.folder / f"state-{user}")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small recordings and one of 300 MB, the same at each run."""
    folder = tmp_path_factory.mktemp("recordings")
    random = np.random.default_rng(20261124)
    courses = random.standard_normal((LARGE_FRAMES, 3)).cumsum(axis=0)
    maps = random.standard_normal((3, 128 * 256))
    for name, frames in (("large", LARGE_FRAMES), ("small", 200)):
        movie = (courses[:frames] @ maps + random.standard_normal((frames, 128 * 256))).astype(np.float32)
        np.save(folder / f"{name}.npy", movie.reshape(frames, 128, 256))
    np.savetxt(folder / "traces.csv", random.standard_normal((500, 12)).cumsum(axis=0), delimiter=",")
    assert (folder / "large.npy").stat().st_size > 300e6
    return [folder / "large.npy", folder / "small.npy", folder / "traces.csv"]


@pytest.fixture(scope="module", params=["SQLite, local store", "PostgreSQL, S3"])
def lab(
    request: pytest.FixtureRequest,
    shared_environments: Path,
    tmp_path_factory: pytest.TempPathFactory,
    recordings: list[Path],
) -> Iterator[Lab]:
    variables = {}
    if request.param != "SQLite, local store":
        server: str = request.getfixturevalue("postgresql_server")
        request.getfixturevalue("s3_endpoint")
        name = f"afar_{uuid.uuid4().hex}"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}"')
        variables = {"NEUROCAAS_DATABASE_URL": f"{server}/{name}", "NEUROCAAS_STORE_URL": f"s3://{BUCKET}/{name}"}
    folder = tmp_path_factory.mktemp("afar")
    folder.chmod(0o755)
    site = make_site(folder, shared_environments, **variables)
    shutil.copytree(ANALYSES / "pca", site.root / "analyses" / "pca")
    site.git("add", "--all")
    site.git("commit", "--quiet", "--message", "Declare pca")
    made = subprocess.run(
        [sys.executable, "-c", ACCOUNTS, str(site.root)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | variables,
    )
    with served(site) as running:
        running.wait_for_all()
        tokens = json.loads(made.stdout.splitlines()[-1])
        yield Lab(site=site, served=running, tokens=tokens, recordings=recordings, parts=request.param)
    site.end()


def test_by_command_line(lab: Lab, tmp_path: Path) -> None:
    asked = ("pca", *lab.recordings, "--set", "components=4")
    assert "at most" in lab.command("ada", "quote", *asked).stdout
    job = lab.command("ada", "submit", *asked).stdout.strip()
    followed = lab.command("ada", "logs", job, "--dataset", "large.npy", "-f").stdout
    assert followed == lab.command("ada", "logs", job, "--dataset", "large.npy").stdout
    assert followed
    described = _ended(lab, "ada", job)
    assert described["status"] == "succeeded"
    assert [one["status"] for one in described["stacks"]] == ["succeeded"] * 3
    out = tmp_path / "out"
    lab.command("ada", "results", job, "--out", out)
    _check_results(out)
    lab.command("ada", "keys", "trust", out / "certificate.json", "--name", "there")
    assert (
        json.loads(lab.command("ada", "verify", out / "certificate.json", out, "--json").stdout)["verdict"] == "valid"
    )
    # The same again costs nothing and sends nothing.
    again = json.loads(lab.command("ada", "run", *asked, "--out", tmp_path / "again", "--json").stdout)
    assert [one["reused_from"]["job"] for one in again["stacks"]] == [job] * 3
    assert [one["job"] for one in json.loads(lab.command("bob", "jobs", "--json").stdout)][-1] == job
    assert json.loads(lab.command("bob", "show", job, "--json").stdout)["user"] == "ada"
    assert json.loads(lab.command("eve", "jobs", "--json").stdout) == []
    assert f"There is no job '{job}'" in lab.command("eve", "show", job, expect=3).stderr


def test_by_python_client(lab: Lab, tmp_path: Path) -> None:
    with lab.client("bob") as bob, lab.client("ada") as ada, lab.client("eve") as eve:
        items = [item.id for item in bob.upload(lab.recordings)]
        submission = SubmissionDocument(analysis="pca", data=items, config={"components": 5})
        quote = bob.quote(submission)
        assert (quote.datasets, quote.stacks) == (3, 3)
        job = bob.submit(submission)
        seen = [one.status for one in bob.follow(job.job)]
        assert seen[-1] == "succeeded"
        assert "".join(bob.follow_log(job.job, 0))
        bob.results(job.job, tmp_path / "out")
        _check_results(tmp_path / "out")
        assert bob.jobs(1)[0].job == job.job
        again = bob.wait(bob.submit(submission).job)
        assert all(one.reused_from is not None for one in again.stacks)
        assert ada.job(job.job).user == "bob"
        with pytest.raises(NotFound):
            eve.job(job.job)
        with pytest.raises(NotFound):
            eve.quote(submission)
        assert list(eve.items()) == []


def _ended(lab: Lab, user: str, job: str) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(lab.command(user, "wait", job, "--json").stdout)
    return described


def _check_results(out: Path) -> None:
    for name in ("large", "small", "traces"):
        assert (out / name / "figure.png").read_bytes().startswith(b"\x89PNG")
        assert np.load(out / name / "time_courses.npy").shape[1] in {4, 5}
    assert (out / "certificate.json").is_file()
