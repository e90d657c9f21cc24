from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import IO

import pytest

from neurocaas.environment import registry, runner_tree
from neurocaas.environment.image_records import ImageRef, prune, record, recorded
from neurocaas.environment.oci import Blobs, Image, Layer, add_parents, add_tree, packing
from neurocaas.environment.values import Interpreter
from neurocaas.errors import Refused


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin" / "program").write_text("#!/bin/sh\n")
    (tree / "bin" / "program").chmod(0o700)
    (tree / "link").symlink_to("bin/program")
    (tree / "secret").write_text("text")
    (tree / "secret").chmod(0o600)
    return tree


def layer_of(blobs: Blobs, tree: Path, key: str = "one") -> Layer:
    def write(to: IO[bytes]) -> None:
        with packing(to) as archive:
            add_parents(archive, "/opt/it")
            add_tree(archive, tree, "/opt/it")

    return blobs.layer(key, write)


def image_in(blobs: Blobs, tree: Path) -> Image:
    return blobs.image([layer_of(blobs, tree)], {"Entrypoint": ["/opt/it/bin/program"]})


def test_the_same_tree_gives_the_same_image_wherever_and_whenever_it_is_made(tree: Path, tmp_path: Path) -> None:
    one = image_in(Blobs(tmp_path / "one"), tree)
    os.utime(tree / "secret", (1, 1))
    (tree / "bin" / "program").chmod(0o755)
    assert image_in(Blobs(tmp_path / "two"), tree) == one


def test_what_is_in_a_layer_is_roots_readable_by_all_and_writable_by_none(tree: Path, tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    with tarfile.open(blobs.path(layer_of(blobs, tree).digest)) as archive:
        found = {one.name: (one.mode, one.uid, one.gid, one.mtime, one.linkname) for one in archive}
    assert found == {
        "opt": (0o755, 0, 0, 0, ""),
        "opt/it": (0o755, 0, 0, 0, ""),
        "opt/it/bin": (0o755, 0, 0, 0, ""),
        "opt/it/bin/program": (0o555, 0, 0, 0, ""),
        "opt/it/link": (0o777, 0, 0, 0, "bin/program"),
        "opt/it/secret": (0o444, 0, 0, 0, ""),
    }


def test_a_layer_is_made_once_and_every_blob_is_what_its_name_says(tree: Path, tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    image = image_in(blobs, tree)
    (tree / "secret").unlink()
    assert layer_of(blobs, tree).digest == blobs.manifest(image)["layers"][0]["digest"]
    for blob in blobs.folder.iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    config = json.loads(blobs.path(image.id).read_bytes())
    assert len(config["history"]) == len(config["rootfs"]["diff_ids"]) == 1


def test_an_image_that_lost_a_layer_is_not_whole(tree: Path, tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    image = image_in(blobs, tree)
    assert blobs.whole(image)
    blobs.path(blobs.manifest(image)["layers"][0]["digest"]).unlink()
    assert not blobs.whole(image)


def test_a_layer_that_could_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    def fail(to: IO[bytes]) -> None:
        to.write(b"some")
        raise OSError("disk full")

    blobs = Blobs(tmp_path / "blobs")
    with pytest.raises(OSError, match="disk full"):
        blobs.layer("one", fail)
    assert list(blobs.folder.iterdir()) == []


def test_pruning_forgets_images_of_environments_that_are_gone_and_what_only_they_held(
    tree: Path, tmp_path: Path
) -> None:
    root = tmp_path / "images"
    image = image_in(Blobs(root), tree)
    for environment in ("a" * 64, "b" * 64):
        record(ImageRef(**image.model_dump(), reference="r", environment=environment, made_of="", root=root))
    assert list(prune(root, {"a" * 64}, older_than_seconds=0)) == []
    assert recorded(root, "b" * 64) is None
    assert recorded(root, "a" * 64) is not None
    assert len(list(prune(root, set(), older_than_seconds=0))) == 3  # layer, config, manifest
    assert list(Blobs(root).folder.iterdir()) == []


def test_an_image_is_found_where_its_store_lies_now(tree: Path, tmp_path: Path) -> None:
    image = image_in(Blobs(tmp_path / "before"), tree)
    made = record(
        ImageRef(**image.model_dump(), reference="r", environment="a" * 64, made_of="", root=tmp_path / "before")
    )
    (tmp_path / "before").rename(tmp_path / "now")
    found = recorded(tmp_path / "now", "a" * 64)
    assert found == made.model_copy(update={"root": tmp_path / "now"})
    assert Blobs(found.root).whole(found.image)


# The runner


def test_the_runner_that_travels_imports_all_that_it_needs_from_its_own_folder(tmp_path: Path) -> None:
    runner_tree.lay_out(tmp_path / "lib")
    modules = [path.removesuffix(".py").replace("/", ".") for path, _ in runner_tree.own_files()]
    script = f"import sys; sys.path.insert(0, {str(tmp_path / 'lib')!r})\n"
    script += "".join(f"import {name}\n" for name in modules if not name.endswith(("__main__", "__init__")))
    script += "import neurocaas; print(neurocaas.__file__)"
    answer = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == str(tmp_path / "lib/neurocaas/__init__.py")
    assert not {"django", "boto3", "click"} & {path.name for path in (tmp_path / "lib").iterdir()}


def test_the_start_script_uses_the_runners_own_interpreter_and_libraries() -> None:
    interpreter = Interpreter(
        digest="0" * 64,
        version="3.11.7",
        executable="python3.11",
        variables={"LD_LIBRARY_PATH": "/python/lib"},
        source="",
        size_bytes=0,
        built_at="",
        tree=Path("/nowhere"),
    )
    assert runner_tree.start_script(interpreter) == (
        "#!/bin/sh\n"
        "export LD_LIBRARY_PATH=/opt/neurocaas/runner/python/lib PYTHONPATH=/opt/neurocaas/runner/lib\n"
        'exec /opt/neurocaas/runner/python/bin/python3.11 -s -B -m neurocaas.runner "$@"\n'
    )


# Registries


@pytest.mark.parametrize(
    ("reference", "url", "tag"),
    [
        ("127.0.0.1:5000/neurocaas/pca:one", "http://127.0.0.1:5000/v2/neurocaas/pca", "one"),
        ("localhost/pca", "http://localhost/v2/pca", ""),
        ("1.dkr.ecr.us-east-1.amazonaws.com/pca", "https://1.dkr.ecr.us-east-1.amazonaws.com/v2/pca", ""),
    ],
)
def test_only_a_registry_on_this_machine_is_spoken_to_without_tls(reference: str, url: str, tag: str) -> None:
    place = registry.parse(reference)
    assert (place.url, place.tag) == (url, tag)


@pytest.mark.parametrize("reference", ["pca", "neurocaas/pca", "example.org/PCA", "https://example.org/pca", "a.b/c@d"])
def test_a_place_without_a_registry_is_refused(reference: str) -> None:
    with pytest.raises(Refused, match="HOST/NAME"):
        registry.parse(reference)


def test_who_may_push_is_read_where_logging_in_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = base64.b64encode(b"AWS:a:secret").decode()
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {"example.org": {"auth": auth}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert registry.credentials_for("example.org") == ("AWS", "a:secret")
    assert registry.credentials_for("example.com") is None


def test_a_credential_helper_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-vault"
    helper.write_text('#!/bin/sh\nread host; echo "{\\"Username\\": \\"$host\\", \\"Secret\\": \\"s\\"}"\n')
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"example.org": "vault"}}))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "none.json"))
    assert registry.credentials_for("example.org") == ("example.org", "s")
