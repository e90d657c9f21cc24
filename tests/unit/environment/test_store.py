from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from neurocaas.environment import Damage, Environment, EnvironmentSpec, EnvironmentStore, Mount, Placement
from neurocaas.environment.builder import Progress
from neurocaas.errors import EnvironmentBroken, NotFound, Refused

DAY = timedelta(days=1)


class FakeBuilder:
    """Writes the lock into the tree. Counts its builds; waits for `go` in each."""

    def __init__(self) -> None:
        self.builds = 0
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()
        self.failure = ""
        self.released: list[str] = []

    def asked(self, spec: EnvironmentSpec, known: Mapping[str, str]) -> dict[str, Any]:
        return {"lock": spec.lock_sha256}

    def identity(self, spec: EnvironmentSpec, known: Mapping[str, str]) -> dict[str, str]:
        return {"kind": spec.kind, "platform": "linux", "lock": spec.lock_sha256}

    def known(self, spec: EnvironmentSpec) -> dict[str, str] | None:
        return {}

    def prepare(self, spec: EnvironmentSpec, *, progress: Progress) -> dict[str, str]:
        return {}

    def build(
        self, spec: EnvironmentSpec, known: Mapping[str, str], *, tree: Path, log: Path, progress: Progress
    ) -> dict[str, str]:
        self.builds += 1
        self.begun.set()
        tree.mkdir()
        log.write_text("one line\n")
        progress("one line")
        assert self.go.wait(30)
        if self.failure:
            raise EnvironmentBroken(self.failure)
        (tree / "installed").write_bytes(spec.lock)
        return {"python": "3.11.0"}

    def place(self, known: Mapping[str, str], tree: Path, *, progress: Progress) -> Placement | None:
        return Placement((Mount(source=tree, target="/env"),), {}, ("/env/bin",))

    def missing(self, digest: str, known: Mapping[str, str], tree: Path) -> list[Damage]:
        return []

    def release(self, facts: Mapping[str, str], tree: Path) -> None:
        self.released.append(facts["python"])


@pytest.fixture
def builder() -> FakeBuilder:
    return FakeBuilder()


@pytest.fixture
def store(tmp_path: Path, builder: FakeBuilder) -> EnvironmentStore:
    return EnvironmentStore(tmp_path / "store", builders={"python": builder})


SPEC = EnvironmentSpec(lock=b"six==1.17.0 --hash=sha256:00\n")
OTHER = EnvironmentSpec(lock=b"attrs==25.3.0 --hash=sha256:00\n")


def harm(environment: Environment) -> None:
    place = environment.mounts[-1].source / "installed"
    place.chmod(0o644)
    place.write_bytes(b"something else")


def age(store: EnvironmentStore, environment: Environment, days: int) -> None:
    place = store.shelf.folder / environment.digest / "used"
    then = place.stat().st_mtime - days * 86400
    os.utime(place, (then, then))


def test_an_environment_is_found_once_it_is_built(store: EnvironmentStore, builder: FakeBuilder) -> None:
    assert store.find(SPEC) is None
    built = store.build(SPEC)
    assert store.find(SPEC) == built == store.get(built.digest)
    assert store.build(SPEC) == built
    assert builder.builds == 1
    assert store.list() == [built]
    assert store.find(OTHER) is None


def test_the_digest_does_not_depend_on_the_store(store: EnvironmentStore, tmp_path: Path) -> None:
    elsewhere = EnvironmentStore(tmp_path / "elsewhere", builders={"python": FakeBuilder()})
    assert elsewhere.build(SPEC).digest == store.build(SPEC).digest


def test_asked_for_twice_at_once_it_is_built_once(store: EnvironmentStore, builder: FakeBuilder) -> None:
    builder.go.clear()
    waiting = threading.Event()

    def told(line: str) -> None:
        if "waiting for it" in line:
            waiting.set()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(store.build, SPEC)
        assert builder.begun.wait(30)
        second = pool.submit(store.build, SPEC, progress=told)
        assert waiting.wait(30)
        builder.go.set()
        assert first.result() == second.result()
    assert builder.builds == 1


def test_different_environments_do_not_wait_for_each_other(store: EnvironmentStore, builder: FakeBuilder) -> None:
    builder.go.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(store.build, SPEC)
        assert builder.begun.wait(30)
        other = EnvironmentStore(store.root, builders={"python": FakeBuilder()})
        assert other.build(OTHER).lock_sha256 == OTHER.lock_sha256
        builder.go.set()
        first.result()


def test_a_failed_build_says_why_keeps_its_log_and_leaves_nothing(
    store: EnvironmentStore, builder: FakeBuilder
) -> None:
    builder.failure = "No wheel fits."
    with pytest.raises(EnvironmentBroken, match=r"could not be built: No wheel fits\. The log is /.*\.log"):
        store.build(SPEC)
    log = store.log_path(SPEC)
    assert log is not None
    assert log.read_text() == "one line\n"
    assert list((store.root / "building").iterdir()) == []
    builder.failure = ""
    assert store.build(SPEC)


def test_a_damaged_environment_is_never_handed_out_but_built_anew(
    store: EnvironmentStore, builder: FakeBuilder
) -> None:
    built = store.build(SPEC)
    harm(built)
    said: list[str] = []
    assert store.find(SPEC, progress=said.append) is None
    assert "was damaged" in said[0]
    assert store.get(built.digest) is None
    again = store.build(SPEC)
    assert again.digest == built.digest
    assert builder.builds == 2
    assert store.verify(built.digest) == []


def test_what_only_verify_sees_can_be_set_aside(store: EnvironmentStore) -> None:
    built = store.build(SPEC)
    place = built.mounts[-1].source / "installed"
    status = place.stat()
    place.chmod(0o644)
    place.write_bytes(b"x" * status.st_size)
    place.chmod(0o444)
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert store.find(SPEC) is not None
    damages = store.verify(built.digest)
    assert [each.where for each in damages] == [str(place)]
    store.set_aside(damages)
    assert store.find(SPEC) is None
    with pytest.raises(NotFound):
        store.verify(built.digest)


def test_cleaning_spares_what_is_kept_and_what_was_used_lately(store: EnvironmentStore) -> None:
    kept, old = store.build(SPEC), store.build(OTHER)
    fresh = store.build(EnvironmentSpec(lock=b""))
    for each in (kept, old):
        age(store, each, days=3)
    removed = store.gc({kept.digest}, older_than=DAY)
    assert [(each.what, each.name) for each in removed] == [("environment", old.digest)]
    assert {each.digest for each in store.list()} == {kept.digest, fresh.digest}
    assert store.find(OTHER) is None
    assert list((store.root / "building").iterdir()) == []


def test_finding_an_old_environment_makes_it_a_fresh_one(store: EnvironmentStore) -> None:
    built = store.build(SPEC)
    age(store, built, days=3)
    assert store.find(SPEC)
    assert store.gc(set(), older_than=DAY) == []


def test_cleaning_takes_the_leftovers_of_killed_builds_but_not_a_build_that_runs(
    store: EnvironmentStore, builder: FakeBuilder
) -> None:
    leftover = store.root / "building" / f"{'ab' * 32}.0123" / "env"
    leftover.mkdir(parents=True)
    leftover.chmod(0o555)
    builder.go.clear()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(store.build, SPEC)
        assert builder.begun.wait(30)
        removed = store.gc(set(), older_than=timedelta())
        builder.go.set()
        built = running.result()
    assert [each.what for each in removed] == ["leftover"]
    assert store.find(SPEC) == built
    assert not leftover.exists()


def test_cleaning_takes_damaged_ones_after_a_while(store: EnvironmentStore) -> None:
    harm(store.build(SPEC))
    assert store.find(SPEC) is None
    assert store.gc(set(), older_than=DAY) == []
    assert [each.what for each in store.gc(set(), older_than=timedelta())] == ["damaged"]


def test_an_unknown_kind_is_refused_with_those_there_are(store: EnvironmentStore) -> None:
    with pytest.raises(Refused, match=r"environment\.kind is 'conda'; this site builds python"):
        store.build(EnvironmentSpec(kind="conda", lock=b""))


@pytest.mark.parametrize("python", ["3", "2.7", "3.11 ", "pypy3.10", "../3.11", "3.11.7.1", ""])
def test_a_python_that_is_no_version_is_refused(python: str) -> None:
    with pytest.raises(Refused, match=r"environment\.python"):
        EnvironmentSpec(lock=b"", python=python)


def test_a_lock_is_read_from_the_analysis_folder_only(tmp_path: Path) -> None:
    folder = tmp_path / "analysis"
    folder.mkdir()
    (folder / "requirements.lock").write_bytes(b"six\n")
    (tmp_path / "elsewhere.lock").write_bytes(b"six\n")
    assert EnvironmentSpec.from_folder(folder, lock="requirements.lock").lock == b"six\n"
    with pytest.raises(Refused, match="outside the analysis folder"):
        EnvironmentSpec.from_folder(folder, lock="../elsewhere.lock")
    with pytest.raises(Refused, match="can't be read"):
        EnvironmentSpec.from_folder(folder, lock="missing.lock")


def test_cleaning_everything_spares_what_was_used_lately_while_something_is_built(
    store: EnvironmentStore, builder: FakeBuilder
) -> None:
    fresh = store.build(OTHER)
    builder.go.clear()
    builder.begun.clear()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(store.build, SPEC)
        assert builder.begun.wait(30)
        assert store.gc(set(), older_than=timedelta()) == []
        builder.go.set()
        built = running.result()
    assert {each.name for each in store.gc(set(), older_than=timedelta())} == {fresh.digest, built.digest}
