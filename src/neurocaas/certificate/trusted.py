"""The keys of sites that are trusted here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neurocaas.certificate.keys import from_pem, key_id, public_pem, written
from neurocaas.certificate.seal import SEAL, read_certificate, sealing_key, section_digests
from neurocaas.errors import NotFound, Refused, StorageFailed

NAME_CHARACTERS = 80
_NAME = "name: "


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedKey:
    """A public key (32 raw bytes) and what it is called here."""

    name: str
    key_id: str
    public_key: bytes


class TrustedKeys:
    """A folder of public keys, `<key id>.pem`, each with its name on the line above the key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __iter__(self) -> Iterator[TrustedKey]:
        """All keys, sorted by name. A file that is no public key is refused, not passed over."""
        keys = [self._read(path) for path in self.folder.glob("*.pem")]
        return iter(sorted(keys, key=lambda key: (key.name, key.key_id)))

    def find(self, public_key: bytes) -> TrustedKey | None:
        """The trusted key that is this one in full; None if there is none."""
        path = self.folder / f"{key_id(public_key)}.pem"
        if not path.is_file():
            return None
        key = self._read(path)
        return key if key.public_key == public_key else None

    def add(self, source: Path, name: str) -> TrustedKey:
        """Trust the key in a public key file, or the one that sealed a certificate, under this name. Quiet if trusted.

        Raises `NotFound`, or `Refused` for another kind of file, a certificate whose seal is altered, or a bad name.
        """
        if not name.strip() or len(name) > NAME_CHARACTERS or not name.isprintable():
            raise Refused(f"The name {name!r} is not right for a key; one line of up to 80 characters is.")
        public_key = _public_key_in(source)
        key = TrustedKey(name=name.strip(), key_id=key_id(public_key), public_key=public_key)
        path = self.folder / f"{key.key_id}.pem"
        text = f"{_NAME}{key.name}\n".encode() + public_pem(public_key)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            written(path, text, 0o644).replace(path)
        except OSError as error:
            raise StorageFailed(f"Could not write the key {path}: {(error.strerror or str(error)).lower()}.") from error
        return key

    def remove(self, name_or_id: str) -> TrustedKey:
        """Trust this key no longer. Raises `NotFound`, or `Refused` if several keys have the name."""
        chosen = [key for key in self if name_or_id in {key.name, key.key_id}]
        if not chosen:
            known = ", ".join(f"{key.name} ({key.key_id})" for key in self) or "none"
            raise NotFound(f"No trusted key is called {name_or_id!r}; there are: {known}.")
        if len(chosen) > 1:
            raise Refused(f"{len(chosen)} trusted keys are called {name_or_id!r}; give the id of one.")
        (self.folder / f"{chosen[0].key_id}.pem").unlink(missing_ok=True)
        return chosen[0]

    def _read(self, path: Path) -> TrustedKey:
        data = path.read_bytes()
        head = data.partition(b"-----BEGIN")[0].decode(errors="replace").strip()
        public_key = from_pem(data, path)
        if path.stem != key_id(public_key):
            raise Refused(f"{path} holds the key {key_id(public_key)}; remove it, then add the key again.")
        return TrustedKey(name=head.removeprefix(_NAME) or path.stem, key_id=path.stem, public_key=public_key)


def _public_key_in(source: Path) -> bytes:
    try:
        data = source.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"{source}: there is no such file.") from error
    except OSError as error:
        raise Refused(f"{source} can't be read: {(error.strerror or str(error)).lower()}.") from error
    if b"PRIVATE KEY" in data:
        raise Refused(f"{source} holds a private key, which is for its owner only; its .pub file is right.")
    if data.lstrip().startswith(b"{"):
        certificate = read_certificate(source)
        public_key = sealing_key(certificate)
        if public_key is None or section_digests(certificate) != certificate[SEAL]["sections"]:
            raise Refused(f"{source} was altered since it was sealed; a certificate as its site wrote it is right.")
        return public_key
    return from_pem(data, source)
