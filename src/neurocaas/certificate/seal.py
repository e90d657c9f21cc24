"""Seal the facts of a job: a digest for each section, and one Ed25519 signature over all digests.

The canonical form is RFC 8785 (JSON Canonicalization Scheme). That form has no integers beyond ±(2^53 - 1), so such
an integer n is digested as {"": "n"}, and an object whose only key is "" with its value wrapped in a list.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rfc8785

from neurocaas.certificate.facts import Facts
from neurocaas.certificate.keys import KEY_BYTES, SigningKey, decoded, key_id, signed_by
from neurocaas.documents import parse
from neurocaas.errors import NotFound, Refused

FORMAT = "neurocaas-certificate/2"
ALGORITHM = "Ed25519"
SEAL = "seal"
NAME = "the certificate's facts"
SIGNATURE_BYTES = 64
_LARGEST_INTEGER = 2**53 - 1
_NOT_CANONICAL = (ValueError, RecursionError)


def seal(facts: dict[str, Any], key: SigningKey) -> dict[str, Any]:
    """The certificate of these facts, signed. Raises `Refused` with a sentence per fact that is missing or wrong."""
    checked = parse(Facts, _encodable(facts, NAME), NAME)
    return seal_document({"format": FORMAT, **checked.model_dump(mode="json")}, key)


def seal_document(document: dict[str, Any], key: SigningKey) -> dict[str, Any]:
    """Any document with a `format`, sealed section by section as a certificate is."""
    unsigned: dict[str, Any] = {
        "algorithm": ALGORITHM,
        "key_id": key.key_id,
        "public_key": base64.b64encode(key.public_key).decode(),
        "sections": section_digests(document),
    }
    if unsealable := [name for name, digest in unsigned["sections"].items() if not digest]:
        raise Refused(f"{NAME}: {', '.join(unsealable)} can't be written as JSON; smaller numbers are right.")
    signature = base64.b64encode(key.sign(canonical(unsigned))).decode()
    return {**document, SEAL: {**unsigned, "signature": signature}}


def section_digests(certificate: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of each section: each top-level field but the seal, and each stack by itself as `stacks/0`, `stacks/1`…

    Distinct certificates have distinct digests: a slash in a field's own name is escaped as JSON pointers do (`~1`).
    """
    sections: dict[str, Any] = {}
    for field, value in certificate.items():
        if field == SEAL:
            continue
        name = field.replace("~", "~0").replace("/", "~1")
        if field == "stacks" and isinstance(value, list) and value:
            sections |= {f"{name}/{index}": stack for index, stack in enumerate(value)}
        else:
            sections[name] = value
    return {name: _digest(value) for name, value in sections.items()}


def sealing_key(certificate: Mapping[str, Any]) -> bytes | None:
    """The raw public key whose owner signed the certificate's seal as it stands; None if nobody did.

    The sections may still have been altered: compare `section_digests` with those of the seal.
    """
    seal = certificate.get(SEAL)
    if not isinstance(seal, dict) or seal.get("algorithm") != ALGORITHM or not isinstance(seal.get("sections"), dict):
        return None
    public_key = decoded(seal.get("public_key"), KEY_BYTES)
    signature = decoded(seal.get("signature"), SIGNATURE_BYTES)
    if public_key is None or signature is None or seal.get("key_id") != key_id(public_key):
        return None
    try:
        message = canonical({name: value for name, value in seal.items() if name != "signature"})
    except _NOT_CANONICAL:
        return None
    return public_key if signed_by(public_key, signature, message) else None


def canonical(value: Any) -> bytes:
    """The bytes that are digested and signed."""
    return rfc8785.dumps(_within_rfc8785(value))


def read_certificate(path: Path) -> dict[str, Any]:
    """The certificate in a JSON file. Raises `NotFound`, or `Refused` if it is none.

    A field that is there twice is refused: a person might read the one and a program the other.
    """
    try:
        certificate = json.loads(path.read_bytes(), object_pairs_hook=_once, parse_constant=_no_constant)
    except FileNotFoundError as error:
        raise NotFound(f"{path}: there is no such file.") from error
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path} is not a certificate: {error}; a certificate.json is right.") from error
    if not isinstance(certificate, dict):
        raise Refused(f"{path} is not a certificate; a certificate.json is right.")
    return certificate


def _digest(value: Any) -> str:
    """SHA-256 of the canonical form; "" for what has none (an infinite number, half a character), never sealed."""
    try:
        return hashlib.sha256(canonical(value)).hexdigest()
    except _NOT_CANONICAL:
        return ""


def _within_rfc8785(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_INTEGER else {"": str(value)}
    if isinstance(value, dict):
        inside = {key: _within_rfc8785(item) for key, item in value.items()}
        return {"": [inside[""]]} if inside.keys() == {""} else inside
    if isinstance(value, list | tuple):
        return [_within_rfc8785(item) for item in value]
    return value


def _encodable(value: Any, where: str) -> Any:
    """Names of files may hold bytes that are no text: replaced. JSON has no NaN: refused."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused(f"{where}: found {value}; a finite number is right.")
    if isinstance(value, dict):
        return {_encodable(key, where): _encodable(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item, f"{where}[{index}]") for index, item in enumerate(value)]
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1)
        raise ValueError(f"the field {twice!r} is there twice")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
