"""Environments made into images for real: pushed to a registry, pulled by Podman, and an attempt performed inside."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from neurocaas.environment import Environment, EnvironmentSpec, EnvironmentStore, ImageSource, imaging
from neurocaas.environment import tree as trees
from neurocaas.environment.image_records import ImageRef, recorded
from neurocaas.environment.imaging import MOUNTS
from neurocaas.errors import EnvironmentBroken, Refused, RemoteFailed, Unavailable
from neurocaas.reasons import Reason
from neurocaas.runner.document import ExitRecord
from neurocaas.settings import Images
from neurocaas.storage import keys, open_store
from support.attempts import AttemptBench
from support.engine import BASE, engine, own_base, podman
from support.registry import registry
from support.sites import TestSite

# The engine has one storage for all tests, so one worker has the engine.
pytestmark = pytest.mark.xdist_group("engine")

__all__ = ["engine", "registry"]  # fixtures, which pytest finds by name

PYTHON_WORKFLOW = """
python - <<END
import os, sys
print(sys.version_info[:2], os.getuid(), sys.prefix)
open(os.environ["NEUROCAAS_RESULTS"] + "/out.txt", "w").write("done")
END
"""


@pytest.fixture(scope="module")
def store(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvironmentStore]:
    root = tmp_path_factory.mktemp("environments")
    own_base(root)
    yield EnvironmentStore(root, engine=engine)
    trees.remove(root)


@pytest.fixture(scope="module")
def environment(store: EnvironmentStore) -> Environment:
    return store.build(EnvironmentSpec(lock=b""))


@pytest.fixture(scope="module")
def image(store: EnvironmentStore, environment: Environment) -> ImageRef:
    return imaging.image_of(store, environment, Images())


def test_an_image_is_made_once_and_recorded_beside_its_environment(
    store: EnvironmentStore, environment: Environment, image: ImageRef
) -> None:
    said: list[str] = []
    again = imaging.image_of(store, environment, Images(), progress=said.append)
    assert (again.digest, again.id, said) == (image.digest, image.id, [])
    assert recorded(store.images, environment.digest) == again


def test_the_same_environment_gives_the_same_image_made_anew(
    store: EnvironmentStore, environment: Environment, image: ImageRef
) -> None:
    for layer in (store.images / "layers").glob("[!d]*.json"):  # all but the base's
        layer.unlink()
    (store.images / "environments" / f"{environment.digest}.json").unlink()
    again = imaging.image_of(store, environment, Images())
    assert (again.digest, again.id) == (image.digest, image.id)


def test_images_of_two_environments_share_all_layers_but_the_last(store: EnvironmentStore, image: ImageRef) -> None:
    other = store.build(EnvironmentSpec(lock=b"# another\n"))
    layers = [
        [one["digest"] for one in json.loads((store.images / "blobs/sha256" / each[7:]).read_text())["layers"]]
        for each in (image.digest, imaging.image_of(store, other, Images()).digest)
    ]
    assert layers[0][:-1] == layers[1][:-1]


def test_what_is_pushed_can_be_pulled_by_its_digest_and_performs_an_attempt(
    environment: Environment, image: ImageRef, registry: str, tmp_path: Path
) -> None:
    pinned = imaging.push(image, f"{registry}/neurocaas/empty:one")
    assert pinned == f"{registry}/neurocaas/empty@{image.digest}"
    said: list[str] = []
    assert imaging.push(image, f"{registry}/neurocaas/empty:one", progress=said.append) == pinned
    assert said == [f"{registry} has it already."]
    podman("pull", "--quiet", pinned)
    # As AWS Batch runs it: privileged, with bubblewrap inside, and the trees where the image has them.
    there = environment.model_copy(
        update={
            "mounts": tuple(one.model_copy(update={"source": MOUNTS + one.target}) for one in environment.mounts),
            "image": pinned,
        }
    )
    tmp_path.chmod(0o755)
    bench = AttemptBench(tmp_path, there)
    document = bench.lay_out(PYTHON_WORKFLOW, outputs=[{"name": "out", "pattern": "out.txt"}])
    try:
        podman(
            "run", "--rm", "--privileged", "--network", "none", f"--volume={tmp_path}:{tmp_path}", pinned, str(document)
        )
        read = json.loads(document.read_text())
        record = ExitRecord.model_validate_json(open_store(read["store"]).get(keys.exit_record(read["prefix"])))
        assert record.succeeded, record.message
        assert [one.path for one in record.outputs] == ["out.txt"]
        assert record.sandbox.method.startswith("bubblewrap")
    finally:
        podman("rmi", "--force", pinned)


def test_an_image_is_given_to_the_engine_under_its_id(image: ImageRef, engine: str) -> None:
    assert imaging.load(image, engine) == image.id
    assert podman("image", "inspect", "--format", "{{.Id}}", image.reference) == image.id.removeprefix("sha256:")
    podman("rmi", "--force", image.reference)


def test_an_image_may_stand_on_one_that_the_engine_has(
    store: EnvironmentStore, environment: Environment, image: ImageRef
) -> None:
    other = imaging.image_of(store, environment, Images(base=BASE))
    first = [json.loads((store.images / "blobs/sha256" / each.id[7:]).read_text()) for each in (image, other)]
    assert first[0]["rootfs"]["diff_ids"] == first[1]["rootfs"]["diff_ids"]
    with pytest.raises(EnvironmentBroken, match="no-such-base"):
        imaging.image_of(store, environment, Images(), base="localhost/no-such-base:1")


def test_a_registry_that_is_not_there_is_said_to_be_so(image: ImageRef) -> None:
    with pytest.raises(RemoteFailed, match=r"The registry 127\.0\.0\.1:1 did not answer"):
        imaging.push(image, "127.0.0.1:1/neurocaas/empty")


def test_an_existing_image_is_an_environment_by_its_digest(engine: str, registry: str, tmp_path: Path) -> None:
    name = f"{registry}/neurocaas/existing"
    podman("push", "--quiet", "--digestfile", str(tmp_path / "digest"), BASE, f"{name}:1")
    reference = f"{name}@{(tmp_path / 'digest').read_text().strip()}"
    store = EnvironmentStore(tmp_path / "store", engine=engine)
    spec = EnvironmentSpec(kind="image", image=ImageSource(reference=reference))
    built = store.build(spec)
    assert (built.image, built.engine, built.path) == (reference, "podman", ("/usr/bin", "/bin"))
    tmp_path.chmod(0o755)
    record, log = AttemptBench(tmp_path, built).perform("cat /etc/debian_version")
    assert record.succeeded, (record.message, log)
    assert log.startswith("12")
    assert record.sandbox.method.startswith("podman")
    assert "environment" in [one.what for one in store.gc(set(), timedelta())]
    assert store.find(spec) is None


def test_an_image_that_is_nowhere_and_a_build_that_fails_are_said_in_a_sentence(engine: str, tmp_path: Path) -> None:
    store = EnvironmentStore(tmp_path / "store", engine=engine)
    nowhere = ImageSource(reference=f"127.0.0.1:1/nowhere@sha256:{64 * '0'}")
    with pytest.raises(EnvironmentBroken, match=r"The environment could not be built: podman pull: .*127\.0\.0\.1:1"):
        store.build(EnvironmentSpec(kind="image", image=nowhere))
    failing = ImageSource(containerfile=f"FROM {BASE}\nRUN exit 7\n".encode())
    with pytest.raises(EnvironmentBroken, match=r"podman build: .*exit status 7"):
        store.build(EnvironmentSpec(kind="image", image=failing))
    with pytest.raises(Unavailable, match="docker"):
        EnvironmentStore(tmp_path / "store", engine="docker").build(EnvironmentSpec(kind="image", image=nowhere))


def test_a_runner_without_the_engine_or_the_image_says_so(
    engine: str, environment: Environment, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    nowhere = environment.model_copy(update={"mounts": (), "image": 64 * "0", "engine": engine})
    record, _ = AttemptBench(tmp_path / "image", nowhere).perform("true")
    assert record.reason is Reason.ENVIRONMENT_BROKEN
    assert f"The image {64 * '0'} is not in podman's storage" in record.message
    record, _ = AttemptBench(tmp_path / "engine", nowhere.model_copy(update={"engine": "docker"})).perform("true")
    assert (record.reason, "docker" in record.message) == (Reason.SANDBOX_FAILED, True)


def test_a_build_has_no_network_and_sees_only_the_files_it_names(engine: str, tmp_path: Path) -> None:
    containerfile = f"FROM {BASE}\nCOPY . /context\nRUN ls /context > /seen; ls /sys/class/net >> /seen; cat /seen\n"
    said: list[str] = []
    store = EnvironmentStore(tmp_path / "store", engine=engine)
    source = ImageSource(containerfile=containerfile.encode(), files=(("a/greeting.txt", os.urandom(8)),))
    store.build(EnvironmentSpec(kind="image", image=source), progress=said.append)
    assert [line for line in said if line in ("a", "lo", "eth0", "Containerfile")] == ["a", "lo"]
    store.gc(set(), timedelta())


def test_the_command_line_makes_and_pushes_an_image(local_site: TestSite, engine: str, registry: str) -> None:
    local_site.analysis("hello", "echo hello")
    own_base(local_site.root / ".neurocaas" / "environments")
    pushed = local_site("env", "image", "hello", "--push", f"{registry}/site/hello")
    pinned = pushed.out.strip()
    assert pinned.startswith(f"{registry}/site/hello@sha256:")
    made = local_site("env", "image", "hello", "--json").json
    assert pinned.endswith(made["digest"])
    assert made["digest"][7:19] in local_site("env", "list").out
    assert [
        one["image"] for one in local_site("env", "list", "--json").json if one["digest"] == made["environment"]
    ] == [made["digest"]]
    refused = local_site("env", "image", "hello", "--push", "hello", expect=2)
    assert "HOST/NAME" in refused.err


def test_the_doctor_says_which_engine_there_is_and_whether_a_container_runs(local_site: TestSite, engine: str) -> None:
    def containers() -> dict[str, object]:
        return next(one for one in local_site("doctor", "--json", expect=None).json if one["part"] == "containers")

    assert containers()["well"] is True
    assert str(containers()["found"]).endswith("runs containers")
    site = local_site.root / "site.json"
    site.write_text(json.dumps(json.loads(site.read_text()) | {"images": {"engine": "docker"}}))
    assert containers()["well"] is False
    assert "docker" in str(containers()["found"])


def test_an_analysis_in_an_image_runs_from_the_command_line_to_its_certificate(
    local_site: TestSite, engine: str
) -> None:
    local_site.analysis(
        "imaged",
        'cat /opt/greeting.txt "$NEUROCAAS_INPUT_DATA" > "$NEUROCAAS_RESULTS/out.txt"',
        commit=False,
        environment={"kind": "image", "containerfile": "Containerfile", "files": ["greeting.txt"]},
        outputs={"out": {"kind": "txt", "pattern": "out.txt"}},
    )
    folder = local_site.root / "analyses" / "imaged"
    (folder / "Containerfile").write_text(f"FROM {BASE}\nCOPY greeting.txt /opt/greeting.txt\n")
    (folder / "greeting.txt").write_text("hello from the image\n")
    local_site.git("add", "--all")
    local_site.git("commit", "--quiet", "--message", "Declare imaged")
    results = local_site.folder / "results"
    local_site("run", "imaged", *local_site.data(1), "--out", results)
    assert [one.read_text() for one in results.rglob("out.txt")] == ["hello from the image\ndataset 0\n"]
    certificate = json.loads(next(results.rglob("certificate.json")).read_text())
    assert {step["environment"]["kind"] for step in certificate["steps"]} == {"image"}
    local_site("verify", next(results.rglob("certificate.json")))
    crate = local_site.folder / "crate.zip"
    local_site("export", certificate["job"]["id"], "--crate", "--to", crate)
    assert crate.is_file()
    exported = local_site.folder / "imaged.neurocaas"
    local_site("analysis", "export", "imaged", "--to", exported)
    local_site("analysis", "import", exported)
    refused = local_site("env", "image", "imaged", expect=2)
    assert "is of kind image" in refused.err
    shutil.rmtree(results)


def test_an_environment_of_kind_image_is_not_made_into_an_image(
    store: EnvironmentStore, environment: Environment
) -> None:
    with pytest.raises(Refused, match="python is right"):
        imaging.image_of(store, environment.model_copy(update={"kind": "image"}), Images())
