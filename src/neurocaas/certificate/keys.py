"""The key that a site signs with."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from neurocaas.errors import NotFound, Refused, StorageFailed

KEY_BYTES = 32
_BEGIN_PUBLIC = b"-----BEGIN PUBLIC KEY-----"


def key_id(public_key: bytes) -> str:
    """A key's short name: the first 16 hex digits of the SHA-256 of the raw public key (32 bytes)."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def signed_by(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the owner of this raw public key signed exactly these bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def decoded(text: object, size_bytes: int) -> bytes | None:
    """Base64 of exactly so many bytes, in its one right spelling; None for anything else."""
    if not isinstance(text, str):
        return None
    with contextlib.suppress(binascii.Error, ValueError):
        data = base64.b64decode(text, validate=True)
        if len(data) == size_bytes and base64.b64encode(data).decode() == text:
            return data
    return None


class SigningKey:
    """A site's private key. Its public half lies beside it, with `.pub` added to the name, to be given to others."""

    def __init__(self, path: Path, private_key: Ed25519PrivateKey) -> None:
        self.path = path
        self._private_key = private_key
        self.public_key = private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id = key_id(self.public_key)

    @property
    def public_path(self) -> Path:
        return self.path.with_name(self.path.name + ".pub")

    @classmethod
    def create(cls, path: Path) -> SigningKey:
        """Make a new key at `path` (PEM, PKCS 8, mode 0600). Raises `Refused` if something is there already."""
        key = cls(path, Ed25519PrivateKey.generate())
        pem = key._private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            # Linked, not renamed: a link never replaces an older key, and the key is there whole or not at all.
            temporary = written(path, pem, 0o600)
            try:
                os.link(temporary, path)
            finally:
                temporary.unlink()
            written(path, public_pem(key.public_key), 0o644).replace(key.public_path)
        except FileExistsError as error:
            raise Refused(f"{path} exists; a key is never overwritten, because its certificates need it.") from error
        except OSError as error:
            raise StorageFailed(f"Could not write the key {path}: {(error.strerror or str(error)).lower()}.") from error
        return key

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """The key at `path`. Raises `NotFound`, or `Refused` if others can read it or it is no Ed25519 key."""
        try:
            with path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                data = file.read()
        except FileNotFoundError as error:
            raise NotFound(f"There is no signing key {path}.", remedy="neurocaas init makes a site's key.") from error
        except OSError as error:
            raise Refused(f"The signing key {path} can't be read: {(error.strerror or '').lower()}.") from error
        if mode & 0o077:
            raise Refused(f"The signing key {path} has mode {mode:04o}, so others can use it; chmod 600 is right.")
        try:
            private_key = load_pem_private_key(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise Refused(f"{path} is not a private key; a PEM file with an Ed25519 key is right.") from error
        if not isinstance(private_key, Ed25519PrivateKey):
            raise Refused(f"{path} is not an Ed25519 key; a PEM file with an Ed25519 key is right.")
        return cls(path, private_key)

    def sign(self, message: bytes) -> bytes:
        """64 bytes that only this key can make for this message."""
        return self._private_key.sign(message)


def from_pem(data: bytes, path: Path) -> bytes:
    """The raw public key in the file's text. Raises `Refused`."""
    try:
        public_key = load_pem_public_key(data[max(0, data.find(_BEGIN_PUBLIC)) :])
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Refused(f"{path} is neither a public key nor a certificate; one of them is right.") from error
    if not isinstance(public_key, Ed25519PublicKey):
        raise Refused(f"{path} is not an Ed25519 key; the .pub file of a site's key is right.")
    return public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def public_pem(public_key: bytes) -> bytes:
    """A raw public key as the text of a file."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def written(beside: Path, data: bytes, mode: int) -> Path:
    """A new file with this mode and content, beside the one that it will become; on the disk, not only on its way."""
    path = beside.with_name(f".{os.urandom(12).hex()}.part")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    return path
