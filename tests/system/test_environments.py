"""Environments built for real: wheels from the package index, this machine's interpreter, the sandbox."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from neurocaas.environment import Environment, EnvironmentSpec, EnvironmentStore
from neurocaas.environment import tree as trees
from neurocaas.environment.uv import find_uv
from neurocaas.environment.workbench import run_sandboxed
from neurocaas.errors import EnvironmentBroken
from neurocaas.sandbox import Mount

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# Pure Python, a console script (tqdm), a binary extension (markupsafe).
WANTED = "six==1.17.0\ntqdm==4.67.1\nmarkupsafe==3.0.2\n"

BUILD = """
import sys
from pathlib import Path
from neurocaas.environment import EnvironmentSpec, EnvironmentStore
store, lock, python = sys.argv[1:]
spec = EnvironmentSpec(lock=Path(lock).read_bytes(), python=python)
print(EnvironmentStore(Path(store)).build(spec).digest)
"""
LOOK_AROUND = """
import json, os, sys, markupsafe._speedups, six, ssl, sqlite3
mapped = sorted({line.split()[-1] for line in open("/proc/self/maps") if " /" in line})
loaded = [each.__file__ for each in list(sys.modules.values()) if getattr(each, "__file__", None)]
compiled = [each.__cached__ for each in (six, json) if not os.path.exists(each.__cached__)]
try:
    open("/env/new", "w")
    written = True
except OSError:
    written = False
print(json.dumps({"prefix": [sys.prefix, sys.base_prefix], "files": mapped + loaded, "path": sys.path,
    "homes": [each for each in ("/root", "/home") if os.path.exists(each)], "written": written, "compiled": compiled}))
"""


@pytest.fixture(scope="module")
def lock(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A lock as an author makes it: every line with its hashes."""
    folder = tmp_path_factory.mktemp("lock")
    (folder / "requirements.in").write_text(WANTED)
    options = ["--generate-hashes", "--no-header", "--quiet", "--no-cache", "--python-version", PYTHON]
    command = [str(find_uv()), "pip", "compile", *options, "requirements.in", "-o", "requirements.lock"]
    subprocess.run(command, cwd=folder, check=True)
    return (folder / "requirements.lock").read_bytes()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvironmentStore]:
    root = tmp_path_factory.mktemp("store")
    yield EnvironmentStore(root)
    trees.remove(root)


@pytest.fixture(scope="module")
def built(store: EnvironmentStore, lock: bytes) -> Environment:
    return store.build(EnvironmentSpec(lock=lock, python=PYTHON))


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[EnvironmentStore]:
    yield EnvironmentStore(tmp_path / "store")
    trees.remove(tmp_path / "store")


def run_inside(environment: Environment, command: list[str], log: Path) -> tuple[int, list[str]]:
    said: list[str] = []
    status = run_sandboxed(
        command,
        mounts=[Mount(source=each.source, target=each.target) for each in environment.mounts],
        variables={**environment.variables, "PATH": ":".join([*environment.path, "/usr/bin", "/bin"])},
        log=log,
        progress=said.append,
    )
    return status, said


def test_it_runs_with_nothing_of_a_home_or_of_the_original_interpreter(built: Environment, tmp_path: Path) -> None:
    status, said = run_inside(built, ["python", "-c", LOOK_AROUND], tmp_path / "log")
    assert status == 0, said
    seen = json.loads(said[-1])
    assert seen["prefix"] == ["/env", "/python"]
    own = ("/env/", "/python/")
    assert all(each.startswith((*own, "/usr/lib", "/lib")) for each in seen["files"]), seen["files"]
    assert [each for each in seen["files"] if "python" in each and not each.startswith(own)] == []
    assert all(not each or each.startswith(own) for each in seen["path"])
    assert seen["homes"] == []
    assert seen["written"] is False
    assert seen["compiled"] == []


def test_console_scripts_start_with_the_environments_own_python(built: Environment, tmp_path: Path) -> None:
    assert (built.mounts[1].source / "bin" / "tqdm").read_text().startswith("#!/env/bin/python\n")
    status, said = run_inside(built, ["tqdm", "--version"], tmp_path / "log")
    assert (status, said) == (0, ["4.67.1"])


def test_an_empty_store_builds_the_same_digest(built: Environment, empty: EnvironmentStore, lock: bytes) -> None:
    started = time.monotonic()
    again = empty.build(EnvironmentSpec(lock=lock, python=PYTHON))
    interpreter = empty.interpreters.get(again.interpreter)
    assert interpreter is not None
    print(
        f"built from nothing in {time.monotonic() - started:.1f} s; interpreter {interpreter.size_bytes / 1e6:.0f} MB"
    )
    assert again.digest == built.digest
    assert again.interpreter == built.interpreter
    assert empty.verify(again.digest) == []


def test_it_is_found_again_in_milliseconds(built: Environment, store: EnvironmentStore, lock: bytes) -> None:
    spec = EnvironmentSpec(lock=lock, python=PYTHON)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        assert store.find(spec) == built
        seconds.append(time.perf_counter() - started)
    print(f"found in {min(seconds) * 1000:.1f} ms")
    assert min(seconds) < 0.1


def start_build(store: EnvironmentStore, lock: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILD, str(store.root), str(lock), PYTHON]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_two_processes_at_once_build_it_once(empty: EnvironmentStore, lock: bytes, tmp_path: Path) -> None:
    (tmp_path / "lock").write_bytes(lock)
    builds = [start_build(empty, tmp_path / "lock") for _ in range(3)]
    digests = {build.communicate(timeout=300)[0] for build in builds}
    assert [build.returncode for build in builds] == [0, 0, 0]
    assert len(digests) == 1
    log = (empty.shelf.folder / digests.pop().strip() / "build.log").read_text()
    assert log.count("Installed 3 packages") == 1
    assert len(empty.interpreters.list()) == 1


def test_a_build_killed_at_any_moment_leaves_nothing_that_counts(
    built: Environment, empty: EnvironmentStore, lock: bytes, tmp_path: Path
) -> None:
    (tmp_path / "lock").write_bytes(lock)
    moments = random.Random(0)
    killed = 0
    for number in range(8):
        if number == 3:
            # From here on the interpreter is there, and the moments fall into the environment's own build.
            empty.interpreters.provide(PYTHON, progress=print)
        build = start_build(empty, tmp_path / "lock")
        with contextlib.suppress(subprocess.TimeoutExpired):
            build.wait(moments.uniform(0.2, 2.5) if number < 3 else moments.uniform(0.3, 1.2))
        killed += build.poll() is None
        build.kill()
        build.communicate()
    print(f"{killed} of 8 processes were killed before they ended")
    assert killed
    assert empty.build(EnvironmentSpec(lock=lock, python=PYTHON)).digest == built.digest
    assert empty.verify(built.digest) == []
    empty.gc({built.digest}, older_than=timedelta(days=10_000))
    assert list((empty.root / "building").iterdir()) == []
    assert nothing_runs_below(empty.root)


def nothing_runs_below(root: Path) -> bool:
    """Whether no process has a folder of the store mounted; a killed build's own may take a moment to go."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(str(root) in mounts for mounts in _mounts_of_all()):
            return True
        time.sleep(0.05)
    return False


def _mounts_of_all() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield (process / "mountinfo").read_text()


def test_a_package_without_a_wheel_is_refused_by_name_unless_sources_are_allowed(empty: EnvironmentStore) -> None:
    lock = b"docopt==0.6.2 --hash=sha256:49b3a825280bd66b3aa83585ef59c4a8c82f2c8a522dbe754a8bc8d08c85c491\n"
    with pytest.raises(EnvironmentBroken, match="docopt has no wheel that fits"):
        empty.build(EnvironmentSpec(lock=lock, python=PYTHON))
    allowed = empty.build(EnvironmentSpec(lock=lock, python=PYTHON, allow_sdist=True))
    assert (allowed.mounts[1].source / "lib" / f"python{PYTHON}" / "site-packages" / "docopt.py").exists()


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        (f"six==1.17.0 --hash=sha256:{'0' * 64}\n", "Hash mismatch for `six==1.17.0`"),
        ("six==1.17.0\n", "all requirements must have a hash"),
        (f"six==99.0 --hash=sha256:{'0' * 64}\n", "six==99.0"),
        (
            "python-dateutil==2.9.0 --hash=sha256:cbf2f1da5e6083ac2fbfd4da39a25f34312230110440f424a14c7558bb85d82e\n",
            "six",
        ),
        ("this is no lock\n", "requirements.lock"),
    ],
    ids=["another hash", "no hash", "no such version", "incomplete", "nonsense"],
)
def test_a_lock_that_does_not_hold_is_refused_in_a_sentence(store: EnvironmentStore, lock: str, said: str) -> None:
    with pytest.raises(EnvironmentBroken) as refusal:
        store.build(EnvironmentSpec(lock=lock.encode(), python=PYTHON))
    print(refusal.value)
    assert said in refusal.value.message
    assert "\n" not in str(refusal.value)
    assert str(store.root / "logs") in refusal.value.remedy


def test_wheels_of_a_local_folder_give_one_digest_whatever_their_times(
    store: EnvironmentStore, empty: EnvironmentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "wheels" / "tiny-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    about = "tiny-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "answer = 42\n")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "".join(f"{each},,\n" for each in ("tiny.py", f"{about}/RECORD")))
    monkeypatch.setenv("UV_FIND_LINKS", str(wheel.parent))
    lock = f"tiny==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n".encode()
    one = store.build(EnvironmentSpec(lock=lock, python=PYTHON))
    os.utime(wheel, (1, 1))
    assert empty.build(EnvironmentSpec(lock=lock, python=PYTHON)).digest == one.digest


def test_another_site_gets_the_interpreter_and_builds_the_same_environment(
    built: Environment, store: EnvironmentStore, empty: EnvironmentStore, lock: bytes, tmp_path: Path
) -> None:
    spec = EnvironmentSpec(lock=lock, python=PYTHON, interpreter=built.interpreter)
    with pytest.raises(EnvironmentBroken, match="not at this site"):
        empty.build(spec)
    file = tmp_path / "interpreter.tar.gz"
    store.interpreters.pack(built.interpreter, file)
    print(f"packed: {file.stat().st_size / 1e6:.0f} MB")
    assert empty.interpreters.unpack(file, digest=built.interpreter).digest == built.interpreter
    again = empty.build(spec)
    assert again.digest == built.digest
    status, said = run_inside(again, ["python", "-c", LOOK_AROUND], tmp_path / "log")
    assert status == 0, said


def test_a_pack_is_refused_under_another_name(
    built: Environment, store: EnvironmentStore, empty: EnvironmentStore, tmp_path: Path
) -> None:
    file = tmp_path / "interpreter.tar.gz"
    store.interpreters.pack(built.interpreter, file)
    with pytest.raises(EnvironmentBroken, match="does not hold the interpreter"):
        empty.interpreters.unpack(file, digest="0" * 64)
    assert empty.interpreters.list() == []


def test_a_damaged_interpreter_is_replaced_and_the_environment_is_the_same_again(
    built: Environment, empty: EnvironmentStore, lock: bytes
) -> None:
    spec = EnvironmentSpec(lock=lock, python=PYTHON)
    first = empty.build(spec)
    victim = first.mounts[0].source / "lib" / f"python{PYTHON}" / "os.py"
    victim.chmod(0o644)
    victim.write_text(victim.read_text() + "\n")
    assert [each.where for each in empty.verify(first.digest)] == [str(victim)]
    said: list[str] = []
    assert empty.find(spec, progress=said.append) is None
    assert "was damaged" in said[0]
    assert empty.build(spec).digest == first.digest == built.digest
    assert empty.verify(first.digest) == []
