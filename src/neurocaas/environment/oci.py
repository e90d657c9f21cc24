"""OCI images made of folders: layers, a config and a manifest whose bytes depend on their contents alone.

A layer is a tar with sorted names, no times and no owners, compressed once and kept by its digest; images that hold
the same tree share its layer. The format is the OCI image specification 1.0, which every engine and registry reads.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import platform
import secrets
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from neurocaas.documents import Document, canonical
from neurocaas.environment import tree as trees

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
# Of a folder of 300 MB, level 6 saves a few percent more and takes three times as long.
COMPRESSION = 3
BLOCK_BYTES = 1 << 20
NO_TIME = "1970-01-01T00:00:00Z"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Layer(Document):
    """digest: of the compressed bytes, by which a registry names it; diff_id: of the tar, by which an engine does."""

    digest: str
    diff_id: str
    size_bytes: int


class Image(Document):
    """digest: of the manifest, by which a registry names it; id: of the config, by which an engine does."""

    digest: str
    id: str
    size_bytes: int


class Blobs:
    """Layers, configs and manifests below `root`/blobs/sha256, and which layer holds what in `root`/layers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "blobs" / "sha256"
        self._layers = root / "layers"

    def path(self, digest: str) -> Path:
        return self.folder / digest.removeprefix("sha256:")

    def put(self, content: bytes) -> str:
        """Keep a small blob; its digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        with self._temporary() as temporary:
            temporary.write_bytes(content)
            temporary.rename(self.path(digest))
        return digest

    def layer(self, key: str, write: Callable[[IO[bytes]], None]) -> Layer:
        """The layer that holds what `key` names for good; if it is not here, `write` writes its tar."""
        record = self._layers / f"{key}.json"
        with contextlib.suppress(OSError, ValueError):
            known = Layer.model_validate_json(record.read_bytes())
            if self.path(known.digest).is_file():
                return known
        made = self._compress(write)
        record.parent.mkdir(parents=True, exist_ok=True)
        temporary = record.with_name(f".{record.name}.{secrets.token_hex(4)}")
        temporary.write_text(made.model_dump_json())
        temporary.rename(record)
        return made

    def _compress(self, write: Callable[[IO[bytes]], None]) -> Layer:
        with self._temporary() as temporary:
            with temporary.open("wb") as raw:
                packed = _Hashing(raw)
                with gzip.GzipFile(
                    filename="", fileobj=packed, mode="wb", compresslevel=COMPRESSION, mtime=0
                ) as zipped:
                    plain = _Hashing(cast("IO[bytes]", zipped))
                    write(cast("IO[bytes]", plain))
            temporary.rename(self.path(packed.digest))
        return Layer(digest=packed.digest, diff_id=plain.digest, size_bytes=packed.size_bytes)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        """A new file beside the blobs, which goes away unless it is renamed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f".{secrets.token_hex(8)}"
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def image(self, layers: Iterable[Layer], config: Mapping[str, Any]) -> Image:
        """An image of these layers, the first lowest. config: as `config` of the OCI image configuration."""
        stack = list(layers)
        described = {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "config": dict(config),
            "created": NO_TIME,
            # Podman builds on an image only if its history tells of every layer.
            "history": [{"created": NO_TIME, "created_by": "neurocaas"} for _ in stack],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in stack]},
        }
        text = canonical(described)
        image_id = self.put(text)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": image_id, "size": len(text)},
            "layers": [{"mediaType": LAYER_TYPE, "digest": one.digest, "size": one.size_bytes} for one in stack],
        }
        size_bytes = sum(one.size_bytes for one in stack)
        return Image(digest=self.put(canonical(manifest)), id=image_id, size_bytes=size_bytes)

    def manifest(self, image: Image) -> dict[str, Any]:
        return dict(json.loads(self.path(image.digest).read_bytes()))

    def parts(self, image: Image) -> set[str]:
        """The names of all blobs that the image consists of."""
        manifest = self.manifest(image)
        described = [image.digest, *(one["digest"] for one in (manifest["config"], *manifest["layers"]))]
        return {self.path(digest).name for digest in described}

    def whole(self, image: Image) -> bool:
        """Whether everything that the image consists of is here. Opens the manifest alone."""
        try:
            return all((self.folder / name).is_file() for name in self.parts(image))
        except (OSError, ValueError):
            return False

    def write_archive(self, image: Image, to: IO[bytes], *, tag: str) -> None:
        """The image as `docker save` writes it, which `podman load` and `docker load` read; named `tag`."""
        manifest = self.manifest(image)
        blobs = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
        names = {digest: f"blobs/sha256/{digest.removeprefix('sha256:')}" for digest in blobs}
        listing = [{"Config": names[blobs[0]], "RepoTags": [tag], "Layers": [names[digest] for digest in blobs[1:]]}]
        with packing(to) as archive:
            for digest, name in names.items():
                with self.path(digest).open("rb") as blob:
                    member = tarfile.TarInfo(name)
                    member.size = self.path(digest).stat().st_size
                    archive.addfile(member, blob)
            add_bytes(archive, "manifest.json", json.dumps(listing).encode())


class _Hashing(io.RawIOBase):
    """A file that digests and counts what is written to it, and passes it on."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._sha256.update(data)
        self.size_bytes += len(data)
        self._file.write(data)
        return len(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._sha256.hexdigest()}"


@contextlib.contextmanager
def packing(to: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """A tar that is written into the stream `to` as it grows."""
    with tarfile.open(fileobj=to, mode="w|", format=tarfile.PAX_FORMAT, bufsize=BLOCK_BYTES) as archive:
        yield archive


def add_bytes(archive: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o444) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    archive.addfile(member, io.BytesIO(content))


def add_parents(archive: tarfile.TarFile, target: str) -> None:
    """The folders above the absolute path `target`, which every user may pass."""
    for folder in reversed(PurePosixPath(target).parents[:-1]):
        add_folder(archive, str(folder))


def add_folder(archive: tarfile.TarFile, target: str) -> None:
    member = tarfile.TarInfo(target.lstrip("/"))
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    archive.addfile(member)


def add_tree(archive: tarfile.TarFile, tree: Path, target: str) -> None:
    """Everything below `tree`, at the absolute path `target`: root's, readable by all, writable by none."""
    add_folder(archive, target)
    for path, status in trees.walk(tree):
        member = tarfile.TarInfo(f"{target.lstrip('/')}/{path}")
        if stat.S_ISDIR(status.st_mode):
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(member)
        elif stat.S_ISLNK(status.st_mode):
            member.type, member.mode, member.linkname = tarfile.SYMTYPE, 0o777, str((tree / path).readlink())
            archive.addfile(member)
        else:
            member.mode = 0o555 if status.st_mode & 0o111 else 0o444
            member.size = status.st_size
            with (tree / path).open("rb") as file:
                archive.addfile(member, file)
