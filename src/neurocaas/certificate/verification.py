"""Say whether a certificate is what its site sealed, and whether results are those it speaks of."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from neurocaas.certificate.keys import key_id
from neurocaas.certificate.seal import FORMAT, SEAL, sealing_key, section_digests
from neurocaas.certificate.trusted import TrustedKeys
from neurocaas.errors import NotFound, Refused
from neurocaas.storage import digest_many

BESIDE_RESULTS = frozenset({"certificate.json", "certificate.txt"})
BESIDE_OUTPUTS = "log.txt"


class Outcome(StrEnum):
    VALID = "valid"
    ALTERED = "altered"
    UNKNOWN_KEY = "unknown key"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """alterations: one sentence each, empty unless altered. sealed_by: the trusted key's name; None if it is unknown.

    key_id: "" if the seal itself was altered.
    """

    outcome: Outcome
    key_id: str
    sealed_by: str | None
    alterations: tuple[str, ...] = ()


def verify(
    certificate: dict[str, Any], trusted: TrustedKeys, results: Path | None = None, *, format_: str = FORMAT
) -> Verdict:
    """Check the seal, every section, and the files below `results` if they are given.

    What was altered matters more than whose key it was: an altered certificate under an unknown key is altered.
    Raises `Refused` if this is no certificate, `NotFound` if `results` is no folder, `StorageFailed` if a result can
    not be read.
    """
    _check_format(certificate, format_)
    public_key = sealing_key(certificate)
    if public_key is None:
        found = ("The seal was altered, so nothing in this certificate can be relied upon.",)
        return Verdict(outcome=Outcome.ALTERED, key_id="", sealed_by=None, alterations=found)
    alterations = [*_altered_sections(certificate)]
    if results is not None:
        if not results.is_dir():
            raise NotFound(f"{results} is not a folder; the folder with the fetched results is right.")
        alterations += _altered_results(certificate, results)
    key = trusted.find(public_key)
    outcome = Outcome.ALTERED if alterations else Outcome.VALID if key else Outcome.UNKNOWN_KEY
    return Verdict(
        outcome=outcome,
        key_id=key_id(public_key),
        sealed_by=key.name if key else None,
        alterations=tuple(alterations),
    )


def _check_format(certificate: Mapping[str, Any], format_: str) -> None:
    stated = certificate.get("format")
    if stated == format_:
        return
    if not isinstance(certificate.get(SEAL), dict):
        raise Refused("This is not a certificate: it has no seal; a certificate.json is right.")
    # One that had another format when it was sealed is of another release; else the format was altered.
    if section_digests({"format": stated}).items() <= _sections(certificate).items():
        raise Refused(f"This certificate has the format {stated!r}; this release of neurocaas reads {format_}.")


def _sections(certificate: Mapping[str, Any]) -> dict[str, Any]:
    sections = certificate[SEAL].get("sections")
    return sections if isinstance(sections, dict) else {}


def _altered_sections(certificate: Mapping[str, Any]) -> Iterator[str]:
    sealed, found = _sections(certificate), section_digests(certificate)
    for name in sorted(sealed.keys() | found.keys(), key=_in_order):
        if name not in found:
            yield f'The section "{name}" is missing; the sealed certificate had it.'
        elif name not in sealed:
            yield f'The section "{name}" was added after the certificate was sealed.'
        elif sealed[name] != found[name]:
            yield f'The section "{name}" was altered after the certificate was sealed.'


def _in_order(name: str) -> tuple[str, str]:
    first, _, last = name.partition("/")
    return first, last.rjust(20, "0")


def _altered_results(certificate: Mapping[str, Any], results: Path) -> Iterator[str]:
    """What differs between the files below `results` and the outputs that the certificate names."""
    expected, allowed = _expected(certificate)
    links, files = _files(results)
    for name in sorted(links):
        yield f'The result "{name}" is a link or a device; a file is right.'
    yield from (f'The result "{name}" is missing.' for name in sorted(expected.keys() - files.keys() - links))
    there = sorted(expected.keys() & files.keys())
    for name, found in zip(there, digest_many([files[name] for name in there]), strict=True):
        if (found.sha256, found.size_bytes) != expected[name]:
            yield f'The result "{name}" was altered: its SHA-256 is {found.sha256}, {expected[name][0]} was delivered.'
    for name in sorted(files.keys() - expected.keys() - allowed):
        yield f'The file "{name}" is unexpected: the certificate knows no such result.'


def _expected(certificate: Mapping[str, Any]) -> tuple[dict[str, tuple[str, int]], set[str]]:
    """Digest and size of each result by its path; and the paths of files that may lie beside them."""
    expected: dict[str, tuple[str, int]] = {}
    allowed = set(BESIDE_RESULTS)
    expected |= _named("", certificate.get("outputs"))
    stacks = certificate.get("stacks")
    for stack in stacks if isinstance(stacks, list) else []:
        if isinstance(stack, dict):
            folder = f"{stack.get('folder')}/"
            allowed.add(_normal(folder + BESIDE_OUTPUTS))
            expected |= _named(folder, stack.get("outputs"))
    return expected, allowed


def _named(folder: str, outputs: Any) -> dict[str, tuple[str, int]]:
    return {
        _normal(f"{folder}{output.get('path')}"): (str(output.get("sha256")), output.get("size_bytes", -1))
        for output in (outputs if isinstance(outputs, list) else [])
        if isinstance(output, dict)
    }


def _files(results: Path) -> tuple[set[str], dict[str, Path]]:
    """The links and devices, and the files, below the folder, by their paths in it."""
    odd: set[str] = set()
    files: dict[str, Path] = {}
    for path in results.rglob("*"):
        name = _normal(path.relative_to(results).as_posix())
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            odd.add(name)
        elif path.is_file():
            files[name] = path
    return odd, files


def _normal(name: str) -> str:
    # The store keeps names in NFC; a disk may give them back decomposed, or hold bytes that are no text.
    return unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
