"""A site in one file, written while it works, and back in another place, whole or not at all."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import tarfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from support.sites import TestSite, make_site, until

COPY = 'cp "$NEUROCAAS_INPUT_DATA" "$NEUROCAAS_RESULTS/copy.txt"; echo done'
WAIT = 'while [ ! -e "$NEUROCAAS_INPUT_DATA" ]; do sleep 0.1; done; sleep 20; echo late > "$NEUROCAAS_RESULTS/copy.txt"'
OUTPUT = {"copy": {"kind": "txt", "pattern": "copy.txt"}}


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest) -> Iterator[Callable[[TestSite], TestSite]]:
    """Another place for a site, with an empty database of the same kind."""
    made: list[TestSite] = []

    def place(site: TestSite) -> TestSite:
        variables = dict(site.variables)
        if url := variables.get("NEUROCAAS_DATABASE_URL"):
            server, name = url.rpartition("/")[0], f"restored_{uuid.uuid4().hex}"
            with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
                admin.execute(f'CREATE DATABASE "{name}"')
            variables["NEUROCAAS_DATABASE_URL"] = f"{server}/{name}"
        made.append(replace(site, root=site.folder / f"restored-{len(made)}", variables=variables))
        return made[-1]

    yield place
    for one in made:
        if one.root.exists():
            one.end()


def test_a_site_comes_back_with_a_finished_job_and_a_running_one(
    site: TestSite, elsewhere: Callable[[TestSite], TestSite], shared_environments: Path
) -> None:
    site.analysis("copy", COPY, outputs=OUTPUT)
    site.analysis("wait", WAIT, outputs=OUTPUT)
    site("run", "copy", *site.data(2), "--out", site.folder / "out")
    (finished,) = [one["job"] for one in site("jobs", "--json").json]
    running = site("submit", "wait", *site.data()).out.strip()
    until(lambda: [one["status"] for one in site("show", running, "--json").json["stacks"]] == ["running"])
    file = site.folder / "site.tar.gz"
    answer = site("backup", file)
    assert "signing key" in answer.err
    assert file.stat().st_mode & 0o777 == 0o600
    runner = _runner(site)

    restored = elsewhere(site)
    came = restored("restore", file, "--to", restored.root, "--json").json
    assert (came["jobs"], came["interrupted"]) == (2, 1)
    restored("results", finished, "--out", restored.folder / "again")
    assert (restored.folder / "again" / "d001" / "copy.txt").read_text() == "dataset 1\n"
    certificate = restored.folder / "again" / "certificate.json"
    assert restored("verify", certificate, restored.folder / "again", "--json").json["verdict"] == "valid"
    assert restored.git("rev-parse", "HEAD") == site.git("rev-parse", "HEAD")
    assert restored.git("status", "--porcelain") == site.git("status", "--porcelain")
    _same_modes(site.root / ".neurocaas", restored.root / ".neurocaas")

    # The restored site makes the running job again, and leaves the first site's own run of it alone.
    (restored.root / ".neurocaas" / "environments").symlink_to(shared_environments)
    (stack,) = restored.wait(running)["stacks"]
    assert [one["status"] for one in stack["attempts"]] == ["failed", "succeeded"]
    assert runner == _runner(site) or site.wait(running)["status"] == "succeeded"
    (stack,) = site.wait(running)["stacks"]
    assert [one["status"] for one in stack["attempts"]] == ["succeeded"]
    # It is a whole site: it signs with the same key.
    restored("run", "copy", *restored.data(1), "--fresh", "--out", restored.folder / "new")
    restored("verify", restored.folder / "new" / "certificate.json", restored.folder / "new")


def _runner(site: TestSite) -> int | None:
    for one in (site.root / ".neurocaas" / "work").glob("*/runner.json"):
        return int(json.loads(one.read_text())["pid"])
    return None


def _same_modes(before: Path, after: Path) -> None:
    for name in (".", "keys", "keys/site.pem", "store"):
        assert (after / name).stat().st_mode == (before / name).stat().st_mode, name


@pytest.fixture(scope="module")
def small(shared_environments: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestSite, Path]]:
    """A site with one finished job, and its backup, for what must not change either."""
    site = make_site(tmp_path_factory.mktemp("small"), shared_environments)
    site.analysis("copy", COPY, outputs=OUTPUT)
    site("run", "copy", *site.data(1), "--out", site.folder / "out")
    file = site.folder / "small.tar"
    site("backup", file)
    yield site, file
    site.end()


def test_a_damaged_member_is_named_and_nothing_is_left(small: tuple[TestSite, Path], tmp_path: Path) -> None:
    site, file = small
    for wanted in ("copy.txt", "database.sqlite3", "site/.neurocaas/keys/site.pem", "backup.json"):
        data = bytearray(file.read_bytes())
        with tarfile.open(file) as tar:
            (member,) = [one for one in tar.getmembers() if one.name.endswith(wanted)]
        data[member.offset_data + 3] ^= 1
        damaged = tmp_path / "damaged.tar"
        damaged.write_bytes(data)
        answer = site("restore", damaged, "--to", tmp_path / "new", expect=4)
        assert member.name in answer.err
        assert sorted(one.name for one in tmp_path.iterdir()) == ["damaged.tar"]


def test_a_backup_that_was_cut_off_or_added_to_is_refused(small: tuple[TestSite, Path], tmp_path: Path) -> None:
    site, file = small
    data = file.read_bytes()
    part = tmp_path / "part.tar"
    for share in (0.1, 0.5, 0.9):
        part.write_bytes(data[: int(len(data) * share)])
        assert "cut off after" in site("restore", part, "--to", tmp_path / "new", expect=4).err
    with tarfile.open(file) as tar:
        manifest = tar.getmember("manifest.jsonl")
    part.write_bytes(data[: manifest.offset])
    assert "cut off after its member" in site("restore", part, "--to", tmp_path / "new", expect=4).err
    part.write_bytes(data)
    with tarfile.open(part, "a") as tar:
        tar.addfile(tarfile.TarInfo("site/added"), io.BytesIO())
    assert "site/added" in site("restore", part, "--to", tmp_path / "new", expect=4).err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["site/../../escaped", "site//escaped", "site/link/escaped"])
def test_no_member_gets_out_of_the_new_folder(small: tuple[TestSite, Path], tmp_path: Path, name: str) -> None:
    site, file = small
    hostile = tmp_path / "hostile.tar"
    with tarfile.open(file) as tar, tarfile.open(hostile, "w") as made:
        about = tar.getmember("backup.json")
        made.addfile(about, tar.extractfile(about))
        link = tarfile.TarInfo("site/link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        made.addfile(link)
        made.addfile(tarfile.TarInfo(name), io.BytesIO())
    answer = site("restore", hostile, "--to", tmp_path / "in" / "new", expect=4)
    assert "outside of the site" in answer.err
    assert not list(tmp_path.rglob("escaped"))


def test_what_is_wrong_is_told_in_one_sentence(small: tuple[TestSite, Path], tmp_path: Path) -> None:
    site, file = small
    assert "exists already" in site("backup", file, expect=2).err
    assert "inside the site" in site("backup", site.root / "b.tar", expect=2).err
    assert "there is no such folder" in site("backup", tmp_path / "no" / "b.tar", expect=2).err
    assert "there is no such file" in site("restore", tmp_path / "no.tar", "--to", tmp_path / "new", expect=3).err
    (tmp_path / "text").write_text("no archive " * 200)
    assert "is not a backup" in site("restore", tmp_path / "text", "--to", tmp_path / "new", expect=2).err
    (tmp_path / "empty").touch()
    assert site("restore", tmp_path / "empty", "--to", tmp_path / "new", expect=None).code in {2, 4}
    assert "is not an empty folder" in site("restore", file, "--to", tmp_path, expect=2).err
    other = replace(site, variables={"NEUROCAAS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"})
    assert "of another kind" in other("restore", file, "--to", tmp_path / "new", expect=2).err
    taken = replace(site, variables={"NEUROCAAS_STORE_URL": (site.root / ".neurocaas" / "store").as_uri()})
    assert "is not empty" in taken("restore", file, "--to", tmp_path / "new", expect=2).err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("size", "name"), [("64k", "b.tar"), ("256k", "b.tar"), ("64k", "b.tar.gz")])
def test_a_full_disk_leaves_no_backup(small: tuple[TestSite, Path], tmp_path: Path, size: str, name: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
    try:
        assert "full" in (said := small[0]("backup", disk / name, expect=8).err) or "No space left" in said
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_without_results_jobs_and_certificates_are_kept_and_nothing_is_reused(
    small: tuple[TestSite, Path], tmp_path: Path, shared_environments: Path
) -> None:
    site, _ = small
    (job,) = [one["job"] for one in site("jobs", "--json").json]
    site("backup", tmp_path / "b.tar", "--without-results")
    restored = replace(site, root=tmp_path / "new")
    assert restored("restore", tmp_path / "b.tar", "--to", restored.root, "--json").json["results"] is False
    (restored.root / ".neurocaas" / "environments").symlink_to(shared_environments)
    assert restored("show", job, "--json").json["status"] == "succeeded"
    assert restored("logs", job, "--dataset", "0").out == "done\n"
    assert restored("results", job, "--out", tmp_path / "none", expect=None).code != 0
    restored("run", "copy", *site.data(1), "--out", tmp_path / "again")
    assert (tmp_path / "again" / "d000" / "copy.txt").read_text() == "dataset 0\n"
    restored.end()


def test_objects_stored_while_the_backup_is_written_do_no_harm(small: tuple[TestSite, Path], tmp_path: Path) -> None:
    """The database is read before the store: every object that it names is there, however many come afterwards."""
    _, file = small
    with tarfile.open(file) as tar:
        names = tar.getnames()
        assert tar.extractfile("database.sqlite3") is not None
        copy = tmp_path / "copy.sqlite3"
        copy.write_bytes(tar.extractfile("database.sqlite3").read())  # type: ignore[union-attr]
    assert names.index("database.sqlite3") < min(i for i, name in enumerate(names) if name.startswith("store/"))
    objects = [i for i, name in enumerate(names) if name.startswith("site/.git/objects/")]
    assert max(i for i, name in enumerate(names) if name.startswith("site/.git/refs/")) < min(objects)
    assert names[-1] == "manifest.jsonl"
    database = sqlite3.connect(copy)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
