"""A whole site on S3: its backup, and back into another bucket or into a folder."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from neurocaas.storage import keys, open_store
from support.aws import Aws
from support.far_provider import installed
from support.sites import TestSite, make_site

COPY = 'cp "$NEUROCAAS_INPUT_DATA" "$NEUROCAAS_RESULTS/copy.txt"; echo done'
OUTPUT = {"copy": {"kind": "txt", "pattern": "copy.txt"}}


@pytest.fixture(scope="module")
def on_s3(
    aws: Aws, tmp_path_factory: pytest.TempPathFactory, shared_environments: Path
) -> Iterator[tuple[TestSite, str]]:
    """A site with one finished job, and that job."""
    folder = tmp_path_factory.mktemp("on-s3")
    folder.chmod(0o755)
    variables = {"NEUROCAAS_STORE_URL": f"s3://{aws.bucket()}/a site", **aws.variables}
    site = make_site(folder, shared_environments, **variables)
    site.analysis("copy", COPY, outputs=OUTPUT)
    site("run", "copy", *site.data(2), "--out", site.folder / "out")
    (job,) = [one["job"] for one in site("jobs", "--json").json]
    yield site, job
    site.end()


def test_results_are_fetched_and_verified(on_s3: tuple[TestSite, str]) -> None:
    site, job = on_s3
    assert (site.folder / "out" / "d001" / "copy.txt").read_text() == "dataset 1\n"
    site("verify", site.folder / "out" / "certificate.json", site.folder / "out")
    assert site("logs", job, "--dataset", "1").out == "done\n"


@pytest.mark.parametrize("into", ["another bucket", "a folder"])
def test_a_site_comes_back_from_its_backup(on_s3: tuple[TestSite, str], into: str, aws: Aws, tmp_path: Path) -> None:
    site, job = on_s3
    file = tmp_path / "site.tar"
    site("backup", file)
    variables = dict(site.variables)
    assert "is not empty" in site("restore", file, "--to", tmp_path / "restored", expect=2).err
    tmp_path.chmod(0o755)
    if into == "another bucket":
        variables["NEUROCAAS_STORE_URL"] = f"s3://{aws.bucket()}"
    else:
        del variables["NEUROCAAS_STORE_URL"]
    restored = replace(site, root=tmp_path / "restored", folder=tmp_path, variables=variables)
    try:
        assert restored("restore", file, "--to", restored.root, "--json").json["jobs"] == 1
        (restored.root / ".neurocaas" / "environments").symlink_to(site.root / ".neurocaas" / "environments")
        restored("results", job, "--out", restored.folder / "again")
        assert (restored.folder / "again" / "d001" / "copy.txt").read_text() == "dataset 1\n"
        restored("verify", restored.folder / "again" / "certificate.json", restored.folder / "again")
        restored("run", "copy", *restored.data(1), "--fresh", "--out", restored.folder / "new")
        assert (restored.root / ".neurocaas" / "store").exists() is (into == "a folder")
    finally:
        restored.end()


def test_no_backup_holds_what_opens_a_part_of_the_store(
    on_s3: tuple[TestSite, str], as_admin: Aws, tmp_path: Path
) -> None:
    site, job = on_s3
    store = open_store(site.variables["NEUROCAAS_STORE_URL"])
    prefix = next(one.key for one in store.list("groups") if job in one.key and one.key.endswith("exit.json"))
    for key in (keys.exchange("abc"), keys.credentials(prefix.rpartition("/")[0])):
        store.put(key, b"a secret of somebody's")
    site("backup", tmp_path / "site.tar")
    assert b"a secret of somebody's" not in (tmp_path / "site.tar").read_bytes()
    with tarfile.open(tmp_path / "site.tar") as tar:
        assert any(name.endswith("exit.json") for name in tar.getnames())


def test_stacks_run_on_machines_that_share_nothing_with_the_site_but_its_store(
    aws: Aws, tmp_path: Path, shared_environments: Path
) -> None:
    """Data, workflow and environment come from the bucket, each attempt with credentials of its own."""
    tmp_path.chmod(0o755)
    bucket = aws.bucket()
    far = installed(tmp_path / "package")
    site = make_site(tmp_path, shared_environments, NEUROCAAS_STORE_URL=f"s3://{bucket}/site", **aws.variables, **far)
    document = json.loads((site.root / "site.json").read_text())
    storage = {"runner_role": aws.runner_role(bucket)}
    (site.root / "site.json").write_text(json.dumps(document | {"providers": ["local", "far"], "storage": storage}))
    site.analysis("copy", COPY, outputs=OUTPUT)
    before = aws.requests()
    try:
        site("run", "copy", *site.data(2), "--provider", "far", "--out", tmp_path / "out")
        (job,) = [one["job"] for one in site("jobs", "--json").json]
        stacks = site("show", job, "--json").json["stacks"]
        assert [one["attempts"][0]["status"] for one in stacks] == ["succeeded"] * 2
        assert (tmp_path / "out" / "d001" / "copy.txt").read_text() == "dataset 1\n"
        site("verify", tmp_path / "out" / "certificate.json", tmp_path / "out")
        sessions = [key for key in aws.requests() if key not in before]
        assert len(sessions) == 2
        assert site("logs", job, "--dataset", "1").out == "done\n"
        logs = [one.read_text() for one in (tmp_path / "elsewhere").glob("*.log")]
        assert logs == ["", ""]
    finally:
        site.end()
