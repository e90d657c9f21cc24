"""Datasets given as paths on this machine: checked, digested, and named; never copied (paper Fig. 2, upload)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from neurocaas.blueprint.model import Blueprint
from neurocaas.errors import Refused
from neurocaas.protocol import DataRef, Dataset
from neurocaas.server.jobs.datasets import datasets
from neurocaas.server.jobs.given_paths import Found, find
from neurocaas.server.jobs.models import KnownDigest
from neurocaas.storage import digest_many, fingerprint


def stage(blueprint: Blueprint, data: Sequence[str], more: Mapping[str, str]) -> tuple[Dataset, ...]:
    """One dataset per file or folder in `data`, each with the other named inputs in `more` (input name -> path).

    Raises Refused with one sentence for each thing that is not right; then nothing was kept.
    """
    found, shared = find(blueprint, data, more)
    references = _references([*found, *shared])
    return datasets(references[: len(found)], references[len(found) :])


def _references(found: Sequence[Found]) -> list[DataRef]:
    """Digest what is not known yet. A digest is known while the file's fingerprint is what it was."""
    prints = [fingerprint(one.path) for one in found]
    paths = [str(one.path) for one in found]
    known = {one.path: one for one in _known(paths)}
    fresh = {
        path: mark
        for path, mark in zip(paths, prints, strict=True)
        if path not in known or known[path].fingerprint != mark
    }
    digests = dict(zip(fresh, digest_many([Path(path) for path in fresh]), strict=True))
    for path, digest in digests.items():
        if fingerprint(Path(path)) != fresh[path]:
            raise Refused(f"{path} was written to while it was read; submit it when nothing writes to it any more.")
        known[path] = KnownDigest(
            path=path, fingerprint=fresh[path], sha256=digest.sha256, size_bytes=digest.size_bytes
        )
    KnownDigest.objects.bulk_create(
        [known[path] for path in fresh],
        update_conflicts=True,
        unique_fields=["path"],
        update_fields=["fingerprint", "sha256", "size_bytes"],
    )
    return [
        DataRef(
            name=one.name,
            form=one.one.form,
            filename=one.path.name,
            path=path,
            sha256=known[path].sha256,
            size_bytes=known[path].size_bytes,
            fingerprint=known[path].fingerprint,
        )
        for one, path in zip(found, paths, strict=True)
    ]


def _known(paths: Sequence[str]) -> Iterable[KnownDigest]:
    at_once = 500  # a database bounds the parameters of one query
    for start in range(0, len(paths), at_once):
        yield from KnownDigest.objects.filter(path__in=paths[start : start + at_once])
