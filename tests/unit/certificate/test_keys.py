"""A site's key is its own; whom to trust is said in a folder of public keys."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from neurocaas.certificate import Outcome, SigningKey, TrustedKeys, verify
from neurocaas.errors import NotFound, Refused, StorageFailed


def test_a_new_key_is_private_and_its_public_half_is_not(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        key = SigningKey.create(tmp_path / "site.pem")
    finally:
        os.umask(before)
    assert key.path.stat().st_mode & 0o7777 == 0o600
    assert key.public_path == tmp_path / "site.pem.pub"
    assert key.public_path.stat().st_mode & 0o7777 == 0o644
    assert key.path.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert key.public_path.read_text().startswith("-----BEGIN PUBLIC KEY-----")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site.pem", "site.pem.pub"]


def test_a_key_that_was_made_can_be_loaded(key: SigningKey) -> None:
    loaded = SigningKey.load(key.path)
    assert (loaded.key_id, loaded.public_key) == (key.key_id, key.public_key)
    assert loaded.sign(b"message") == key.sign(b"message")


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    key = SigningKey.create(tmp_path / "site.pem")
    private, public = key.path.read_bytes(), key.public_path.read_bytes()
    with pytest.raises(Refused, match="never overwritten"):
        SigningKey.create(tmp_path / "site.pem")
    assert (key.path.read_bytes(), key.public_path.read_bytes()) == (private, public)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620, 0o601])
def test_a_key_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    key = SigningKey.create(tmp_path / "site.pem")
    key.path.chmod(mode)
    with pytest.raises(Refused, match=f"mode {mode:04o}, so others can use it; chmod 600 is right"):
        SigningKey.load(key.path)


def test_what_is_no_signing_key_is_refused(tmp_path: Path) -> None:
    curve = generate_private_key(SECP256R1())
    other = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for data in (b"", b"text", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", other):
        (tmp_path / "key").write_bytes(data)
        (tmp_path / "key").chmod(0o600)
        with pytest.raises(Refused, match="an Ed25519 key is right"):
            SigningKey.load(tmp_path / "key")
    with pytest.raises(NotFound, match="There is no signing key"):
        SigningKey.load(tmp_path / "nothing")
    with pytest.raises(StorageFailed, match="Could not write the key"):
        SigningKey.create(tmp_path / "no folder" / "site.pem")


def test_a_key_is_trusted_from_its_file_listed_and_removed(key: SigningKey, tmp_path: Path) -> None:
    trusted = TrustedKeys(tmp_path / "trusted")
    assert list(trusted) == []
    assert trusted.find(key.public_key) is None
    added = trusted.add(key.public_path, "Bench Lab – Übersee")
    assert (added.name, added.key_id, added.public_key) == ("Bench Lab – Übersee", key.key_id, key.public_key)
    assert list(trusted) == [added]
    assert trusted.find(key.public_key) == added
    assert trusted.remove(key.key_id) == added
    assert list(trusted) == []


def test_trusting_a_key_again_renames_it(key: SigningKey, tmp_path: Path) -> None:
    trusted = TrustedKeys(tmp_path / "trusted")
    trusted.add(key.public_path, "one")
    trusted.add(key.public_path, "two")
    assert [one.name for one in trusted] == ["two"]


def test_a_key_is_trusted_from_a_certificate_that_it_sealed(
    key: SigningKey, certificate: dict[str, Any], tmp_path: Path
) -> None:
    trusted = TrustedKeys(tmp_path / "trusted")
    (tmp_path / "certificate.json").write_text(json.dumps(certificate))
    assert verify(certificate, trusted).outcome is Outcome.UNKNOWN_KEY
    assert trusted.add(tmp_path / "certificate.json", "them").key_id == key.key_id
    assert verify(certificate, trusted).outcome is Outcome.VALID
    trusted.remove("them")
    assert verify(certificate, trusted).outcome is Outcome.UNKNOWN_KEY


def test_no_key_is_trusted_from_an_altered_certificate(certificate: dict[str, Any], tmp_path: Path) -> None:
    trusted = TrustedKeys(tmp_path / "trusted")
    for altered in ({**certificate, "seed": 8}, {**certificate, "seal": {}}, {"format": "x"}):
        (tmp_path / "certificate.json").write_text(json.dumps(altered))
        with pytest.raises(Refused, match="altered since it was sealed"):
            trusted.add(tmp_path / "certificate.json", "them")
    assert list(trusted) == []


def test_a_private_key_is_not_taken_for_a_public_one(key: SigningKey, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"its \.pub file is right"):
        TrustedKeys(tmp_path / "trusted").add(key.path, "mine")


def test_what_is_no_public_key_is_refused(tmp_path: Path) -> None:
    trusted = TrustedKeys(tmp_path / "trusted")
    curve = generate_private_key(SECP256R1()).public_key()
    other = curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for data in (b"", b"text", other, b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        (tmp_path / "key").write_bytes(data)
        with pytest.raises(Refused, match=r"right\.$"):
            trusted.add(tmp_path / "key", "them")
    with pytest.raises(NotFound):
        trusted.add(tmp_path / "nothing", "them")


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "x" * 81, "\x1b[31m"])
def test_a_name_that_is_no_line_of_text_is_refused(key: SigningKey, tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match="is not right for a key"):
        TrustedKeys(tmp_path / "trusted").add(key.public_path, name)


def test_removing_what_is_not_there_or_not_clear_changes_nothing(key: SigningKey, tmp_path: Path) -> None:
    trusted = TrustedKeys(tmp_path / "trusted")
    trusted.add(key.public_path, "same")
    trusted.add(SigningKey.create(tmp_path / "other.pem").public_path, "same")
    with pytest.raises(NotFound, match="No trusted key is called 'else'"):
        trusted.remove("else")
    with pytest.raises(Refused, match="2 trusted keys are called 'same'; give the id"):
        trusted.remove("same")
    assert len(list(trusted)) == 2


def test_a_key_under_the_id_of_another_is_refused(key: SigningKey, tmp_path: Path) -> None:
    trusted = TrustedKeys(tmp_path / "trusted")
    trusted.add(key.public_path, "them")
    other = SigningKey.create(tmp_path / "other.pem")
    shutil.copy(other.public_path, trusted.folder / f"{key.key_id}.pem")
    with pytest.raises(Refused, match="remove it"):
        trusted.find(key.public_key)


def test_a_plain_public_key_file_put_into_the_folder_is_trusted(key: SigningKey, tmp_path: Path) -> None:
    shutil.copy(key.public_path, tmp_path / f"{key.key_id}.pem")
    assert [one.name for one in TrustedKeys(tmp_path)] == [key.key_id]
